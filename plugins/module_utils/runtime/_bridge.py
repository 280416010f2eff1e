# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""docker0: its desired state according to flannel's lease, its current state, and the owners of its containers."""

from __future__ import annotations

import ipaddress
import json
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime._docker import environment

INTERFACE = f"/sys/class/net/{_places.DOCKER_BRIDGE}"
_POD = "io.kubernetes.pod.name"
_MTU = "com.docker.network.driver.mtu"


class Subnet(t.NamedTuple):
    """flannel's subnet file."""

    address: str  # of the bridge, with prefix length
    mtu: int
    masquerade: bool

    @property
    def network(self) -> str:
        return str(ipaddress.IPv4Interface(self.address).network)


class Bridge(t.NamedTuple):
    """docker0 in the kernel, and Docker's network bridge on it."""

    address: str = ""  # empty: no docker0, or docker0 without an address
    mtu: int = 0
    ports: int = 0
    network: str = ""  # Docker's subnet; empty: Docker is not running
    network_mtu: int = 0
    addresses: str = ""  # the range of the addresses that Docker assigns; empty: the whole subnet
    ends: tuple[tuple[str, int], ...] = ()  # the containers' interfaces on it (veth), with their MTU


HALVES = ("lower", "upper")


def part(name: str, value: str, subnet: Subnet) -> ipaddress.IPv4Network:
    """The part of flannel's subnet that an option selects; the whole subnet if it is empty. Raises ValueError with a sentence."""
    whole = ipaddress.IPv4Network(subnet.network)
    if not value:
        return whole
    if value in HALVES:
        return list(whole.subnets())[HALVES.index(value)]
    try:
        found = ipaddress.IPv4Network(value)
    except ValueError:
        raise ValueError(
            f"{name} is {value!r}, which is not a network; use lower, upper, or a network like {subnet.network}"
        ) from None
    if not found.subnet_of(whole):
        raise ValueError(
            f"{name} is {value}, which is not inside flannel's subnet {whole} of this host; use lower or upper, which follow it"
        )
    return found


def docker_part(fixed_cidr: str, pod_range: str, subnet: Subnet) -> str:
    """Docker's part of flannel's subnet; empty if that is the whole subnet. Raises ValueError if it overlaps the pods' part."""
    docker = part("fixed_cidr", fixed_cidr, subnet)
    pods = part("pod_range", pod_range, subnet) if pod_range else None
    if pods and docker.overlaps(pods):
        mine = f"fixed_cidr is {fixed_cidr!r} ({docker})"
        raise ValueError(
            f"{mine}, which overlaps the pods' {pods} (pod_range is {pod_range!r}); use another part of {subnet.network}"
        )
    return str(docker) if fixed_cidr else ""


def parse_subnet(text: str | None, path: str) -> Subnet:
    """flannel's subnet file; raises ValueError with a sentence if it is missing or has no lease."""
    if text is None:
        raise ValueError(f"flannel's subnet file {path} does not exist; is flanneld running? (journalctl -u flanneld)")
    values = environment(text)
    try:
        interface = ipaddress.IPv4Interface(values["FLANNEL_SUBNET"])
        return Subnet(str(interface), int(values["FLANNEL_MTU"]), values.get("FLANNEL_IPMASQ") == "true")
    except (KeyError, ValueError):
        raise ValueError(
            f"flannel's subnet file {path} has no FLANNEL_SUBNET and FLANNEL_MTU; restart flanneld, which writes it"
        ) from None


def parse_addresses(text: str) -> dict[str, tuple[str, int]]:
    """First IPv4 address and MTU of each interface, from `ip -json -4 address show`."""
    found = {}
    for link in json.loads(text or "[]"):
        for address in link.get("addr_info", [])[:1]:
            found[link["ifname"]] = (f"{address['local']}/{address['prefixlen']}", int(link["mtu"]))
    return found


