# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""flannel's overlay: the leases in etcd, what a host's kernel knows of them, and the difference. No I/O.

flanneld writes a route, a neighbor entry and a forwarding entry for each other lease when it changes, and never looks at them again
(flannel 0.28, pkg/backend/vxlan)."""

from __future__ import annotations

import ipaddress
import json
import socket
import struct
import typing as t

# flannel's interface for its default VNI, which role flannel does not change.
DEVICE = "flannel.1"
# IFF_UP of interfaces, RTF_UP of routes.
UP = 0x1
# How many other hosts each host pings: every host is a target of as many others.
SAMPLE = 3


class Lease(t.NamedTuple):
    """A host's subnet, its address, and the MAC address of its tunnel, which is empty without VXLAN."""

    subnet: str
    address: str
    mac: str

    @property
    def path(self) -> str:
        return f"{self.address} {self.mac}".strip()


# A list of leases, as an option of a module.
OPTION: dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {name: {"type": "str", "required": True} for name in Lease._fields},
}


class Device(t.NamedTuple):
    """flannel's interface."""

    address: str
    mac: str
    mtu: int
    up: bool


def parse_leases(pairs: t.Mapping[str, str]) -> list[Lease]:
    """The leases in etcd: `…/subnets/10.244.5.0-24` -> JSON. Keys and values that flannel would not write are ignored."""
    found = []
    for key, value in pairs.items():
        try:
            subnet = ipaddress.IPv4Network(key.rpartition("/")[2].replace("-", "/"))
            lease = json.loads(value)
            address = ipaddress.IPv4Address(lease["PublicIP"])
            mac = (lease.get("BackendData") or {}).get("VtepMAC") or ""
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        found.append(Lease(str(subnet), str(address), str(mac).lower()))
    return sorted(found, key=lambda lease: ipaddress.IPv4Network(lease.subnet))


def _address(little_endian: str) -> str:
    return socket.inet_ntoa(struct.pack("<L", int(little_endian, 16)))


def parse_routes(text: str) -> dict[str, tuple[str, str]]:
    """Destination -> device and gateway, from /proc/net/route."""
    found: dict[str, tuple[str, str]] = {}
    for row in (line.split() for line in text.splitlines()[1:]):
        if len(row) > 7 and int(row[3], 16) & UP:
            network = ipaddress.IPv4Network((_address(row[1]), _address(row[7])), strict=False)
            found.setdefault(str(network), (row[0], _address(row[2])))
    return found


def parse_neighbors(text: str, device: str = DEVICE) -> dict[str, str]:
    """Address -> MAC address on a device, from /proc/net/arp."""
    rows = (line.split() for line in text.splitlines()[1:])
    return {row[0]: row[3].lower() for row in rows if len(row) > 5 and row[5] == device and int(row[2], 16)}


def parse_forwarding(text: str) -> dict[str, str]:
    """MAC address -> address of the host behind it, from `bridge -json fdb show dev flannel.1`."""
    return {entry["mac"].lower(): entry["dst"] for entry in json.loads(text or "[]") if "dst" in entry}


def paths(
    network: str,
    routes: t.Mapping[str, tuple[str, str]],
    neighbors: t.Mapping[str, str],
    forwarding: t.Mapping[str, str],
) -> dict[str, str]:
    """Subnets inside the pod network -> where the kernel sends packets for them: `HOST MAC` through the tunnel, `HOST` directly."""
    pods = ipaddress.IPv4Network(network)
    found = {}
    for subnet, (device, gateway) in routes.items():
        if gateway == "0.0.0.0" or not ipaddress.IPv4Network(subnet).subnet_of(pods):  # noqa: S104  # no gateway: the host's own subnet
            continue
        if device == DEVICE:
            mac = neighbors.get(gateway, "")
            found[subnet] = f"{forwarding.get(mac, 'no host')} {mac or 'no neighbor entry'}"
        else:
            found[subnet] = gateway
    return found


def device_fault(device: Device | None, subnet: str, mtu: int) -> str:
    """What is wrong with flannel's interface; empty if it is as flanneld made it for this subnet."""
    if device is None:
        return f"there is no {DEVICE}"
    if not device.up:
        return f"{DEVICE} is down"
    own = first(subnet)
    if device.address != own:
        return f"{DEVICE} has {f'the address {device.address}' if device.address else 'no address'}, not {own}"
    if device.mtu != mtu:
        return f"{DEVICE} has an MTU of {device.mtu}, not {mtu}"
    return ""


def _holder(subnet: str, leases: t.Sequence[Lease]) -> Lease | None:
    return next((lease for lease in leases if lease.subnet == subnet), None)


def _own_fault(address: str, subnet: str, mac: str, leases: t.Sequence[Lease]) -> str:
    """What is wrong with a host's own lease; empty if nothing is."""
    own = next((lease for lease in leases if lease.address == address), None)
    holder = _holder(subnet, leases)
    if holder and holder.address != address:
        return f"its subnet {subnet} is leased to {holder.address}"
    if own is None:
        return f"etcd has no lease of {subnet} for {address}"
    if own.subnet != subnet:
        return f"it uses {subnet}, and its lease is {own.subnet}"
    if own.mac and mac and own.mac != mac:
        return f"{DEVICE} has the MAC address {mac}, and the other hosts know {own.mac}"
    return ""


def path_faults(
    address: str, subnet: str, found: t.Mapping[str, str], leases: t.Sequence[Lease], direct: bool
) -> list[str]:
    """The differences between the leases of the other hosts and what a host's kernel does; the arguments are those of `lease_faults`."""
    faults = []
    holder = _holder(subnet, leases)
    for lease in leases:
        if lease.address in (address, holder and holder.address):
            continue
        path = found.get(lease.subnet)
        if path is None:
            faults.append(f"it has no route to {lease.subnet} of {lease.address}")
        elif path != lease.path and not (direct and path == lease.address):
            faults.append(f"it sends packets for {lease.subnet} to {path}, and that subnet belongs to {lease.path}")
    return faults


def lease_faults(
    address: str,
    subnet: str,
    mac: str,
    found: t.Mapping[str, str],
    leases: t.Sequence[Lease],
    direct: bool,
) -> list[str]:
    """The differences between the leases and what a host's kernel does.

    `address`, `subnet` and `mac` are the host's own, `found` its `paths`; `direct` says that hosts in its own layer-2 network need no tunnel. Without
    leases, only incomplete paths are faults."""
    if not leases:
        return [f"it sends packets for {net} to {path}" for net, path in found.items() if "no " in path]
    own = _own_fault(address, subnet, mac, leases)
    return ([own] if own else []) + path_faults(address, subnet, found, leases, direct)


def first(subnet: str) -> str:
    """The address of flannel's interface on the host that has this subnet."""
    return str(ipaddress.IPv4Network(subnet).network_address)


def sample(subnet: str, found: t.Iterable[str]) -> list[str]:
    """The other hosts' subnets to test from this host: the next ones in the ring of all subnets."""
    ring = sorted((ipaddress.IPv4Network(one), one) for one in found)
    own = ipaddress.IPv4Network(subnet)
    after = [one for network, one in ring if network > own]
    before = [one for network, one in ring if network < own]
    return [*after, *before][:SAMPLE]
