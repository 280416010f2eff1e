# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _flannel_network as flannel


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ({"network": "10.244.0.0/16"}, {"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}),
        (
            {"network": "10.3.0.0/16", "subnet_min": "10.3.5.0", "subnet_max": "10.3.8.0", "subnet_len": 28},
            {
                "Network": "10.3.0.0/16",
                "SubnetLen": 28,
                "SubnetMin": "10.3.5.0",
                "SubnetMax": "10.3.8.0",
                "Backend": {"Type": "vxlan"},
            },
        ),
        (
            {"network": "10.0.0.0/28", "backend": {"type": "host-gw", "direct_routing": False, "vni": None}},
            {"Network": "10.0.0.0/28", "Backend": {"Type": "host-gw"}},
        ),
        (
            {"network": "10.0.0.0/8", "backend": {"type": "vxlan", "vni": 7, "direct_routing": True, "mtu": 1400}},
            {"Network": "10.0.0.0/8", "Backend": {"Type": "vxlan", "VNI": 7, "DirectRouting": True, "MTU": 1400}},
        ),
        (
            {"network": "10.0.0.0/16", "backend": {"type": "ipsec", "psk": "k" * 96}},
            {"Network": "10.0.0.0/16", "Backend": {"Type": "ipsec", "PSK": "k" * 96}},
        ),
    ],
)
def test_build(arguments, value):
    built = flannel.build(**arguments)
    assert built == value
    assert json.loads(flannel.render(built)) == value


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"network": "10.244.0.0"}, "without a prefix length"),
        ({"network": "10.244.0.5/16"}, "write 10.244.0.0/16"),
        ({"network": "10.244.0.0/33"}, "not an IPv4 network"),
        ({"network": "fd00::/48"}, "not an IPv4 network"),
        ({"network": "10.0.0.0/29"}, "too small"),
        ({"network": "10.0.0.0/16", "subnet_len": 31}, "subnet_len is 31"),
        ({"network": "10.0.0.0/16", "subnet_len": 17}, "use 18 or longer"),
        ({"network": "10.0.0.0/16", "subnet_min": "10.1.0.0"}, "outside network"),
        ({"network": "10.0.0.0/16", "subnet_max": "10.1.0.0"}, "subnet_max is 10.1.0.0"),
        ({"network": "10.0.0.0/16", "subnet_min": "10.0.5.1"}, "10.0.5.0 is"),
        ({"network": "10.0.0.0/16", "subnet_len": 22, "subnet_max": "10.0.5.0"}, "10.0.4.0 is"),
        ({"network": "10.0.0.0/16", "subnet_min": "x"}, "not an IPv4 address"),
        ({"network": "10.0.0.0/16", "subnet_min": "10.0.9.0", "subnet_max": "10.0.8.0"}, "after subnet_max"),
        ({"network": "10.0.0.0/16", "backend": {"type": "vlan"}}, "must be one of vxlan, host-gw"),
        ({"network": "10.0.0.0/16", "backend": {"type": "host-gw", "vni": 1}}, "does not support option VNI"),
        ({"network": "10.0.0.0/16", "backend": {"type": "vxlan", "vni": 1 << 24}}, "VNI of backend vxlan is 16777216"),
        ({"network": "10.0.0.0/16", "backend": {"type": "vxlan", "port": 70000}}, "from 1 to 65535"),
        ({"network": "10.0.0.0/16", "backend": {"type": "ipsec", "psk": "short"}}, "96 characters"),
    ],
)
def test_build_refuses(arguments, sentence):
    with pytest.raises(ValueError, match=sentence.replace("(", r"\(")) as caught:
        flannel.build(**arguments)
    assert "short" not in str(caught.value)


