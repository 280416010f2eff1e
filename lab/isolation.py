# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A lab whose only way out is its proxy, as in many data centers: firewall rules on this machine for the lab's bridge."""

from __future__ import annotations

import shlex
import typing as t

from lab import machine, network, proxy, registry
from lab.base import LabError, cache, run
from lab.service import Service

# The chain that Docker reserves for users and evaluates first.
FORWARD = "DOCKER-USER"


def _mark(name: str) -> str:
    return f"plainkube lab {name}"


def rules(name: str) -> list[list[str]]:
    """The rules as arguments of iptables, in the order of insertion: the last one comes first."""
    bridge, mark = network.bridge(name), ["-m", "comment", "--comment", _mark(name)]
    new = ["-m", "conntrack", "--ctstate", "NEW"]
    return [
        [FORWARD, "-i", bridge, "!", "-o", bridge, *new, *mark, "-j", "REJECT"],
        ["INPUT", "-i", bridge, *new, *mark, "-j", "REJECT"],
        ["INPUT", "-i", bridge, "-p", "tcp", "-m", "tcp", "--dport", str(proxy.PORT), *mark, "-j", "ACCEPT"],
    ]


def _listed(chain: str) -> list[list[str]]:
    try:
        return [shlex.split(line)[1:] for line in run("iptables", "-w", "-S", chain).splitlines()]
    except LabError:
        return []  # the chain does not exist


def ours(name: str, listed: t.Iterable[list[str]]) -> list[list[str]]:
    """The rules of a lab among the listed ones."""
    return [rule for rule in listed if _mark(name) in rule]


def close(name: str) -> None:
    """Restrict the lab's hosts to its proxy."""
    machine.install("iptables")
    open_again(name)
    for rule in rules(name):
        run("iptables", "-w", "-I", *rule)


def open_again(name: str) -> None:
    """Remove the rules."""
    for chain in (FORWARD, "INPUT"):
        for rule in ours(name, _listed(chain)):
            run("iptables", "-w", "-D", *rule)


# --- the lab -------------------------------------------------------------------------------------------------------


def ensure(name: str, address: str, subnet: str) -> None:
    """Close the lab, and start its proxy and its registry."""
    registry.ensure(name, address)
    # Upstream's addresses as well, so that the filter refuses them, not the method.
    proxy.ensure(name, address, subnet, [443, registry.PORT])
    close(name)


def is_closed(name: str) -> bool:
    """Whether the lab was created closed."""
    return cache("labs", name, "tinyproxy.conf").exists()


def stop(name: str, address: str) -> None:
    """Reopen the lab, and stop its proxy and its registry."""
    if is_closed(name):
        services: list[Service] = [proxy.service(name), registry.service(name, address)]
        for service in services:
            service.stop()
        open_again(name)


def variables(address: str) -> dict[str, t.Any]:
    """The settings of an operator of such hosts."""
    return {
        "cluster_http_proxy": proxy.url(address),
        "cluster_https_proxy": proxy.url(address),
        "artifacts_images": "pull",
        "artifacts_image_registry": registry.name(address),
    }
