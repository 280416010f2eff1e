# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Default hardening beyond the flags that kube-bench reads has an effect."""

from __future__ import annotations

import json
import pathlib
import uuid

import pytest

from lab import secrets

AUDIT = "/var/log/kube-apiserver/audit.log"


def audited(lab, needle):
    """The audit log's events with a text in them."""
    code, output = lab.run("k1", "grep", "--fixed-strings", needle, AUDIT)
    assert code in (0, 1), output
    return [json.loads(line) for line in output.splitlines()]


def create(lab, manifest, *arguments):
    """Exit code and output of `kubectl create` for an object."""
    lab.put("k1", "/root", {"object.json": (json.dumps(manifest).encode(), 0o600)})
    kubectl = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "create", "--filename=/root/object.json")
    return lab.run("k1", *kubectl, *arguments)


def test_the_audit_log_is_the_api_servers_alone(lab):
    code, output = lab.run("k1", "stat", "--format=%a %U", AUDIT, "/var/log/kube-apiserver")
    assert (code, output.split("\n")[:2]) == (0, ["600 kube-apiserver", "700 kube-apiserver"])


def test_no_key_of_the_cluster_is_where_other_users_find_it(lab, inventory):
    """Neither in the journal, nor in command lines or files. `ha/side_effects/test_9_growth.py` checks that the search itself works."""
    needles = secrets.of_directory(pathlib.Path(inventory).parent / "pki")
    assert needles
    for host in lab.hosts():
        needles |= secrets.of_host(lab, host)
    assert [place for host in lab.hosts() for place in secrets.found_on(lab, host, needles)] == []


def test_who_asked_for_a_secret_is_noted_and_the_secret_is_not(lab):
    name, value = f"audit-{uuid.uuid4()}", f"value-{uuid.uuid4()}"
    lab.kubectl("k1", "create", "secret", "generic", name, f"--from-literal=key={value}")
    lab.kubectl("k1", "get", "secret", name)
    lab.kubectl("k1", "delete", "secret", name)
    events = audited(lab, name)
    assert {event["verb"] for event in events} == {"create", "get", "delete"}
    assert {(event["level"], event["user"]["username"]) for event in events} == {("Metadata", "kubernetes-admin")}
    assert not [event for event in events if "requestObject" in event or "responseObject" in event]
    assert audited(lab, value) == []


def test_changes_of_rights_are_noted_with_what_they_are(lab):
    name = f"audit-{uuid.uuid4()}"
    lab.kubectl("k1", "create", "role", name, "--verb=get", "--resource=pods")
    lab.kubectl("k1", "delete", "role", name)
    (event,) = [event for event in audited(lab, name) if event["verb"] == "create"]
    assert event["requestObject"]["rules"][0]["resources"] == ["pods"]


def test_questions_after_health_are_not_noted(lab):
    assert [event for event in audited(lab, "/readyz") if event["requestURI"].startswith("/readyz")] == []
    assert [event for event in audited(lab, '"leases"') if event["verb"] in ("get", "list", "watch")] == []


def test_a_service_with_somebody_elses_address_is_refused(lab):
    spec = {"ports": [{"port": 80}], "externalIPs": ["192.0.2.80"]}
    code, output = create(
        lab, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "stolen"}, "spec": spec}, "--dry-run=server"
    )
    assert code != 0
    assert "external IP" in output.replace("ExternalIP", "external IP")


def test_a_pod_that_restricted_would_refuse_is_warned_of_and_admitted(lab):
    """The tutorial's pod has a hostPort, which even baseline forbids."""
    container = {"name": "a", "image": "a.example/a:1", "ports": [{"containerPort": 80, "hostPort": 80}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "hello"}, "spec": {"containers": [container]}}
    code, output = create(lab, pod, "--dry-run=server")
    assert code == 0, output
    assert 'would violate PodSecurity "restricted:latest": hostPort' in output


def test_a_namespace_may_enforce_more(lab):
    name = f"strict-{uuid.uuid4()}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    lab.put(
        "k1",
        "/root",
        {
            "object.json": (
                json.dumps(
                    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
                ).encode(),
                0o600,
            )
        },
    )
    lab.kubectl("k1", "create", "--filename=/root/object.json")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "namespace": name},
        "spec": {"containers": [{"name": "a", "image": "a.example/a:1"}]},
    }
    code, output = create(lab, pod, "--dry-run=server")
    lab.kubectl("k1", "delete", "namespace", name, "--wait=false")
    assert code != 0
    assert 'violates PodSecurity "restricted:latest"' in output


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("seccompDefault", True),
        ("podPidsLimit", 4096),
        ("protectKernelDefaults", True),
        ("enableProfilingHandler", False),
    ],
)
def test_the_kubelet_runs_with_it(lab, cluster, setting, value):
    for node in cluster.nodes:
        found = json.loads(lab.kubectl("k1", "get", "--raw", f"/api/v1/nodes/{node}/proxy/configz"))
        assert found["kubeletconfig"][setting] == value


def test_pods_have_a_seccomp_profile_and_a_limit_of_processes(lab):
    """Checked on the pods that run anyway."""
    script = """
for id in $(docker ps --quiet --filter label=io.kubernetes.docker.type=container); do
  pid=$(docker inspect --format '{{.State.Pid}}' $id)
  limit=$(cat /sys/fs/cgroup/pids$(sed -n 's/^[0-9]*:pids://p' /proc/$pid/cgroup)/../pids.max 2>/dev/null \
    || cat /sys/fs/cgroup$(sed -n 's/^0:://p' /proc/$pid/cgroup)/../pids.max)
  echo $(sed -n 's/^Seccomp:[^0-9]*//p' /proc/$pid/status) $limit
done
"""
    output = lab.demand("n1", "bash", "-c", script)
    assert set(output.splitlines()) == {"2 4096"}
