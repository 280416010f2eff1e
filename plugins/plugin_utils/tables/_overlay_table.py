# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Compares flannel's leases in etcd with what each host's kernel does, and the hosts' pings with each other. No I/O.

No host knows all of this: hosts without etcd cannot read the leases, and a host that is cut off does not know it."""

from __future__ import annotations

import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _overlay

# How many differences of one host are shown: a host without routes has one for every other host.
_SHOWN = 3

Hosts = t.Mapping[str, t.Mapping[str, t.Any]]


def _leases(hosts: Hosts) -> list[_overlay.Lease]:
    """The leases, from the first etcd member that knows them."""
    etcd = (host["etcd"] for host in hosts.values() if host["etcd"])
    found: list[t.Any] = next((one["leases"] for one in etcd if one.get("leases")), [])
    return [_overlay.Lease(**{field: lease[field] for field in _overlay.Lease._fields}) for lease in found]


def _faults(network: t.Mapping[str, t.Any], leases: t.Sequence[_overlay.Lease]) -> list[str]:
    if not network["subnet"] or not network["address"]:
        return []  # flanneld does not run, or has no lease, which its component says
    # A direct route is only there if flannel may use it; module component checks that.
    return _overlay.lease_faults(
        network["address"], network["subnet"], network["mac"], network["paths"], leases, direct=True
    )


def _shortened(faults: t.Sequence[str]) -> str:
    more = len(faults) - _SHOWN
    return "; ".join(faults[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def problems(hosts: Hosts) -> tuple[dict[str, list[str]], list[_overlay.Lease]]:
    """Host -> sentences about its pod network, for the hosts that have any; and the leases, if a host differs from them, which time may resolve."""
    leases = _leases(hosts)
    networks = {name: host["network"] for name, host in hosts.items() if host["network"]}
    found: dict[str, list[str]] = {}
    for name, network in networks.items():
        faults = _faults(network, leases)
        if faults:
            found[name] = [f"flannel on this host: {_shortened(faults)}; run plainkube.cluster.site"]
    missed = leases if found else []
    wrong = {*found, *(name for name, host in hosts.items() if not host["healthy"])}
    for name, network in networks.items():
        # A host with another problem is the reason for its silence, and for that of the others.
        askers = [other for other, one in networks.items() if network["subnet"] in one["silent"] and other not in wrong]
        if askers and name not in wrong:
            remedy = (
                f"let UDP port {_places.VXLAN_PORT} pass between the hosts, and ICMP echo requests to {_overlay.DEVICE}"
            )
            found[name] = [f"its pod network {network['subnet']} does not respond to {', '.join(askers)}; {remedy}"]
    return found, missed
