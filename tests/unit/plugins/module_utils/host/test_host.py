# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pathlib

import jinja2
import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _host

ROLES = pathlib.Path(__file__).parents[5] / "roles"


def render(text, **variables):
    """A template with these variables, and nothing where it has others."""
    environment = jinja2.Environment(undefined=jinja2.ChainableUndefined, trim_blocks=True)
    return environment.from_string(text).render(variables)


def test_os_release_is_unquoted():
    assert _host.parse_os_release('ID=debian\nVERSION_ID="13"\n# x=y\n') == {"ID": "debian", "VERSION_ID": "13"}


def test_memory_is_in_mib():
    assert _host.parse_memory_mb("MemTotal:        2097152 kB\nMemFree: 1 kB\n") == 2048


@pytest.mark.parametrize(
    ("bounding", "has"),
    [("000001ffffffffff", True), ("000001fffeffffff", False)],
)
def test_capability(bounding, has):
    assert _host.has_capability(f"Name:\tsystemd\nCapBnd:\t{bounding}\n", _host.CAP_SYS_RESOURCE) is has


@pytest.mark.parametrize(
    ("kernel", "nft", "usable"),
    [
        ("6.1.0-28-amd64", "nftables v1.0.6 (Lester Gooch #5)", True),
        ("6.12.0", "", True),
        ("5.10.0-30-amd64", "nftables v1.0.6", False),
        ("5.15.0", "nftables v0.9.8 (E.D.S.)", False),
    ],
)
def test_nftables(kernel, nft, usable):
    assert _host.nftables_usable(kernel, nft) is usable


@pytest.mark.parametrize(
    ("text", "swaps"),
    [
        ("Filename\tType\tSize\n", []),
        ("Filename\tType\tSize\n/dev/sda2 partition 1\n", ["/dev/sda2"]),
        # The kubelet compares nothing but the number of lines (container_manager_linux.go, validateSwapConfiguration).
        ("Filename\tType\tSize\n/dev/zram0 partition 1\n/swapfile file 1\n\n", ["/dev/zram0", "/swapfile"]),
        ("", []),
    ],
)
def test_swaps(text, swaps):
    assert _host.swaps(text) == swaps


def test_cni_configurations_that_containerd_prefers():
    names = [
        "05-other.conflist",
        "1-a.json",
        "10-plainkube.conflist",
        "10-a.conf",
        "87-podman-bridge.conflist",
        "00-b.conf.bak",
        ".plainkube-cni",
    ]
    assert _host.earlier(names, "10-plainkube.conflist") == ["05-other.conflist", "1-a.json", "10-a.conf"]


def test_interfaces_of_other_clusters():
    own = ["lo", "eth0", "docker0", "br-0123456789ab", "wg0", "tunl0", "cni-podman0", "calm0"]
    others = [
        "cali0123456789a",
        "cilium_host",
        "cni0",
        "flannel-wg",
        "flannel.1",
        "kube-ipvs0",
        "nodelocaldns",
        "vxlan.calico",
    ]
    assert _host.of_kubernetes([*others, *own]) == ["cali0123456789a", *others[1:]]


NFT = """\
table ip nat {
    chain DOCKER {
    }
    chain PREROUTING {
        type nat hook prerouting priority dstnat; policy accept;
    }
    chain KUBE-SERVICES {
    }
    chain KUBE-POSTROUTING {
    }
    chain FLANNEL-POSTRTG {
    }
}
table ip kube-proxy {
    chain services {
    }
}
table inet kube-proxy-mine {
}
""".replace("    ", "\t")
LEGACY = "*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-SVC-NPX46M4PTMTKRN6Y - [0:0]\n-A PREROUTING -j KUBE-SERVICES\nCOMMIT\n"


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (NFT, ["the chains FLANNEL-*", "the chains KUBE-*", "the table kube-proxy"]),
        (LEGACY, ["the chains KUBE-*"]),
        ("table ip filter {\n\tchain CNI-FORWARD {\n\t}\n\tchain MY-KUBE-RULES {\n\t}\n}\n", []),
        ("", []),
    ],
)
def test_rules_of_other_clusters(text, kinds):
    assert _host.rules_of_kubernetes(text) == kinds


