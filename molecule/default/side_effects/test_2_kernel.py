# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""What others remove from the kernel while every process and every file is right: status.yml names it, and site.yml repairs it on that host only."""

from __future__ import annotations

import json

import pytest

from plugins.module_utils.host._wait import poll

# For so many seconds after its start, kube-proxy may not have written its rules yet (module_utils/health/_kernel.py).
SETTLED = 10
CIS = "/etc/sysctl.d/99-cis.conf"
# On the second node: routes, packet filters, settings and an MTU.
COMMANDS = (
    "ip link set flannel.1 down && ip link set flannel.1 up",
    "systemctl restart nftables",
    f"echo net.ipv4.ip_forward=0 > {CIS} && sysctl --load={CIS} && sysctl net.bridge.bridge-nf-call-iptables=0",
    "ip link set docker0 mtu 1500",
    # flanneld takes an existing interface as it is.
    "ip link set flannel.1 mtu 1400",
)
SAID = (
    "flannel on this host: it has no route to ",
    "flanneld on this host: flannel.1 has an MTU of 1400, not ",
    "kube-proxy on this host: its nftables rules for 10.96.0.1:443, the API's Service, are gone",
    "docker on this host: its iptables rules are gone",
    f"net.ipv4.ip_forward is 0, not 1 (see {CIS})",
    "net.bridge.bridge-nf-call-iptables is 0, not 1",
    "docker0 has an MTU of 1500 on this host, and flannel's is ",
)


@pytest.fixture(scope="module")
def settled(lab, cluster):
    """The components have run for a while."""
    command = "ps -o etimes= -p $(systemctl show --property=MainPID --value kube-proxy)"

    def youngest():
        return min(int(lab.demand(node, "sh", "-c", command)) for node in cluster.nodes)

    assert poll(youngest, lambda seconds: seconds > SETTLED, SETTLED + 10, 1) > SETTLED


def reached(lab, cluster):
    """The nodes whose CoreDNS pod answers the control plane."""
    path = "jsonpath={range .items[*]}{.spec.nodeName} {.status.podIP}{'\\n'}{end}"
    pods = lab.kubectl("k1", "-n", "kube-system", "get", "pods", "--selector=k8s-app=kube-dns", f"--output={path}")
    addresses = dict(line.split() for line in pods.splitlines())
    assert sorted(addresses) == sorted(cluster.nodes)
    return {
        node
        for node, address in addresses.items()
        if lab.run("k1", "curl", "-sf", "--max-time", "2", f"http://{address}:8181/ready")[0] == 0
    }


def problems(found):
    return {name: host["problems"] for name, host in found["hosts"].items()}


@pytest.mark.usefixtures("settled")
def test_a_node_that_is_cut_off(site, lab, cluster, pods):
    node = cluster.nodes[0]
    before = pods()
    lab.demand(node, "ip", "link", "del", "flannel.1")
    assert node not in reached(lab, cluster)
    found = site.status()
    assert not found["healthy"]
    (said,) = [one for one in problems(found)[node] if "flannel" in one]
    assert "run plainkube.cluster.site" in said
    plan = site.plan()
    run, started = site.apply()
    assert [*plan.restarts] == [node]
    assert run.restarts == plan.restarts
    assert started == {f"{node}/flanneld"}
    assert reached(lab, cluster) == set(cluster.nodes)
    assert pods() == before


@pytest.mark.usefixtures("settled")
def test_packet_filters_and_settings_of_the_kernel(site, lab, cluster, pods):
    node = cluster.nodes[1]
    before = pods()
    for command in COMMANDS:
        lab.demand(node, "sh", "-ec", command)
    # Because of the routes, and because of the API's Service.
    assert node not in reached(lab, cluster)
    api = ("curl", "-sk", "--max-time", "2", "https://10.96.0.1/readyz")
    assert lab.run(node, *api)[0] != 0
    told = problems(site.status())[node]
    for said in SAID:
        assert [one for one in told if said in one], (said, told)
    run, started = site.apply()
    assert {host for host, counts in run.recap.items() if counts["changed"]} == {node}
    assert started == {f"{node}/{unit}" for unit in ("docker", "flanneld", "kube-proxy")}
    assert reached(lab, cluster) == set(cluster.nodes)
    assert lab.demand(node, *api) == "ok"
    assert "-j DOCKER" in lab.demand(node, "iptables", "-w", "-t", "nat", "-S", "PREROUTING")
    assert lab.demand(
        node, "sysctl", "--values", "net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables"
    ).split() == ["1", "1"]
    link, tunnel = (
        json.loads(lab.demand(node, "ip", "-json", "link", "show", name))[0] for name in ("docker0", "flannel.1")
    )
    assert link["mtu"] == tunnel["mtu"]
    # Docker's live-restore keeps the containers.
    assert pods() == before
    # The next boot, too, and whoever loads all settings.
    lab.demand(node, "sysctl", "--system")
    assert lab.demand(node, "sysctl", "--values", "net.ipv4.ip_forward").strip() == "1"
    lab.demand(node, "rm", CIS)


def test_all_is_well_then_and_nothing_is_left_to_do(site):
    assert site.status(wait=30)["healthy"]
    run, started = site.apply()
    assert (run.changed, started) == (0, set())
