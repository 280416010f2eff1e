# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The firewall on a running cluster: who has access, manual changes, rules that lock out the control node, a reboot, and its removal.

The control node is not one of the cluster's hosts.
"""

from __future__ import annotations

import json
import socket
import time

import pytest

pytestmark = pytest.mark.turn("default")

# Only the cluster may use the API, so its port must be closed, too.
GUARDED = {"firewall_enabled": True, "firewall_api_sources": []}
TABLE = "inet plainkube"
RULES = "/etc/kubernetes/firewall.nft"
UNIT = "/etc/systemd/system/plainkube-firewall.service"
SERVICE = "firewall-test"


def given(**more):
    return ("-e", json.dumps({**GUARDED, **more}))


def reached(address, port, seconds=1.5):
    """Whether this machine can connect."""
    try:
        socket.create_connection((address, port), seconds).close()
    except TimeoutError:
        return False
    return True


def what(run):
    """(host, files written) of every change."""
    return sorted((one["host"], *one["written"]) for one in run.changes)


def table(lab, host):
    code, output = lab.run(host, "nft", "--stateless", "list", "table", *TABLE.split())
    return output if code == 0 else ""


@pytest.fixture(scope="module")
def k1(cluster):
    return cluster.control_planes[0]


@pytest.fixture(scope="module")
def n1(cluster):
    return cluster.nodes[0]


@pytest.fixture
def ports(cluster, k1, n1):
    """Ports to which the control node has no access."""
    return [
        (cluster.address(k1), 2379),
        (cluster.address(k1), 2380),
        (cluster.address(k1), 6443),
        (cluster.address(n1), 10250),
    ]


def test_a_stranger_gets_in_before(ports):
    assert all(reached(*port) for port in ports)


def test_the_plan_and_the_run(site, lab):
    plan = site.plan(*given())
    assert "ip saddr @hosts4 tcp dport 2379 accept" in plan.output
    assert all(table(lab, host) == "" for host in lab.hosts())
    run, started = site.apply(*given())
    print(f"firewall on: {run.seconds:.1f} s")
    assert started == set()
    assert what(run) == what(plan)
    assert {one["host"] for one in run.changes} == {*lab.hosts()}
    again, started = site.apply(*given())
    print(f"firewall on, second run: {again.seconds:.1f} s")
    assert (again.changed, started) == (0, set())


def test_strangers_stay_out_and_ssh_comes_in(ports, cluster, lab):
    assert not any(reached(*port) for port in ports)
    assert all(reached(cluster.address(host), 22) for host in lab.hosts())


def test_those_who_need_it_get_in(cluster, lab, k1, n1):
    own = {host: cluster.address(host) for host in lab.hosts()}
    wanted = [
        (n1, own[k1], 2379, True),
        (n1, own[k1], 6443, True),
        (k1, own[n1], 10250, True),
        (n1, own[k1], 2380, False),
    ]
    wanted += [(other, own[n1], 10250, False) for other in cluster.nodes[1:]]
    for host, address, port, expected in wanted:
        code, dummy = lab.run(host, "timeout", "2", "bash", "-c", f"</dev/tcp/{address}/{port}")
        assert (code == 0) == expected, (host, address, port)


def test_pods_services_and_nodeports_work(cluster):
    """CoreDNS is ready only if it reaches the API; logs need access from the API server to the kubelet; a NodePort works on every node."""
    cluster.kubectl("-n", "kube-system", "rollout", "restart", "deployment/coredns")
    cluster.kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s")
    assert "CoreDNS" in cluster.kubectl("-n", "kube-system", "logs", "deployment/coredns")
    expose = ("expose", "deployment/coredns", f"--name={SERVICE}", "--type=NodePort", "--port=9153", "--protocol=TCP")
    cluster.kubectl("-n", "kube-system", *expose)
    try:
        port = int(
            cluster.kubectl("-n", "kube-system", "get", "service", SERVICE, "-o", "jsonpath={.spec.ports[0].nodePort}")
        )
        for node in cluster.nodes:
            deadline = time.monotonic() + 10
            while not reached(cluster.address(node), port):
                assert time.monotonic() < deadline, node
    finally:
        cluster.kubectl("-n", "kube-system", "delete", "service", SERVICE)


def test_hands_on_it_are_found_and_mended(site, lab, k1, n1):
    before = table(lab, n1)
    assert lab.run(n1, "nft", "insert", "rule", *TABLE.split(), "input", "tcp", "dport", "10250", "accept")[0] == 0
    assert lab.run(k1, "sh", "-c", f"echo '# by hand' >> {RULES}")[0] == 0
    found = {host: one["problems"] for host, one in site.status(0, *given())["hosts"].items()}
    assert found[n1] == [
        f"the firewall of this host was changed manually in nftables table {TABLE}; run plainkube.cluster.site"
    ]
    assert found[k1] == [
        f"the firewall of this host has rules in {RULES} that the last run of plainkube.cluster.site did not write; run plainkube.cluster.site"
    ]
    run, started = site.apply(*given())
    assert {one["host"] for one in run.changes} == {k1, n1}
    assert (table(lab, n1), started) == (before, set())


def test_rules_that_cut_off_the_control_node_go_by_themselves(site, lab, k1):
    before = {host: table(lab, host) for host in lab.hosts()}
    run = site.run(*given(firewall_ssh_sources=["198.51.100.0/24"], firewall_revert_after=8))
    print(f"cut off and back: {run.seconds:.1f} s")
    said = [one["msg"] for one in run.events if one["event"] == "failed"]
    assert run.code != 0
    assert len(said) == len(before)
    assert all("lock out the control node" in one and "the previous rules are restored" in one for one in said), said
    assert {host: table(lab, host) for host in lab.hosts()} == before
    assert "198.51.100" not in lab.run(k1, "cat", RULES)[1]


def test_a_reboot_keeps_it(cluster, lab, n1, ports):
    before = table(lab, n1)
    lab.shut_down(n1)
    lab.start(n1)
    assert table(lab, n1) == before
    assert not reached(*ports[-1])


def test_off_again_nothing_is_left(site, lab, ports):
    run, started = site.apply()
    assert ({one["host"] for one in run.changes}, started) == ({*lab.hosts()}, set())
    for host in lab.hosts():
        assert table(lab, host) == ""
        assert lab.run(host, "ls", RULES, UNIT)[1].count("No such file") == 2
        assert "plainkube" not in lab.run(host, "systemctl", "list-units", "--all", "plainkube-firewall*")[1]
    assert all(reached(*port) for port in ports)