def parse_network(answer: t.Mapping[str, t.Any]) -> tuple[str, int, str]:
    """Subnet, MTU and address range of a network in the format of Docker's API."""
    config = ((answer.get("IPAM") or {}).get("Config") or [{}])[0]
    mtu = int((answer.get("Options") or {}).get(_MTU) or 1500)
    return config.get("Subnet", ""), mtu, config.get("IPRange", "")


def reasons(subnet: Subnet, bridge: Bridge) -> list[str]:
    """Why docker0 must be recreated, as text."""
    if not bridge.address:
        return [f"there is no {_places.DOCKER_BRIDGE}, flannel's subnet is {subnet.address}"] if bridge.network else []
    if bridge.address != subnet.address:
        return [f"{_places.DOCKER_BRIDGE} has {bridge.address}, flannel's subnet is {subnet.address}"]
    if not bridge.network:
        return []
    if bridge.network != subnet.network:
        return [f"Docker assigns addresses of {bridge.network}, flannel's subnet is {subnet.network}"]
    if bridge.network_mtu != subnet.mtu:
        return [f"Docker sets an MTU of {bridge.network_mtu}, flannel's is {subnet.mtu}"]
    return []


def other_mtus(subnet: Subnet, bridge: Bridge) -> dict[str, str]:
    """docker0 and its containers' interfaces with another MTU than Docker gave them -> what is wrong, as text. The kernel can change it in place."""
    there = {_places.DOCKER_BRIDGE: bridge.mtu, **dict(bridge.ends)}
    if bridge.address != subnet.address or bridge.network_mtu not in (0, subnet.mtu):
        return {}
    return {
        name: f"{name} has an MTU of {mtu}, flannel's is {subnet.mtu}"
        for name, mtu in there.items()
        if mtu != subnet.mtu
    }


def part_reasons(wanted: str, bridge: Bridge) -> list[str]:
    """Why Docker must restart for another part of the subnet; the bridge does not change."""
    if not bridge.network or wanted == bridge.addresses:
        return []
    return [
        f"Docker assigns addresses of {bridge.addresses or bridge.network}, and its range is {wanted or bridge.network}"
    ]


def name(container: t.Mapping[str, t.Any]) -> str:
    """A container's name, as `docker ps` shows it."""
    names = container.get("Names") or []
    return names[0].lstrip("/") if names else str(container.get("Id", ""))[:12]


def of_kubernetes(container: t.Mapping[str, t.Any]) -> bool:
    """Whether the kubelet owns a container, and recreates it."""
    return _POD in (container.get("Labels") or {})


def to_stop(
    containers: t.Sequence[t.Mapping[str, t.Any]], rebuild: bool, live_restore: bool
) -> tuple[list[t.Mapping], list[t.Mapping]]:
    """The containers that Kubernetes owns, and the others, that a restart of Docker would stop.

    With live-restore, a restart stops none, but while any container runs, Docker keeps its old network. So for another bridge, all must
    be stopped.
    """
    if live_restore and not rebuild:
        return [], []
    owned = [container for container in containers if of_kubernetes(container)] if rebuild else []
    return owned, [container for container in containers if not of_kubernetes(container)]


def docker_masquerades(rules: str) -> list[str]:
    """Rules of `iptables -t nat -S` with which Docker masquerades traffic from docker0."""
    return [
        rule
        for rule in rules.splitlines()
        if rule.startswith("-A POSTROUTING -s ") and rule.endswith(f"! -o {_places.DOCKER_BRIDGE} -j MASQUERADE")
    ]


def masquerade_problem(subnet: Subnet, rules: str, nftables: str) -> str:
    """The problem with masquerading, as text; empty if Docker does not masquerade, and flannel does if its subnet file says so."""
    for rule in docker_masquerades(rules):
        if f"-s {subnet.network} " in rule:
            return f"Docker masquerades {subnet.network}, so pods on other hosts would see the host's address"
    if subnet.masquerade and "FLANNEL-POSTRTG" not in rules and "flannel" not in nftables:
        return "flannel does not masquerade although its subnet file says so, so pods could not reach destinations outside the cluster"
    return ""
