# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The labs' networks on this machine, and the routes that keep clusters' traffic from leaving it."""

from __future__ import annotations

import ipaddress
import json
import os
import re

import docker
from docker.errors import NotFound
from docker.models.networks import Network
from docker.types import IPAMConfig, IPAMPool

from lab.base import LabError, run

LABEL = "plainkube.lab"
# Before kube-proxy and flannel are up, packets to these would follow the default route out of the machine: pods,
# services, and the unreachable name server.
CONTAINED = ("10.244.0.0/16", "10.96.0.0/16", "198.51.100.0/24")
# Marks our routes among the machine's (`ip route`'s proto, a number without a registered name).
PROTOCOL = "144"
# Preferred networks by name of the lab; other labs get the first free network after these.
PLACES = ("demo", "default", "ha", "apart", "runtimes", "benchmark")

Route = dict


def routes() -> list[Route]:
    """The machine's IPv4 routes."""
    return json.loads(run("ip", "-4", "-json", "route", "show"))


def overlap(network: str, known: list[Route]) -> str | None:
    """The destination of a route, other than the default and ours, that overlaps a network."""
    for route in known:
        if route["dst"] == "default" or route.get("protocol") == PROTOCOL:
            continue
        if ipaddress.ip_network(route["dst"]).overlaps(ipaddress.ip_network(network)):
            return route["dst"]
    return None


def choose(name: str, taken: list[Route]) -> str:
    """A free /24 for a lab."""
    places = [*range(len(PLACES), 256), *range(len(PLACES))]
    if name in PLACES:
        places.insert(0, PLACES.index(name))
    for place in places:
        subnet = f"172.30.{place}.0/24"
        if not overlap(subnet, taken):
            return subnet
    raise LabError("no /24 of 172.30.0.0/16 is free on this machine for a lab: remove a lab or a route there.")


def bridge(name: str) -> str:
    """The lab's bridge, as this machine's interface."""
    return f"pk-{name}"


def find(client: docker.DockerClient, name: str) -> Network | None:
    """The lab's network."""
    try:
        return client.networks.get(f"plainkube-{name}")
    except NotFound:
        return None


def ensure(client: docker.DockerClient, name: str) -> Network:
    """The lab's network; creates it if it is missing."""
    network = find(client, name)
    if network is None:
        taken = [{"dst": pool["Subnet"]} for pool in _pools(client.networks.list())]
        subnet = choose(name, routes() + taken)
        pool = IPAMPool(subnet=subnet, gateway=str(ipaddress.ip_network(subnet)[1]))
        network = client.networks.create(
            f"plainkube-{name}",
            driver="bridge",
            ipam=IPAMConfig(pool_configs=[pool]),
            labels={LABEL: name},
            options={"com.docker.network.bridge.name": bridge(name)},
        )
        network.reload()
    return network


def _pools(networks: list[Network]) -> list[dict[str, str]]:
    pools = [pool for network in networks for pool in network.attrs["IPAM"]["Config"] or []]
    return [pool for pool in pools if ipaddress.ip_network(pool.get("Subnet", "::/0")).version == 4]


def subnet_and_gateway(network: Network) -> tuple[str, str]:
    """The lab's subnet, and this machine's address in it."""
    (pool,) = _pools([network])
    return pool["Subnet"], pool["Gateway"]


def labs(client: docker.DockerClient) -> list[str]:
    """The names of all labs on this machine."""
    return sorted(network.attrs["Labels"][LABEL] for network in client.networks.list(filters={"label": LABEL}))


def contain() -> None:
    """Add missing blackhole routes; refuse if the machine itself uses one of the networks."""
    known = routes()
    for network in CONTAINED:
        theirs = overlap(network, known)
        if theirs:
            raise LabError(
                f"this machine's route to {theirs} overlaps {network}, which the lab's clusters use: "
                "run the lab on a machine without that route."
            )
        inside = [server for server in resolvers() if server in ipaddress.ip_network(network)]
        if inside:
            raise LabError(
                f"this machine's name server {inside[0]} is in {network}, which the lab's clusters use: "
                "run the lab on a machine whose name server is elsewhere."
            )
    for network in CONTAINED:
        if not any(route["dst"] == network for route in known):
            run("ip", "route", "add", "blackhole", network, "proto", PROTOCOL)


def release() -> None:
    """Remove our blackhole routes."""
    for route in routes():
        if route.get("protocol") == PROTOCOL and route.get("type") == "blackhole":
            run("ip", "route", "del", "blackhole", route["dst"], "proto", PROTOCOL)


def resolvers() -> list[ipaddress.IPv4Address]:
    """The machine's own name servers."""
    with open("/etc/resolv.conf", encoding="utf-8") as stream:
        return nameservers(stream.read())


def upstream_resolver() -> str:
    """A name server of this machine that its virtual machines reach: systemd-resolved's own listens on the loopback interface only."""
    for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        if os.path.exists(path):
            with open(path, encoding="utf-8") as stream:
                found = [server for server in nameservers(stream.read()) if not server.is_loopback]
            if found:
                return str(found[0])
    raise LabError("this machine has no IPv4 name server that virtual machines reach: set one in /etc/resolv.conf.")


def nameservers(resolv_conf: str) -> list[ipaddress.IPv4Address]:
    """The IPv4 name servers of a resolv.conf."""
    return [ipaddress.IPv4Address(found) for found in re.findall(r"^nameserver\s+([\d.]+)\s*$", resolv_conf, re.M)]
