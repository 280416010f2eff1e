# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Two control planes that are nodes too, and the virtual IP before them, with a firewall on every host."""

from __future__ import annotations

import json

import pytest

BOTH = ("b1", "b2")
# Seconds until the other host has noticed and taken the address (VRRP's three silent intervals), and one attempt to connect that waited
# meanwhile: time-outs, which a slow machine does not stretch.
MOVED = 8


@pytest.fixture(scope="module")
def address(lab):
    return lab.address("b1").rpartition(".")[0] + ".250"


@pytest.fixture
def holders(lab, address):
    """Ask which hosts have the address."""

    def ask(hosts=BOTH):
        return [
            host for host in hosts if f" {address}/" in lab.run(host, "ip", "-4", "address", "show", "dev", "eth0")[1]
        ]

    return ask


def keep_dns_off(lab, host):
    """Kubernetes counts on the pods of a host without power for five minutes; until then, CoreDNS would be a replica short."""
    chosen = ("--namespace=kube-system", "--selector=k8s-app=kube-dns", f"--field-selector=spec.nodeName={host}")
    lab.kubectl("b1", "cordon", host)
    lab.kubectl("b1", "delete", "pods", *chosen)
    lab.kubectl("b1", "--namespace=kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s")
    lab.kubectl("b1", "uncordon", host)
    assert json.loads(lab.kubectl("b1", "get", "pods", "--output=json", *chosen))["items"] == []


def test_control_planes_take_no_pods_but_those_that_tolerate_it(lab, probes):
    nodes = json.loads(lab.kubectl("b1", "get", "nodes", "--output=json"))["items"]
    taints = {
        node["metadata"]["name"]: [(one["key"], one["effect"]) for one in node["spec"].get("taints", [])]
        for node in nodes
    }
    own = [("node-role.kubernetes.io/control-plane", "NoSchedule")]
    assert taints == {"b1": own, "b2": own, "n1": []}
    pods = json.loads(lab.kubectl("b1", "--namespace=probes", "get", "pods", "--output=json"))["items"]
    assert [pod["spec"]["nodeName"] for pod in pods] == ["n1", "n1"]


def test_the_administrators_kubeconfig_names_the_virtual_ip(site, inventory, address, tmp_path):
    path = tmp_path / "kubeconfig"
    site.run("-e", f"kubeconfig_path={path}", playbook="kubeconfig").demand()
    assert f"https://{address}:6443" in path.read_text(encoding="utf-8")


def test_it_moves_when_its_host_is_without_power(lab, site, address, holders, nodes, probes):
    """Each of the two hears the other through its firewall, or both would have the address."""
    (holder,) = holders()
    (other,) = set(BOTH) - {holder}
    keep_dns_off(lab, holder)
    with probes.running(f"by the virtual IP, {holder} without power", server=f"{address}:6443") as outcomes:
        lab.kill(holder)
        verified = site.run(playbook="verify")
        limited = site.run("--limit", f"all:!{holder}")
    assert outcomes.troubles == []
    assert {name: gap for name, gap in outcomes.gaps.items() if gap > MOVED} == {}
    assert holders([other]) == [other]
    assert (verified.code, limited.code) == (0, 0), verified.output + limited.output
    assert (limited.changed, limited.restarts) == (0, {})
    with probes.running(f"by the virtual IP, {holder} with power again", server=f"{address}:6443") as outcomes:
        lab.start(holder)
        found = site.status(wait=60)
    assert found["healthy"], [host["problems"] for host in found["hosts"].values()]
    assert outcomes.troubles == []
    assert len(holders()) == 1
    assert None not in nodes(other).values()
