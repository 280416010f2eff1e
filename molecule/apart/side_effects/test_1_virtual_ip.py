# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A virtual IP for two control planes that are also nodes, with a firewall on every host."""

from __future__ import annotations

import json

import pytest

from plugins.module_utils.host._wait import poll

BOTH = ("b1", "b2")
# Seconds until the other host has noticed and taken the address (VRRP's three silent intervals), and one attempt to connect that waited
# meanwhile: time-outs, which a slow machine does not stretch.
MOVED = 8


@pytest.fixture(scope="module")
def address(lab):
    return lab.address("b1").rpartition(".")[0] + ".250"


@pytest.fixture
def holders(lab, address):
    """A function that returns the hosts with the address."""

    def ask(hosts=BOTH):
        return [
            host for host in hosts if f" {address}/" in lab.run(host, "ip", "-4", "address", "show", "dev", "eth0")[1]
        ]

    return ask


# Sends VRRP messages (RFC 3768) of the highest priority: FROM TO TTL ADDRESS.
MESSAGES = """
import socket, struct, sys, time
source, target, ttl, address = sys.argv[1:]
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
def message(check):
    return struct.pack("!BBBBBBH4s8x", 0x21, int(address.split(".")[-1]), 255, 1, 0, 1, check, socket.inet_aton(address))
body = message(checksum(message(0)))
header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, int(ttl), 112, 0, socket.inet_aton(source), socket.inet_aton(target))
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
    for _ in range(8):
        raw.sendto(header + body, (target, 0))
        time.sleep(0.5)
"""


def keep_dns_off(lab, host):
    """Kubernetes counts the pods of a host without power as running for five minutes; until then, CoreDNS would lack a replica."""
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


def test_it_takes_messages_of_its_peers_only(lab, address, holders):
    """Even if the firewall accepts messages from other hosts. And other hosts cannot suppress its messages to its peer."""
    since = lab.run("b1", "date", "+%s")[1].strip()
    (holder,) = holders()
    (other,) = set(BOTH) - {holder}
    rule = ("inet", "plainkube", "input")
    added = lab.run(holder, "nft", "--echo", "--handle", "insert", "rule", *rule, "meta", "l4proto", "112", "accept")
    assert added[0] == 0, added[1]

    def send(sender, source, ttl):
        target = lab.address(holder)
        lab.demand(sender, "python3", "-c", MESSAGES, lab.address(source), target, str(ttl), address)
        return holders()

    try:
        assert send("n1", "n1", 255) == [holder]
        # As if they came from another network, with the peer's address.
        assert send("n1", other, 64) == [holder]
        for host in BOTH:
            said = lab.run(host, "journalctl", "--unit=plainkube-virtual-ip", f"--since=@{since}", "--output=cat")[1]
            assert "STATE" not in said
        # The control: the same messages from the peer take the address.
        assert send(other, other, 255) != [holder]
    finally:
        handle = added[1].split("handle ")[-1].split()[0]
        assert lab.run(holder, "nft", "delete", "rule", *rule, "handle", handle)[0] == 0
        assert len(poll(holders, lambda found: len(found) == 1, 30)) == 1


def test_it_moves_when_its_host_is_without_power(lab, site, address, holders, nodes, probes):
    """Each of the two receives the other's messages through its firewall; otherwise, both would have the address."""
    (holder,) = holders()
    (other,) = set(BOTH) - {holder}
    keep_dns_off(lab, holder)
    with probes.running(f"by the virtual IP, {holder} without power", server=f"{address}:6443") as outcomes:
        lab.kill(holder)
        verified = site.run(playbook="verify")
        limited = site.run("--limit", f"all:!{holder}")
    assert outcomes.problems == []
    assert {name: gap for name, gap in outcomes.gaps.items() if gap > MOVED} == {}
    assert holders([other]) == [other]
    assert (verified.code, limited.code) == (0, 0), verified.output + limited.output
    assert (limited.changed, limited.restarts) == (0, {})
    with probes.running(f"by the virtual IP, {holder} with power again", server=f"{address}:6443") as outcomes:
        lab.start(holder)
        found = site.status(wait=60)
    assert found["healthy"], [host["problems"] for host in found["hosts"].values()]
    assert outcomes.problems == []
    assert len(holders()) == 1
    assert None not in nodes(other).values()