# Defaults as flannel's own pkg/subnet/config_test.go has them.
@pytest.mark.parametrize(
    ("text", "length", "first", "last"),
    [
        ('{"network": "10.3.0.0/16"}', 24, "10.3.1.0", "10.3.255.0"),
        ('{"Network": "10.3.0.0/22"}', 24, "10.3.1.0", "10.3.3.0"),
        ('{"Network": "10.3.0.0/23"}', 25, "10.3.0.128", "10.3.1.128"),
        ('{"Network": "10.3.0.0/28"}', 30, "10.3.0.4", "10.3.0.12"),
        (
            '{"NETWORK": "10.3.7.7/16", "SubnetMin": "10.3.5.0", "SubnetMax": "10.3.8.0", "SubnetLen": 28}',
            28,
            "10.3.5.0",
            "10.3.8.0",
        ),
    ],
)
def test_canonical_fills_in_the_defaults(text, length, first, last):
    config = flannel.canonical(text)
    assert (config["SubnetLen"], config["SubnetMin"], config["SubnetMax"]) == (length, first, last)
    assert config["Backend"] == {"Type": "udp", "Port": 8285}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nonsense", "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "not an IPv4 network"),
        ('{"Network": "10.0.0.0/16", "SubnetLen": "24"}', "SubnetLen is not a number"),
        ('{"Network": "10.0.0.0/30"}', "too small"),
        ('{"Network": "10.0.0.0/16", "Backend": "vxlan"}', "Backend is not a JSON object"),
    ],
)
def test_canonical_refuses_what_flannel_refuses(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        flannel.canonical(text)


WANTED = '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}'


@pytest.mark.parametrize(
    ("live", "different"),
    [
        (WANTED, []),
        ('{"backend": {"type": "VXLAN", "vni": 1, "port": 8472}, "network": "10.244.0.0/16"}', []),
        ('{"Network":"10.244.0.0/16","SubnetLen":24,"SubnetMin":"10.244.1.0","Backend":{"Type":"vxlan"},"X":1}', []),
        ('{"Network":"10.244.0.0/16","EnableIPv4":true,"Backend":{"Type":"vxlan","DirectRouting":false}}', []),
        (
            '{"Network":"10.245.0.0/16","Backend":{"Type":"vxlan"}}',
            ["Network", "SubnetMax", "SubnetMin"],
        ),
        (
            '{"Network":"10.244.0.0/16","SubnetLen":25,"SubnetMin":"10.244.1.0","SubnetMax":"10.244.255.0",'
            '"Backend":{"Type":"vxlan"}}',
            ["SubnetLen"],
        ),
        ('{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan","VNI":2}}', ["Backend.VNI"]),
        ('{"Network":"10.244.0.0/16","EnableNFTables":true,"Backend":{"Type":"vxlan"}}', ["EnableNFTables"]),
        (
            '{"Network":"10.244.0.0/16","EnableIPv6":true,"IPv6Network":"fc00::/48","Backend":{"Type":"vxlan"}}',
            ["EnableIPv6", "ipv6network"],
        ),
    ],
)
def test_difference(live, different):
    assert flannel.difference(flannel.canonical(live), flannel.canonical(WANTED)) == different


def test_a_missing_backend_is_udp_and_differs():
    live = flannel.canonical('{"Network":"10.244.0.0/16"}')
    assert "Backend.Type" in flannel.difference(live, flannel.canonical(WANTED))


def test_consequence():
    assert "new subnet" in flannel.consequence(["Network", "Backend.VNI"])
    assert "new subnet" not in flannel.consequence(["Backend.VNI"])


def test_redacted():
    text = flannel.redacted('{"Network":"10.0.0.0/16","backend":{"Type":"ipsec","psk":"hush"}}')
    assert "hush" not in text
    assert "10.0.0.0/16" in text
    assert flannel.redacted("nonsense") == "nonsense"
    assert flannel.redacted("[1]") == "[1]"


def test_lease_names():
    keys = [
        "/coreos.com/network/config",
        "/coreos.com/network/subnets/10.244.7.0-24",
        "/coreos.com/network/subnets/10.244.5.0-24&fc00:0:0:5::-64",
    ]
    assert flannel.lease_names(keys, "/coreos.com/network") == ["10.244.5.0/24", "10.244.7.0/24"]
