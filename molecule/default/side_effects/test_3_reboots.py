# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""After a reboot or a power cut, everything recovers without a run: the same subnets, no orphaned pod."""

from __future__ import annotations

import json
import time

import pytest

UID = '{{index .Config.Labels "io.kubernetes.pod.uid"}}'


def subnet(lab, host):
    """flannel's subnet of a host. grep succeeds with output only: where there is none, it was lost on the way from the container, which
    was seen once on a busy machine."""
    for _attempt in range(3):
        code, output = lab.run(host, "grep", "SUBNET", "/var/lib/flannel/subnet.env")
        assert code == 0, f"{host}: grep ended with {code}: {output}"
        if output:
            return output
    raise AssertionError(f"{host}: the output of grep was lost three times")


def subnets(lab):
    return {host: subnet(lab, host) for host in lab.hosts()}


def pods(cluster):
    """UID -> pod, according to the API."""
    found = json.loads(cluster.kubectl("get", "pods", "--all-namespaces", "--output=json"))["items"]
    return {pod["metadata"]["uid"]: pod for pod in found}


def running(lab, host):
    """UIDs of the pods whose containers Docker runs."""
    script = f"docker ps -q | xargs -r docker inspect --format '{UID}'"
    output = lab.demand(host, "sh", "-c", script)
    return {line for line in output.split() if line}


@pytest.fixture(scope="module", autouse=True)
def workload(cluster):
    images = cluster.kubectl("get", "nodes", "-o", "jsonpath={.items[0].status.images[*].names[*]}").split()
    image = [name for name in images if "agnhost" in name][0]
    cluster.kubectl("create", "deployment", "reboot", f"--image={image}", "--replicas=4", "--", "/agnhost", "pause")
    cluster.kubectl("rollout", "status", "deployment/reboot", "--timeout=60s")
    yield
    cluster.kubectl("delete", "deployment", "reboot", "--wait=true")


@pytest.fixture
def comes_back(cluster, lab, site):
    """Checks that the cluster recovers after the hosts have power again."""
    before = subnets(lab)

    def check(what):
        started = time.monotonic()
        found = site.status(wait=90)
        assert found["healthy"], [host["problems"] for host in found["hosts"].values()]
        cluster.kubectl("rollout", "status", "deployment/reboot", "--timeout=90s")
        print(f"{what}: all is well {time.monotonic() - started:.1f} s after the hosts answer again")
        assert subnets(lab) == before
        for host in cluster.nodes:
            known = {uid for uid, pod in pods(cluster).items() if pod["spec"].get("nodeName") == host}
            assert running(lab, host) <= known, f"{host} runs pods that the API does not know"
        run, restarted = site.apply()
        assert (run.changed, restarted) == (0, set())

    return check


@pytest.mark.turn("default")
def test_one_host_rebooted(lab, comes_back):
    lab.shut_down("n1")
    lab.start("n1")
    comes_back("n1 rebooted")


def test_power_cut_of_all_hosts_at_once(lab, comes_back):
    lab.kill(*lab.hosts())
    lab.start(*lab.hosts())
    comes_back("power cut of all hosts")


@pytest.mark.turn("default")
def test_all_hosts_rebooted_at_once(lab, comes_back):
    lab.shut_down(*lab.hosts())
    lab.start(*lab.hosts())
    comes_back("all hosts rebooted")
