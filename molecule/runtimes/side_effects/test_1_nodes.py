# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Nodes with each container runtime: what they run, and what works on them."""

from __future__ import annotations

import ipaddress
import json
import time

import pytest

from lab import programs, runs
from lab.base import CHECKOUT, LabError

RUNTIMES = {"n1": "docker", "n2": "containerd", "n3": "containerd"}
BRIDGES = {"n1": "docker0", "n2": "docker0", "n3": "cni0"}
DAEMONS = ("dockerd", "containerd", "cri-dockerd")
RSS = "for pid in $(pidof {name}); do grep VmRSS /proc/$pid/status; done"


def subnet(lab, host):
    lines = lab.run(host, "cat", "/var/lib/flannel/subnet.env")[1].split()
    return ipaddress.IPv4Interface(dict(line.split("=", 1) for line in lines)["FLANNEL_SUBNET"]).network


def test_fewer_daemons_need_less_memory(lab):
    """As in docs/operations.md; first, because the nodes are still idle."""
    totals = {}
    for host in RUNTIMES:
        lines = [line for name in DAEMONS for line in lab.run(host, "sh", "-c", RSS.format(name=name))[1].splitlines()]
        totals[host] = sum(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))
    print("MiB:", totals)
    assert totals["n1"] > totals["n2"] > totals["n3"] > 0


def test_the_role_alone_changes_nothing(inventory):
    run = runs.playbook(str(CHECKOUT / "molecule" / "runtimes" / "roles_alone" / "containerd"), inventory).demand()
    assert run.changed == 0, run.output
    assert {
        event["host"]
        for event in run.events
        if event.get("task", "").startswith("plainkube.cluster.containerd :") and "host" in event
    } == {"n2", "n3"}


def test_crictl_finds_the_runtime_where_somebody_installs_it(lab, site, crictl):
    program = (programs.ensure(programs.CRICTL) / "crictl").read_bytes()
    for host in RUNTIMES:
        lab.put(host, "/usr/local/bin", {"crictl": (program, 0o755)})
    run, started = site.apply()
    assert {event["host"] for event in run.changes} == {*RUNTIMES}
    # The file belongs to the service to which crictl connects; pods are not affected.
    assert started == {"n1/cri-dockerd", "n2/containerd", "n3/containerd"}
    assert {host: crictl(host) for host in RUNTIMES} == RUNTIMES


@pytest.mark.parametrize("host", ["n2", "n3"])
def test_upstreams_containerd_is_the_default(lab, host):
    """Also on Debian 12, whose own containerd is too old, and beside Docker Engine, whose package brings containerd 1.7."""
    assert ("bookworm" in lab.run(host, "cat", "/etc/os-release")[1]) == (host == "n3")
    output = lab.demand(host, "sh", "-c", "/proc/$(pidof containerd)/exe --version; ls /opt/cni/bin")
    assert "containerd/v2 v2." in output
    assert {"bridge", "host-local", "loopback", "portmap"} <= {*output.split()}


@pytest.mark.parametrize("host", RUNTIMES)
def test_a_node_has_the_runtime_that_it_should(lab, node, host):
    assert node(host) == (RUNTIMES[host], True, [])
    output = lab.demand(host, "ip", "-json", "-4", "address", "show", "dev", BRIDGES[host])
    assert ipaddress.ip_address(json.loads(output)[0]["addr_info"][0]["local"]) in subnet(lab, host)
    assert (lab.run(host, "pidof", "dockerd")[0] == 0) == (host != "n3")
    assert (lab.run(host, "pidof", "cri-dockerd")[0] == 0) == (host == "n1")


@pytest.mark.parametrize("host", RUNTIMES)
def test_a_pod_has_an_address_of_the_pods_part(lab, hello, host):
    whole = subnet(lab, host)
    part = list(whole.subnets())[1] if host == "n2" else whole
    assert ipaddress.ip_address(hello.address(host)) in part


@pytest.mark.parametrize("host", ["n2", "n3"])
def test_exec_logs_and_port_forward(lab, hello, host):
    """With the kubelet's gate at its default."""
    config = json.loads(lab.kubectl("k1", "get", "--raw", f"/api/v1/nodes/{host}/proxy/configz"))["kubeletconfig"]
    assert "ExtendWebSocketsToKubelet" not in config.get("featureGates", {})
    # Its response is empty.
    hello.kubectl("exec", host, "--", "/agnhost", "connect", "127.0.0.1:8080", "--timeout=5s")
    assert "Started HTTP server on port 8080" in hello.kubectl("logs", host)
    kubectl = "kubectl --kubeconfig=/etc/kubernetes/admin.conf --namespace=runtimes"
    forward = f'{kubectl} port-forward pod/{host} 18080:8080 >/dev/null & trap "kill $!" EXIT'
    ask = "curl --silent --fail --retry 9 --retry-connrefused --retry-delay 1 http://127.0.0.1:18080/hostname"
    assert lab.demand("k1", "sh", "-ec", f"{forward}; {ask}").strip() == host


@pytest.mark.parametrize("host", ["n2", "n3"])
def test_a_resize_in_place_is_reported_right(hello, host):
    """CPU and memory of a running pod, which keeps running."""
    before = hello.get(host)["status"]["containerStatuses"][0]
    wanted = {"cpu": "150m", "memory": "96Mi"}
    patch = {"spec": {"containers": [{"name": "hello", "resources": {"requests": wanted, "limits": wanted}}]}}
    hello.kubectl("patch", "pod", host, "--subresource=resize", f"--patch={json.dumps(patch)}")
    began = time.monotonic()
    while True:
        status = hello.get(host)["status"]["containerStatuses"][0]
        if status["resources"] == {"requests": wanted, "limits": wanted}:
            break
        assert time.monotonic() < began + 60, status
        time.sleep(0.5)
    print(f"{host}: reported after {time.monotonic() - began:.1f} s: {status['resources']}")
    assert (status["containerID"], status["restartCount"]) == (before["containerID"], before["restartCount"])


