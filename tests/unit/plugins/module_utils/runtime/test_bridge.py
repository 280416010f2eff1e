# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json
import re

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _bridge
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime._bridge import Bridge, Subnet

FILE = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.5.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
SUBNET = Subnet("10.244.5.1/24", 1450, True)
GOOD = Bridge("10.244.5.1/24", 1450, 2, "10.244.5.0/24", 1450)


def test_parse_subnet():
    assert _bridge.parse_subnet(FILE, "/s") == SUBNET
    assert _bridge.parse_subnet(FILE.replace("true", "false"), "/s").masquerade is False
    assert SUBNET.network == "10.244.5.0/24"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "does not exist"),
        ("", "restart flanneld"),
        (FILE.replace("1450", "many"), "restart flanneld"),
        (FILE.replace("10.244.5.1/24", "10.244.5.1/240"), "restart flanneld"),
    ],
)
def test_parse_subnet_refuses(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        _bridge.parse_subnet(text, "/s")


def test_parse_addresses():
    links = [
        {"ifname": "lo", "mtu": 65536, "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}]},
        {"ifname": "docker0", "mtu": 1450, "addr_info": [{"local": "10.244.5.1", "prefixlen": 24}]},
        {"ifname": "bare", "mtu": 1500, "addr_info": []},
        {},
    ]
    expected = {"lo": ("127.0.0.1/8", 65536), "docker0": ("10.244.5.1/24", 1450)}
    assert _bridge.parse_addresses(json.dumps(links)) == expected
    assert _bridge.parse_addresses("") == {}


def test_parse_network():
    answer = {
        "IPAM": {"Config": [{"Subnet": "10.244.5.0/24", "Gateway": "10.244.5.1"}]},
        "Options": {"com.docker.network.driver.mtu": "1450"},
    }
    assert _bridge.parse_network(answer) == ("10.244.5.0/24", 1450, "")
    assert _bridge.parse_network({"IPAM": None, "Options": None}) == ("", 1500, "")
    answer["IPAM"]["Config"][0]["IPRange"] = "10.244.5.0/25"
    assert _bridge.parse_network(answer) == ("10.244.5.0/24", 1450, "10.244.5.0/25")


@pytest.mark.parametrize(
    ("fixed_cidr", "pod_range", "part"),
    [
        ("", "", ""),
        ("lower", "", "10.244.5.0/25"),
        ("lower", "upper", "10.244.5.0/25"),
        ("upper", "lower", "10.244.5.128/25"),
        ("10.244.5.0/26", "upper", "10.244.5.0/26"),
    ],
)
def test_dockers_part_of_the_subnet(fixed_cidr, pod_range, part):
    assert _bridge.docker_part(fixed_cidr, pod_range, SUBNET) == part


@pytest.mark.parametrize(
    ("fixed_cidr", "pod_range", "words"),
    [
        (
            "",
            "upper",
            "fixed_cidr is '' (10.244.5.0/24), which overlaps the pods' 10.244.5.128/25 (pod_range is 'upper')",
        ),
        ("upper", "upper", "overlaps the pods' 10.244.5.128/25"),
        ("10.244.5.0/24", "upper", "overlaps the pods'"),
        (
            "10.244.9.0/25",
            "upper",
            "fixed_cidr is 10.244.9.0/25, which is not inside flannel's subnet 10.244.5.0/24",
        ),
        ("lower", "10.244.9.0/25", "pod_range is 10.244.9.0/25, which is not inside"),
        ("half", "", "fixed_cidr is 'half', which is not a network; use lower, upper"),
    ],
)
def test_parts_that_cannot_be_are_refused(fixed_cidr, pod_range, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        _bridge.docker_part(fixed_cidr, pod_range, SUBNET)


def test_another_part_is_a_reason():
    half = GOOD._replace(addresses="10.244.5.0/25")
    assert _bridge.part_reasons("10.244.5.0/25", half) == []
    assert _bridge.part_reasons("", half) == [
        "Docker assigns addresses of 10.244.5.0/25, and its range is 10.244.5.0/24"
    ]
    assert _bridge.part_reasons("10.244.5.0/25", GOOD) == [
        "Docker assigns addresses of 10.244.5.0/24, and its range is 10.244.5.0/25"
    ]
    assert _bridge.part_reasons("10.244.5.0/25", Bridge()) == []


@pytest.mark.parametrize(
    ("bridge", "reason"),
    [
        (GOOD, None),
        (GOOD._replace(network="", network_mtu=0), None),
        (Bridge(), None),
        (Bridge(network="172.17.0.0/16"), "there is no docker0"),
        (GOOD._replace(address="172.17.0.1/16"), "docker0 has 172.17.0.1/16"),
        (GOOD._replace(address="10.244.5.1/16"), "docker0 has 10.244.5.1/16"),
        (GOOD._replace(network="172.17.0.0/16"), "addresses of 172.17.0.0/16"),
        (GOOD._replace(network_mtu=1500), "an MTU of 1500"),
        (GOOD._replace(mtu=1500), None),
    ],
)
def test_reasons(bridge, reason):
    found = _bridge.reasons(SUBNET, bridge)
    assert len(found) == (1 if reason else 0)
    assert not reason or reason in found[0]


@pytest.mark.parametrize(
    ("bridge", "others"),
    [
        (GOOD, []),
        (GOOD._replace(mtu=1500, network="", network_mtu=0), ["docker0"]),
        (GOOD._replace(mtu=1500, ends=(("veth1", 1450), ("veth2", 1500))), ["docker0", "veth2"]),
        # Docker must be restarted anyway, and gives them all its new MTU.
        (GOOD._replace(mtu=1500, network_mtu=1500), []),
        (GOOD._replace(mtu=1500, address="172.17.0.1/16"), []),
        (Bridge(), []),
    ],
)
def test_mtus_that_the_kernel_can_change_in_place(bridge, others):
    found = _bridge.other_mtus(SUBNET, bridge)
    assert [*found] == others
    assert all(text == f"{name} has an MTU of 1500, flannel's is 1450" for name, text in found.items())


MINE = {"Id": "1" * 64, "Names": ["/mine"], "Labels": {"app": "x"}}
POD = {"Id": "2" * 64, "Names": ["/k8s_POD_hello"], "Labels": {"io.kubernetes.pod.name": "hello"}}
BARE = {"Id": "3" * 64, "Names": None, "Labels": None}


def test_name():
    assert [_bridge.name(container) for container in (MINE, BARE)] == ["mine", "3" * 12]


@pytest.mark.parametrize(
    ("rebuild", "live_restore", "owned", "foreign"),
    [
        (False, True, [], []),
        (False, False, [], [MINE, BARE]),
        (True, True, [POD], [MINE, BARE]),
        (True, False, [POD], [MINE, BARE]),
    ],
)
def test_to_stop(rebuild, live_restore, owned, foreign):
    assert _bridge.to_stop([MINE, POD, BARE], rebuild, live_restore) == (owned, foreign)


RULES = """-P POSTROUTING ACCEPT
-N FLANNEL-POSTRTG
-A POSTROUTING -o docker0 -m addrtype --src-type LOCAL -j MASQUERADE
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 172.18.0.0/16 ! -o br-12 -j MASQUERADE
-A POSTROUTING -s 10.244.5.2/32 -d 10.244.5.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
-A POSTROUTING -j FLANNEL-POSTRTG
"""
DOCKERS = "-A POSTROUTING -s 10.244.5.0/24 ! -o docker0 -j MASQUERADE\n"


def test_docker_masquerades():
    assert _bridge.docker_masquerades(RULES) == ["-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"]


@pytest.mark.parametrize(
    ("subnet", "rules", "nftables", "problem"),
    [
        (SUBNET, RULES, "", ""),
        (SUBNET, RULES + DOCKERS, "", "Docker masquerades 10.244.5.0/24"),
        (SUBNET, "", "", "flannel does not masquerade"),
        (SUBNET, "", "table ip flannel-ipv4\n", ""),
        (SUBNET._replace(masquerade=False), "", "", ""),
    ],
)
def test_masquerade_problem(subnet, rules, nftables, problem):
    found = _bridge.masquerade_problem(subnet, rules, nftables)
    assert problem in found
    assert bool(found) == bool(problem)
