# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Parsers for a host's information from the kernel and Debian."""

from __future__ import annotations

import ipaddress
import json
import re
import typing as t

# Relative, because the lab imports this without the collection.
from . import _places

# uname -m -> the name in Go, Kubernetes and Debian.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

# linux/capability.h
CAP_SYS_RESOURCE = 24

# Interfaces whose networks follow the cluster's: docker0 and cni0 move to flannel's subnet, whatever their current network.
# kube-ipvs0 has the addresses of all Services.
OWN_INTERFACES = ("lo", _places.DOCKER_BRIDGE, _places.CNI_BRIDGE, "flannel.1", "kube-ipvs0")

# The interfaces of flannel, kube-proxy (IPVS), NodeLocal DNSCache, kube-router, Calico, Cilium and Weave; cni0 is of containerd and CRI-O.
_KUBERNETES = re.compile(
    r"cni0|flannel[.-].+|kube-ipvs0|kube-bridge|nodelocaldns|cali[0-9a-f]{11}|vxlan\.calico|cilium_\w+|weave|kube-dummy-if"
)


def parse_os_release(text: str) -> dict[str, str]:
    """os-release(5): keys and unquoted values."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key: value.strip().strip("\"'") for key, dummy, value in pairs}


def parse_memory_mb(text: str) -> int:
    """MiB of memory from /proc/meminfo."""
    found = re.search(r"^MemTotal:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) // 1024 if found else 0


def has_capability(status: str, capability: int) -> bool:
    """Whether a capability is in the bounding set in /proc/PID/status."""
    found = re.search(r"^CapBnd:\s+([0-9a-f]+)$", status, re.MULTILINE)
    return bool(int(found.group(1), 16) >> capability & 1) if found else True


def parse_version(text: str) -> tuple[int, ...]:
    """The first dotted number in a text: '6.1.0-28-amd64' and 'nftables v1.0.6 (…)' are (6, 1, 0) and (1, 0, 6)."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in found.group(0).split(".")) if found else ()


def nftables_usable(kernel: str, nft: str) -> bool:
    """Whether kube-proxy can use its nftables mode: requires kernel 5.13 and nft 1.0.1 (kubernetes.io, virtual IPs).

    If nft is not installed yet, only the kernel counts: Debian 12 and later have a recent nft.
    """
    return parse_version(kernel) >= (5, 13) and (not nft or parse_version(nft) >= (1, 0, 1))


def swaps(text: str) -> list[str]:
    """What /proc/swaps lists after its header. zram is memory, but counts: the kubelet compares nothing but the number of lines."""
    return [line.split()[0] for line in text.splitlines()[1:] if line.strip()]


def earlier(names: t.Iterable[str], ours: str) -> list[str]:
    """The CNI configurations that containerd prefers to ours: it uses the first one, by name."""
    return sorted(name for name in names if name.endswith((".conf", ".conflist", ".json")) and name < ours)


def of_kubernetes(interfaces: t.Iterable[str]) -> list[str]:
    """The interfaces that other clusters' networks and Services have."""
    return sorted(name for name in interfaces if _KUBERNETES.fullmatch(name))


def rules_of_kubernetes(chains: str) -> list[str]:
    """The kinds of packet filter rules that other clusters' kube-proxy and flannel have, from the output of `nft list chains` or iptables-save."""
    kinds = {f"{found}*" for found in re.findall(r"^\s*(?:chain |:)(KUBE-|FLANNEL-)", chains, re.MULTILINE)}
    tables = set(re.findall(r"^table \S+ (kube-proxy|flannel-ipv[46]) ", chains, re.MULTILINE))
    return [*(f"the chains {kind}" for kind in sorted(kinds)), *(f"the table {table}" for table in sorted(tables))]


def interface_networks(text: str) -> dict[str, list[str]]:
    """The IPv4 networks of a host, by interface, from `ip -json -4 address show`, except those that follow the cluster."""
    found: dict[str, list[str]] = {}
    for link in json.loads(text or "[]"):
        for address in link.get("addr_info", []) if link["ifname"] not in OWN_INTERFACES else []:
            interface = ipaddress.IPv4Interface(f"{address['local']}/{address['prefixlen']}")
            found.setdefault(link["ifname"], []).append(str(interface.network))
    return found


def interface_addresses(text: str) -> list[dict[str, t.Any]]:
    """The IPv4 addresses of a host with their interfaces, from `ip -json -4 address show`, except 127.0.0.0/8. Routed hosts have their address
    on lo."""
    return [
        {"interface": link["ifname"], "address": address["local"], "prefix": address["prefixlen"]}
        for link in json.loads(text or "[]")
        for address in link.get("addr_info", [])
        if not ipaddress.IPv4Address(address["local"]).is_loopback
    ]


def settled(apiserver: str, subnet: str, kubelet: str = "") -> dict[str, str]:
    """The unchangeable settings of the host's cluster, by variable, from the API server's unit, flannel's subnet file and the kubelet's configuration."""
    found = {
        "cluster_service_network": re.search(r"--service-cluster-ip-range=(\S+)", apiserver),
        "cluster_domain": re.search(r"--service-account-issuer=https://kubernetes\.default\.svc\.(\S+)", apiserver),
        "cluster_pod_network": re.search(r"^FLANNEL_NETWORK=(\S+)$", subnet, re.MULTILINE),
        # A Service keeps its cluster IP, and running pods have it in their resolv.conf.
        "cluster_dns_address": re.search(r"^clusterDNS:\s+- ['\"]?([\d.]+)", kubelet, re.MULTILINE),
    }
    return {name: match.group(1) for name, match in found.items() if match}


def docker_networks(answer: t.Iterable[t.Mapping[str, t.Any]]) -> list[tuple[str, str, list[str]]]:
    """Name, interface and IPv4 networks of each network in Docker's response to /networks, except docker0's."""
    found = []
    for entry in answer:
        interface = (entry.get("Options") or {}).get("com.docker.network.bridge.name", f"br-{entry['Id'][:12]}")
        subnets = [pool["Subnet"] for pool in (entry.get("IPAM") or {}).get("Config") or [] if pool.get("Subnet")]
        if interface not in OWN_INTERFACES:
            found.append((entry["Name"], interface, [subnet for subnet in subnets if ":" not in subnet]))
    return found


def host_networks(interfaces: t.Mapping[str, t.Sequence[str]], docker: t.Iterable[t.Mapping[str, t.Any]]) -> list[dict]:
    """The existing networks of a host, each with a description; a Docker network with its own name, not its interface's."""
    known = docker_networks(docker)
    bridges = {interface for _name, interface, _networks in known}
    named: list[tuple[str, t.Sequence[str]]] = [
        (f"the Docker network {name}", networks) for name, _bridge, networks in known
    ]
    named += [(f"the interface {name}", networks) for name, networks in interfaces.items() if name not in bridges]
    return [{"name": name, "network": network} for name, networks in named for network in networks]


def clock_interval(before: float, host: float, after: float) -> tuple[float, float]:
    """The minimum and maximum offset of a host's clock that was read between two readings of this machine's clock."""
    return host - after, host - before


def least_offset(low: float, high: float) -> float:
    """The offset closest to zero in an interval."""
    return max(low, 0.0) or min(high, 0.0)
