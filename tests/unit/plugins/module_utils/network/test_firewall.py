# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import re

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _firewall
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _stamp

WORLD = ["0.0.0.0/0", "::/0"]
WANTED = {
    "groups": {
        "hosts": ["192.0.2.11", "192.0.2.21", "192.0.2.20"],
        "control_planes": ["192.0.2.11"],
        "pods": ["10.244.0.0/16"],
    },
    "accept": [],
    "ssh_ports": [],
    "ssh_sources": [],
    "pod_network": "10.244.0.0/16",
    "node_ports": "30000-32767",
    "node_port_sources": WORLD,
}


def rule(sources, protocol="tcp", ports=("6443",), name="x"):
    return {"name": name, "protocol": protocol, "ports": list(ports), "sources": sources}


def render(ssh=(22,), **changes):
    return _firewall.render({**WANTED, **changes}, set(ssh))


def lines(text, name="x"):
    """The rules of this name."""
    return [line.strip() for line in text.splitlines() if line.endswith(f'comment "{name}"')]


def test_what_is_always_there():
    text = render()
    assert text.startswith("# Written by plainkube.cluster")
    # Replaced in one step, and nothing but our table.
    assert re.findall(r"^(?!#)\S.*table.*$", text, re.MULTILINE) == [
        "delete table inet plainkube",
    ]
    assert re.findall(r"^table .*$", text, re.MULTILINE) == ["table inet plainkube", "table inet plainkube {"]
    assert "flush" not in text
    assert "type filter hook input priority filter; policy drop;" in text
    assert "hook forward" not in text
    assert "hook prerouting" not in text
    order = [text.index(part) for part in ("ct state established", 'iif "lo"', "icmp", '"SSH"', "ct status dnat")]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("found", "more", "sources", "expected"),
    [
        ([22], [], [], ['tcp dport 22 accept comment "SSH"']),
        ([2222, 22], [2022], [], ['tcp dport { 22, 2022, 2222 } accept comment "SSH"']),
        ([22], [], ["198.51.100.0/24"], ['ip saddr 198.51.100.0/24 tcp dport 22 accept comment "SSH"']),
        ([], [], [], []),
    ],
)
def test_ssh(found, more, sources, expected):
    assert lines(render(found, ssh_ports=more, ssh_sources=sources), "SSH") == expected


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (WORLD, ["tcp dport 6443"]),
        # The world makes everybody else superfluous.
        (["hosts", "pods", "10.0.0.0/8", *WORLD], ["tcp dport 6443"]),
        (["0.0.0.0/0", "hosts"], ["meta nfproto ipv4 tcp dport 6443"]),
        (["hosts"], ["ip saddr @hosts4 tcp dport 6443"]),
        (
            ["hosts", "10.0.0.0/8", "10.1.0.0/16", "192.0.2.1", "fd00::1"],
            [
                "ip saddr @hosts4 tcp dport 6443",
                "ip saddr { 10.0.0.0/8, 192.0.2.1 } tcp dport 6443",
                "ip6 saddr fd00::1 tcp dport 6443",
            ],
        ),
        ([], []),
    ],
)
def test_sources(sources, expected):
    assert lines(render(accept=[rule(sources)])) == [f'{line} accept comment "x"' for line in expected]


def test_sets_are_those_that_are_used_an_element_a_line():
    text = render(accept=[rule(["hosts"], "udp", ["8472"])])
    assert re.findall(r"set (\w+)", text) == ["hosts4"]
    assert "{\n\t\t\t192.0.2.11,\n\t\t\t192.0.2.20,\n\t\t\t192.0.2.21\n\t\t}" in text
    assert lines(text) == ['ip saddr @hosts4 udp dport 8472 accept comment "x"']


def test_a_group_of_both_families_is_two_sets():
    text = render(groups={"hosts": ["192.0.2.0/24", "fd00::/64"]}, accept=[rule(["hosts"])])
    assert re.findall(r"set (\w+)", text) == ["hosts4", "hosts6"]
    assert len(lines(text)) == 2


def test_vrrp_has_no_ports():
    assert lines(render(accept=[rule(["control_planes"], "vrrp", [])])) == [
        'ip saddr @control_planes4 meta l4proto 112 accept comment "x"'
    ]


def test_node_ports_for_some_only():
    text = render(node_port_sources=["hosts", "pods", "198.51.100.0/24"])
    chain = text[text.index("chain node_ports") :]
    assert "hook prerouting priority dstnat - 10; policy accept;" in chain
    assert chain.index("established") < chain.index("@hosts4 accept") < chain.index("drop")
    assert "ip saddr 198.51.100.0/24 accept" in chain
    for protocol in ("tcp", "udp"):
        assert f"fib daddr type local {protocol} dport 30000-32767 drop" in chain


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"accept": [rule(["nobody"])]}, "has 'nobody'"),
        ({"accept": [rule(["10.0.0.1/8"])]}, "write the network, 10.0.0.0/8"),
        ({"accept": [rule(WORLD, ports=["http"])]}, "'http' is not a port"),
        ({"accept": [rule(WORLD, ports=["70000"])]}, "'70000' is not a port"),
        ({"accept": [rule(WORLD, ports=["20-10"])]}, "'20-10' is not a port"),
        ({"accept": [rule(WORLD, ports=[])]}, "must have ports"),
        ({"accept": [rule(WORLD, "vrrp")]}, "must have ports"),
        ({"accept": [rule(WORLD, name='a" drop; #')]}, "has an invalid name"),
        ({"ssh_sources": ["203.0.113.1/24"]}, "host bits"),
    ],
)
def test_what_nobody_can_mean_is_refused(changes, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        render(**changes)


def test_problems_name_the_variable():
    assert _firewall.source_problems("firewall_api_sources", ["hosts", *WORLD, "fd00::/8"], _firewall.GROUPS) == []
    assert _firewall.source_problems("firewall_api_sources", ["10.0.0.0/33"], _firewall.GROUPS) == [
        "firewall_api_sources has '10.0.0.0/33': write an IP address, a network in CIDR notation, or one of hosts, control_planes, members, pods."
    ]
    assert _firewall.source_problems("firewall_hosts", ["hosts"], ()) == [
        "firewall_hosts has 'hosts': write an IP address, a network in CIDR notation."
    ]
    good = {"name": "exporter", "ports": ["9100"], "sources": ["pods"]}
    assert _firewall.rule_problems("firewall_accept", [good]) == []
    assert _firewall.rule_problems("firewall_accept", [{**good, "ports": ["0"]}]) == [
        "firewall_accept: '0' is not a port: write a number up to 65535, or a range such as 30000-32767."
    ]


def test_hosts_that_are_left_out():
    addresses = {"k1": "192.0.2.11", "n1": "198.51.100.1", "n2": ""}
    assert _firewall.hosts_left_out(addresses, ["192.0.2.0/24"]) == ["n1"]
    assert _firewall.hosts_left_out(addresses, ["192.0.2.0/24", "198.51.100.1"]) == []


def test_the_unit_carries_our_stamp_and_knows_its_rules():
    text = _firewall.unit("rules")
    body, inputs, stamp = _stamp.split(text)
    assert (inputs, stamp.sum) == (
        [_firewall.RULES],
        _stamp.compute(body, [_firewall.RULES], {_firewall.RULES: "rules"}),
    )
    assert _firewall.unit("other") != text
    assert _stamp.changed_inputs(text, {_firewall.RULES: "rules"}) == []
    assert _stamp.changed_inputs(text, {_firewall.RULES: "by hand"}) == [_firewall.RULES]
