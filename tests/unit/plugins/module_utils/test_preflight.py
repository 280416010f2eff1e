# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils import _preflight

GOOD = {
    "control_planes": ["k1"],
    "control_plane_group": "control_plane",
    "etcd_members": ["k1"],
    "etcd_group": "etcd",
    "etcd_version": "3.7.3",
    "subnet_length": 24,
    "nodes": ["n1", "node-2.example.org"],
    "networks": {"cluster_pod_network": "10.244.0.0/16", "cluster_service_network": "10.96.0.0/16"},
}
HOST = {
    "distribution": "debian",
    "distribution_version": "13",
    "systemd": True,
    "architecture": "amd64",
    "memory_mb": 2000,
    "swap": False,
    "cgroup_version": 2,
}


def test_good_inputs_are_no_trouble():
    assert _preflight.input_troubles(GOOD) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"control_planes": []}, "no host in the group control_plane (cluster_control_plane_group)"),
        ({"etcd_members": ["k1", "k2"]}, "2 etcd members (k1, k2)"),
        ({"etcd_version": "3.6.9"}, "cluster_etcd_version is '3.6.9'"),
        ({"etcd_version": "3.7.0"}, "take 3.7.1 or newer"),
        ({"etcd_version": "3.5.21"}, "take 3.7.1 or newer"),
        ({"nodes": ["n1", "Node1"]}, "Node1 cannot name a Node"),
        ({"nodes": ["node_1"]}, "node_1 cannot name a Node"),
        ({"nodes": ["n" * 53]}, "cannot name a Node"),
        ({"subnet_length": 31}, "flannel_subnet_length is 31, which flannel refuses"),
        ({"subnet_length": 16}, "cluster_pod_network is '10.244.0.0/16' and flannel_subnet_length is 16"),
        ({"etcd_version": "latest"}, "cluster_etcd_version is 'latest'"),
        (
            {"networks": {"a": "10.96.0.0/12", "b": "10.96.0.0/16"}},
            "a (10.96.0.0/12) overlaps b (10.96.0.0/16): choose networks that share no address.",
        ),
    ],
)
def test_bad_inputs(changes, words):
    troubles = _preflight.input_troubles({**GOOD, **changes})
    assert len(troubles) == 1
    assert words in troubles[0]


@pytest.mark.parametrize("version", ["3.6.14", "3.7.1", "3.8.0", "4.0.0"])
def test_etcd_versions_that_are_well(version):
    assert _preflight.etcd_version_troubles(version) == []


@pytest.mark.parametrize(
    ("network", "trouble"),
    [
        ("10.244.0.1/16", "a is '10.244.0.1/16', which has host bits set; the network is 10.244.0.0/16."),
        ("10.244.0.0", "a is '10.244.0.0'; write it as a network in CIDR notation, like 10.244.0.0/16."),
        ("fd00::/64", "a is 'fd00::/64', which is no IPv4 network in CIDR notation, like 10.244.0.0/16."),
        ("10.244.0.0/40", "a is '10.244.0.0/40', which is no IPv4 network in CIDR notation, like 10.244.0.0/16."),
    ],
)
def test_bad_networks(network, trouble):
    assert _preflight.network_troubles({"a": network}) == [trouble]


def test_a_good_host_is_no_trouble():
    assert _preflight.host_troubles(HOST, "n1", 900) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"distribution_version": "11"}, "n1 runs debian 11"),
        ({"distribution": "ubuntu", "distribution_version": "24.04"}, "n1 runs ubuntu 24.04"),
        ({"distribution": "fedora"}, "n1 runs fedora 13"),
        ({"systemd": False}, "n1 was not started by systemd"),
        ({"architecture": "riscv64"}, "n1 is riscv64"),
        ({"memory_mb": 512}, "n1 has 512 MiB of memory and preflight_memory_mb asks for 900"),
    ],
)
def test_bad_hosts(changes, words):
    troubles = _preflight.host_troubles({**HOST, **changes}, "n1", 900)
    assert len(troubles) == 1
    assert words in troubles[0]


@pytest.mark.parametrize(
    ("changes", "config", "words"),
    [
        ({"swap": True}, {}, ["n1 swaps"]),
        ({"swap": True}, {"failSwapOn": False}, []),
        ({"swap": True}, None, []),
        ({"cgroup_version": 1}, {}, ["n1 has cgroup v1"]),
        ({"cgroup_version": 1}, {"failCgroupV1": False}, []),
    ],
)
def test_what_the_kubelet_would_exit_for(changes, config, words):
    troubles = _preflight.host_troubles({**HOST, **changes}, "n1", 900, config)
    assert [trouble.partition(" which")[0].rstrip(",") for trouble in troubles] == words


def test_addresses():
    networks = GOOD["networks"]
    assert _preflight.address_troubles({"addresses": {"k1": "10.0.0.1", "n1": "10.0.0.2"}, "networks": networks}) == []
    addresses = {"k1": "10.0.0.1", "n1": "", "n2": "10.0.0.1", "n3": "10.244.7.1"}
    assert _preflight.address_troubles({"addresses": addresses, "networks": networks}) == [
        "n1 did not tell its IPv4 address (no default route, or not reached): set cluster_address for it in the inventory.",
        "n3 has the address 10.244.7.1, which lies in cluster_pod_network (10.244.0.0/16): choose another network for "
        "cluster_pod_network.",
        "k1 and n2 have the same address 10.0.0.1: set cluster_address for them in the inventory.",
    ]
