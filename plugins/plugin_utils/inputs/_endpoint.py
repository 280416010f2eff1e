# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""Problems with the API's external address: an endpoint that leads nowhere, a virtual IP that no host can hold. No I/O."""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.network import _addresses

Host = t.Mapping[str, t.Any]


class Api(t.NamedTuple):
    """The variables."""

    endpoint: str  # cluster_api_endpoint
    port: int
    balancers: t.Sequence[str]
    balancer_port: int
    virtual_ip: str
    interface: str  # cluster_virtual_ip_interface
    control_planes: t.Sequence[str]
    # The ports of all components by name, and those of NodePorts, as LOW-HIGH.
    ports: t.Mapping[str, t.Sequence[int]] = {}
    node_ports: str = ""


# Components whose ports are set by the variables in question.
_CONFIGURABLE = ("kube-apiserver", "plainkube-load-balancer")


def split(endpoint: str) -> tuple[str, int] | None:
    """Host and port (0 if there is none) of an endpoint; None if it is neither HOST nor HOST:PORT."""
    found = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9.-]*)(?::([1-9][0-9]{0,4}))?", endpoint)
    port = int(found.group(2) or 0) if found else 0
    return (found.group(1), port) if found and port <= 65535 else None


# --- without facts of the hosts --------------------------------------------------------------------------------------


def input_problems(api: Api, resolves: t.Callable[[str], bool]) -> list[str]:
    """Problems with the variables alone; `resolves` returns whether a DNS name resolves on the control node."""
    return [
        *_name_problems(api.endpoint, resolves),
        *(
            f"cluster_api_balancers has {one!r}, which is not an IPv4 address: write the addresses of your load balancers."
            for one in api.balancers
            if not _addresses.is_ipv4(str(one))
        ),
        *_port_problems(api),
        *_virtual_ip_input_problems(api),
    ]


def _name_problems(endpoint: str, resolves: t.Callable[[str], bool]) -> list[str]:
    if not endpoint:
        return []
    parts = split(endpoint)
    if parts is None:
        return [
            f"cluster_api_endpoint is {endpoint!r}: write HOST or HOST:PORT, with a DNS name or an IPv4 address, and without https://."
        ]
    if _addresses.is_ipv4(parts[0]) or resolves(parts[0]):
        return []
    return [
        f"cluster_api_endpoint is {endpoint!r}, and {parts[0]} does not resolve on the control node: add it to DNS or /etc/hosts, "
        "or correct it."
    ]


def _port_problems(api: Api) -> list[str]:
    """API servers listen on all addresses of their hosts, including loopback."""
    several = len(api.control_planes) > 1
    # (variable, its value, port)
    wanted = [("cluster_api_port", api.port, api.port)]
    if several:
        wanted += [("cluster_load_balancer_port", api.balancer_port, api.balancer_port + more) for more in (0, 1)]
    problems = [
        f"{name} is {value}, and {owner}: choose another port."
        for name, value, port in wanted
        if (owner := _owner(api, port))
    ]
    if several and api.port in (api.balancer_port, api.balancer_port + 1):
        problems.append(
            f"cluster_load_balancer_port is {api.balancer_port}, which also uses the next port, and cluster_api_port is {api.port}: "
            "choose different ports."
        )
    return problems


def _owner(api: Api, port: int) -> str:
    """What else uses a port, on any host of the cluster, because a host's role in the cluster may change."""
    for name, ports in api.ports.items():
        if name not in _CONFIGURABLE and port in ports:
            return f"{'the kubelet' if name == 'kubelet' else name} listens on port {port}"
    low, _dash, high = api.node_ports.partition("-")
    return f"port {port} is one of the NodePorts ({api.node_ports})" if low and int(low) <= port <= int(high) else ""