def test_host_ports_come_back_after_a_flush_of_the_packet_filters(lab, site, hello, pods):
    def served():
        """What answers at each node's hostPort: the pod on that node."""
        urls = {host: f"http://{lab.address(host)}:18080/hostname" for host in RUNTIMES}
        return {host: lab.run("k1", "curl", "-s", "--max-time", "2", url)[1] for host, url in urls.items()}

    assert served() == {host: host for host in RUNTIMES}
    before = pods()
    for host in RUNTIMES:
        lab.demand(host, "systemctl", "restart", "nftables")
    assert served() == dict.fromkeys(RUNTIMES, "")
    problems = {name: "; ".join(host["problems"]) for name, host in site.status()["hosts"].items()}
    assert "docker on this host: its iptables rules are gone" in problems["n1"]
    for host in ("n2", "n3"):
        assert "containerd on this host: the rules of hostPort 18080 are gone" in problems[host]
    site.apply()
    assert served() == {host: host for host in RUNTIMES}
    assert pods() == before


@pytest.mark.parametrize("host", ["n2", "n3"])
def test_an_image_is_a_volume(hello, host):
    """Read-only, with the image's files. cri-dockerd has none of these."""
    mode = hello.kubectl("exec", host, "--", "/agnhost", "mounttest", "--file_mode=/image/agnhost", "--fs_type=/image")
    assert 'mode of file "/image/agnhost": -rwxr-xr-x' in mode
    with pytest.raises(LabError, match="open /image/new: read-only file system"):
        hello.kubectl("exec", host, "--", "/agnhost", "mounttest", "--new_file_0644=/image/new")


def test_pods_have_the_same_limit_of_open_files_with_each_runtime(lab, hello):
    """Containers inherit it. Programs that expect many open files fail at systemd's default, 1024. Go's raise it to the maximum less one."""
    limits = {}
    for host in RUNTIMES:
        uid = hello.get(host)["metadata"]["uid"]
        script = f"cat /proc/$(grep -ls pod{uid.replace('-', '.')} $(printf '/proc/%s/cgroup ' $(pidof agnhost)) | cut -d/ -f3)/limits"
        lines = lab.demand(host, "sh", "-c", script).splitlines()
        limits[host] = next(line.split()[3:5] for line in lines if line.startswith("Max open files"))
    print("open files:", limits)
    assert len({tuple(limit) for limit in limits.values()}) == 1
    assert all(soft == hard for soft, hard in limits.values())


@pytest.fixture(scope="module")
def container(lab, hello):
    """Address of a `docker run` container on n2, which serves and sends requests, like the pods."""
    archive = lab.run("n2", "sh", "-c", "ls /opt/plainkube/images/agnhost*.tar")[1].strip()
    for command in (
        ("docker", "load", "--quiet", "--input", archive),
        ("docker", "run", "--detach", "--name=mine", hello.image, "netexec", "--http-port=8080"),
    ):
        lab.demand("n2", *command)
    shown = lab.run("n2", "docker", "inspect", "--format={{.NetworkSettings.IPAddress}}", "mine")[1].strip()
    yield shown
    lab.run("n2", "docker", "rm", "--force", "mine")


def test_a_container_of_docker_has_an_address_of_the_other_part(lab, container):
    assert ipaddress.ip_address(container) in next(subnet(lab, "n2").subnets())


@pytest.mark.parametrize("host", RUNTIMES)
def test_pods_and_containers_of_docker_reach_each_other(lab, hello, container, host):
    """On the same host, and on others of both kinds."""
    hello.kubectl("exec", host, "--", "/agnhost", "connect", f"{container}:8080", "--timeout=5s")
    there = f"{hello.address(host)}:8080"
    lab.demand("n2", "docker", "exec", "mine", "/agnhost", "connect", there, "--timeout=5s")


def test_dockerd_restarts_and_no_pod_notices(lab, load, hello, container, pods):
    """Every request goes to a pod on its node."""
    pin = {"spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/hostname": "n2"}}}}}
    with load("the Service's pods gather on n2"):
        lab.kubectl("k1", "--namespace=probes", "patch", "deployment", "hello", f"--patch={json.dumps(pin)}")
        lab.kubectl("k1", "--namespace=probes", "rollout", "status", "deployment/hello", "--timeout=90s")
        time.sleep(3)
    before = pods()
    docker_before = lab.run("n2", "docker", "inspect", "--format={{.State.StartedAt}}", "mine")[1]
    with load("dockerd on n2 restarted three times") as outcomes:
        for _turn in range(3):
            lab.demand("n2", "systemctl", "restart", "docker.service")
            time.sleep(3)
    assert outcomes.problems == []
    assert {one.name: one.retries for one in outcomes if one.retries} == {}
    assert pods() == before
    assert lab.run("n2", "docker", "inspect", "--format={{.State.StartedAt}}", "mine")[1] == docker_before
    pin["spec"]["template"]["spec"]["nodeSelector"] = None
    lab.kubectl("k1", "--namespace=probes", "patch", "deployment", "hello", f"--patch={json.dumps(pin)}")
    lab.kubectl("k1", "--namespace=probes", "rollout", "status", "deployment/hello", "--timeout=90s")