ADDRESSES = """[
 {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}]},
 {"ifname": "eth0", "addr_info": [{"local": "192.0.2.7", "prefixlen": 26}, {"local": "10.1.2.3", "prefixlen": 32}]},
 {"ifname": "docker0", "addr_info": [{"local": "10.244.3.1", "prefixlen": 24}]},
 {"ifname": "flannel.1", "addr_info": [{"local": "10.244.3.0", "prefixlen": 32}]},
 {"ifname": "br-0123456789ab", "addr_info": [{"local": "10.244.9.1", "prefixlen": 24}]},
 {"ifname": "down0", "addr_info": []}
]"""
# As GET /networks answers.
DOCKER = [
    {
        "Name": "bridge",
        "Id": "f" * 64,
        "Options": {"com.docker.network.bridge.name": "docker0"},
        "IPAM": {"Config": [{"Subnet": "10.244.3.0/24"}]},
    },
    {
        "Name": "backend",
        "Id": "0123456789abcdef",
        "Options": {},
        "IPAM": {"Config": [{"Subnet": "10.244.9.0/24"}, {"Subnet": "fd00::/64"}]},
    },
    {"Name": "host", "Id": "e" * 64, "Options": None, "IPAM": {"Config": None}},
]


def test_networks_of_interfaces_by_prefix_and_not_those_that_follow_the_cluster():
    networks = _host.interface_networks(ADDRESSES)
    assert networks == {"eth0": ["192.0.2.0/26", "10.1.2.3/32"], "br-0123456789ab": ["10.244.9.0/24"]}
    assert _host.interface_networks("") == {}


def test_addresses_with_their_interfaces():
    found = _host.interface_addresses(ADDRESSES)
    assert {"interface": "eth0", "address": "10.1.2.3", "prefix": 32} in found
    assert "lo" not in {one["interface"] for one in found}
    routed = ADDRESSES.replace("127.0.0.1", "192.0.2.99")
    assert {"interface": "lo", "address": "192.0.2.99", "prefix": 8} in _host.interface_addresses(routed)
    assert _host.interface_addresses("") == []


def test_what_the_cluster_of_a_control_plane_cannot_change():
    unit = (ROLES / "control_plane/templates/kube-apiserver.service.j2").read_text(encoding="utf-8")
    given = {"control_plane_shutdown_delay": 0, "__control_plane_watch_grace": 0, "cluster_api_port": 6443}
    text = render(unit, cluster_service_network="10.96.0.0/16", cluster_domain="k.example", **given)
    of_apiserver = {"cluster_service_network": "10.96.0.0/16", "cluster_domain": "k.example"}
    assert _host.settled(text, "") == of_apiserver
    subnet = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.7.1/24\n"
    assert _host.settled(text, subnet) == {**of_apiserver, "cluster_pod_network": "10.244.0.0/16"}
    assert _host.settled("", "") == {}


def test_what_the_cluster_of_a_node_cannot_change():
    config = "cgroupRoot: /kubelet\nclusterDNS:\n- 10.96.0.10\n- 10.96.0.11\nclusterDomain: k.example\n"
    assert _host.settled("", "", config) == {"cluster_dns_address": "10.96.0.10"}
    assert _host.settled("", "", config.replace("clusterDNS", "other")) == {}


def test_other_issuers_beside_the_clusters_own_are_no_matter():
    issuers = ["https://oidc.example", "https://kubernetes.default.svc.k.example"]
    flags = "".join(f"  --service-account-issuer={issuer} \\\n" for issuer in issuers)
    assert _host.settled(flags, "") == {"cluster_domain": "k.example"}


def test_a_docker_network_goes_by_its_name():
    interfaces = _host.interface_networks(ADDRESSES)
    assert _host.host_networks(interfaces, DOCKER) == [
        {"name": "the Docker network backend", "network": "10.244.9.0/24"},
        {"name": "the interface eth0", "network": "192.0.2.0/26"},
        {"name": "the interface eth0", "network": "10.1.2.3/32"},
    ]
    assert _host.host_networks(interfaces, [])[-1] == {
        "name": "the interface br-0123456789ab",
        "network": "10.244.9.0/24",
    }


@pytest.mark.parametrize(
    ("before", "host", "after", "least"),
    [(100, 100.5, 101, 0), (100, 107, 101, 6), (100, 95, 101, -5), (100, 103, 104, 0), (100, 100, 100, 0)],
)
def test_the_offset_of_a_clock_is_at_least(before, host, after, least):
    assert _host.least_offset(*_host.clock_interval(before, host, after)) == least
