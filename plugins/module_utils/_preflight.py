# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""What is wrong with the inputs or with a host, in sentences that say what to do. No I/O."""

from __future__ import annotations

import ipaddress
import itertools
import re
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils import _flannel_network

# The systems that are tested, by ID of os-release(5), and the least version of each.
DISTRIBUTIONS = {"debian": (12,)}
ARCHITECTURES = ("amd64", "arm64")
# Older ones leak through their access control (GHSA-q8m4-xhhv-38mg, GHSA-rfx7-8w68-q57q, GHSA-xg4h-6gfc-h4m8).
LEAST_ETCD = {(3, 6): (3, 6, 14), (3, 7): (3, 7, 1)}


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _network_trouble(name: str, value: str) -> str:
    try:
        network = ipaddress.IPv4Network(value, strict=False)
    except ValueError:
        return f"{name} is {value!r}, which is no IPv4 network in CIDR notation, like 10.244.0.0/16."
    if "/" not in str(value):
        return f"{name} is {value!r}; write it as a network in CIDR notation, like 10.244.0.0/16."
    if str(network) != str(value):
        return f"{name} is {value!r}, which has host bits set; the network is {network}."
    return ""


def network_troubles(networks: t.Mapping[str, str]) -> list[str]:
    """Networks by variable name: each in CIDR notation without host bits, and no two that overlap."""
    troubles = [trouble for name, value in networks.items() if (trouble := _network_trouble(name, value))]
    if troubles:
        return troubles
    return [
        f"{name} ({value}) overlaps {other_name} ({other}): choose networks that share no address."
        for (name, value), (other_name, other) in itertools.combinations(networks.items(), 2)
        if ipaddress.IPv4Network(value).overlaps(ipaddress.IPv4Network(other))
    ]


def etcd_version_troubles(version: str) -> list[str]:
    """Whether this etcd keeps its users apart."""
    found = _version(version)
    least = LEAST_ETCD.get(found[:2], (3, 7, 1))
    if found >= least and len(found) == 3:
        return []
    advice = ".".join(str(part) for part in least)
    return [f"cluster_etcd_version is {version!r}, whose access control has known holes: take {advice} or newer."]


def member_troubles(members: t.Sequence[str], group: str) -> list[str]:
    """Whether the number of etcd members is odd."""
    if len(members) % 2:
        return []
    return [
        f"There are {len(members)} etcd members ({', '.join(members)}), which survive no more failures than one less: "
        f"add one to the group {group} or remove one."
    ]


def node_name_troubles(names: t.Sequence[str]) -> list[str]:
    """Whether inventory names can name Nodes: RFC 1123, and short enough for a certificate's common name of 64."""
    return [
        f"{name} cannot name a Node: use small letters, digits, dashes and dots, 52 at most, as its name in the inventory."
        for name in names
        if len(name) > 52 or not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", name)
    ]


def subnet_troubles(network: str, length: int) -> list[str]:
    """Whether flannel can cut the pod network into subnets of this length, by the rules of module etcd_network_config."""
    try:
        _flannel_network.build(network, length)
    except ValueError as error:
        return [
            f"cluster_pod_network is {network!r} and flannel_subnet_length is {length}, which flannel refuses: {error}."
        ]
    return []


def input_troubles(settings: t.Mapping[str, t.Any]) -> list[str]:
    """What is wrong with the variables of role cluster and the groups."""
    if not settings["control_planes"]:
        group = settings["control_plane_group"]
        return [f"The inventory has no host in the group {group} (cluster_control_plane_group): add a control plane."]
    networks = network_troubles(settings["networks"])
    return [
        *member_troubles(settings["etcd_members"], settings["etcd_group"]),
        *node_name_troubles(settings["nodes"]),
        *(networks or subnet_troubles(settings["networks"]["cluster_pod_network"], settings["subnet_length"])),
        *etcd_version_troubles(settings["etcd_version"]),
    ]


def address_troubles(subject: t.Mapping[str, t.Any]) -> list[str]:
    """Addresses by host name: everybody has one, nobody another's, and none lies in one of the networks."""
    addresses = subject["addresses"]
    troubles = [
        f"{host} did not tell its IPv4 address (no default route, or not reached): set cluster_address for it in the inventory."
        for host, address in addresses.items()
        if not address
    ]
    hosts: dict[str, list[str]] = {}
    for host, address in addresses.items():
        hosts.setdefault(address, []).append(host)
    troubles += [
        f"{host} has the address {address}, which lies in {name} ({network}): choose another network for {name}."
        for host, address in addresses.items()
        for name, network in subject["networks"].items()
        if address and ipaddress.IPv4Address(address) in ipaddress.IPv4Network(network)
    ]
    return troubles + [
        f"{' and '.join(names)} have the same address {address}: set cluster_address for them in the inventory."
        for address, names in hosts.items()
        if address and len(names) > 1
    ]


def kubelet_troubles(facts: t.Mapping[str, t.Any], host: str, kubelet_config: t.Mapping[str, t.Any]) -> list[str]:
    """What the kubelet would exit for, unless node_kubelet_config tells it not to."""
    troubles = []
    if facts["swap"] and kubelet_config.get("failSwapOn", True):
        troubles.append(
            f"{host} swaps, which the kubelet refuses: switch swap off (swapoff -a, and in /etc/fstab), "
            "or set failSwapOn: false in node_kubelet_config."
        )
    if facts["cgroup_version"] == 1 and kubelet_config.get("failCgroupV1", True):
        troubles.append(
            f"{host} has cgroup v1, which the kubelet refuses: boot it with cgroup v2 (systemd's default), "
            "or set failCgroupV1: false in node_kubelet_config."
        )
    return troubles


def host_troubles(
    facts: t.Mapping[str, t.Any], host: str, memory_mb: int, kubelet_config: t.Mapping[str, t.Any] | None = None
) -> list[str]:
    """What keeps a host, as module host_facts saw it, from being part of a cluster; kubelet_config for nodes only."""
    troubles = [] if kubelet_config is None else kubelet_troubles(facts, host, kubelet_config)
    name, version = facts["distribution"], facts["distribution_version"]
    if name not in DISTRIBUTIONS or _version(version) < DISTRIBUTIONS[name]:
        troubles.append(f"{host} runs {name} {version}: use Debian 12 or newer.")
    if not facts["systemd"]:
        troubles.append(f"{host} was not started by systemd, which runs all components: use a host that is.")
    if facts["architecture"] not in ARCHITECTURES:
        troubles.append(f"{host} is {facts['architecture']}: use a host that is {' or '.join(ARCHITECTURES)}.")
    if facts["memory_mb"] < memory_mb:
        troubles.append(
            f"{host} has {facts['memory_mb']} MiB of memory and preflight_memory_mb asks for {memory_mb}: "
            "give it more, or lower preflight_memory_mb."
        )
    return troubles