def _virtual_ip_input_problems(api: Api) -> list[str]:
    if not api.virtual_ip:
        return []
    if not _addresses.is_ipv4(api.virtual_ip):
        return [
            f"cluster_virtual_ip is {api.virtual_ip!r}, which is not an IPv4 address: write one, without a prefix length."
        ]
    if len(api.control_planes) == 1:
        return [
            f"cluster_virtual_ip is {api.virtual_ip}, and {api.control_planes[0]} is the only control plane, so it could never move: "
            "add control planes, or leave it empty."
        ]
    return []


# --- with facts of the hosts ---------------------------------------------------------------------------------------


def host_problems(api: Api, hosts: t.Mapping[str, Host]) -> list[str]:
    """Problems with the variables on these hosts. For each host: its address in the cluster, its addresses and its interfaces."""
    return [*_endpoint_problems(api, hosts), *_virtual_ip_problems(api, hosts)]


def _endpoint_problems(api: Api, hosts: t.Mapping[str, Host]) -> list[str]:
    """Whether an endpoint that is an IPv4 address leads to an API server, and to its port."""
    host, port = split(api.endpoint) or ("", 0)
    if not _addresses.is_ipv4(host) or host in api.balancers:
        return []
    own = {hosts[name]["address"]: name for name in api.control_planes if name in hosts}
    if host not in own and host != api.virtual_ip:
        return [
            f"cluster_api_endpoint is {api.endpoint!r}, which is neither a control plane's address nor cluster_virtual_ip, "
            "and is not in cluster_api_balancers: correct it, or list your own load balancer there."
        ]
    if port in (0, api.port):
        return []
    return [
        f"cluster_api_endpoint is {api.endpoint!r}, and {own.get(host, 'cluster_virtual_ip')} is reached at port {api.port} (cluster_api_port): "
        "correct one of them."
    ]


def _virtual_ip_problems(api: Api, hosts: t.Mapping[str, Host]) -> list[str]:
    """Whether every control plane can hold the virtual IP, and no other host already has it."""
    if not api.virtual_ip:
        return []
    return [
        problem
        for name, known in hosts.items()
        for problem in _holder_problems(api, name, known) or _link_problems(api, name, known)
    ]


def _holder_problems(api: Api, name: str, known: Host) -> list[str]:
    """Whether the virtual IP is a host's own address. keepalived's is a /32 on a control plane."""
    keeps = 32 if name in api.control_planes else None
    links = [
        one["interface"] for one in known["addresses"] if one["address"] == api.virtual_ip and one["prefix"] != keeps
    ]
    if not links and known["address"] != api.virtual_ip:
        return []
    where = f" ({links[0]})" if links else ""
    return [f"cluster_virtual_ip is {api.virtual_ip}, which {name} already has{where}: choose an unused address."]


def _link_problems(api: Api, name: str, known: Host) -> list[str]:
    """Whether a control plane has the interface, and the virtual IP is in one of its networks. A host that is down has no facts."""
    if name not in api.control_planes or not known["interfaces"]:
        return []
    if api.interface and api.interface not in known["interfaces"]:
        there = ", ".join(one for one in known["interfaces"] if one != "lo")
        return [
            f"cluster_virtual_ip_interface is {api.interface!r}, and {name} has no such interface: use one of {there}."
        ]
    links = [
        one
        for one in known["addresses"]
        if (one["interface"] == api.interface if api.interface else one["address"] == known["address"])
    ]
    networks = [ipaddress.IPv4Interface(f"{one['address']}/{one['prefix']}").network for one in links]
    if any(ipaddress.IPv4Address(api.virtual_ip) in network for network in networks if network.prefixlen < 32):
        return []
    if not links:
        where = (
            f"no IPv4 address on {api.interface}" if api.interface else f"{known['address']} on none of its interfaces"
        )
        return [
            f"cluster_virtual_ip is {api.virtual_ip}, and {name} has {where}: set cluster_virtual_ip_interface to an interface that has."
        ]
    return [
        f"cluster_virtual_ip is {api.virtual_ip}, and {name} is in {' and '.join(map(str, networks))} ({links[0]['interface']}): "
        "choose an unused address there."
    ]
