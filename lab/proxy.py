# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The HTTP proxy of a lab whose hosts have no other way out: tinyproxy on the lab's gateway address.

It requires a user and a password, and allows what a lab's hosts need: the lab's own servers, and Debian's archive.
"""

from __future__ import annotations

import re
import socket
import typing as t
import urllib.parse

from lab import machine
from lab.base import LabError, cache
from lab.service import Service

PORT = 3128
USER = "lab"
# tinyproxy accepts only letters, digits and ._- here. Real passwords have characters that must be encoded in a URL, so one of these is encoded.
PASSWORD = "Nur_fuer.das-Labor"  # noqa: S105
ENCODED = PASSWORD.replace("_", "%5F")


def url(address: str) -> str:
    """The URL in the inventory."""
    return f"http://{USER}:{ENCODED}@{address}:{PORT}"


def service(name: str) -> Service:
    """The server of a lab."""
    return Service(name, "proxy", ("tinyproxy", str(_configuration(name))))


def _configuration(name: str) -> t.Any:
    return cache("labs", name, "tinyproxy.conf")


def configuration(address: str, network: str, filters: str, tunnels: t.Sequence[int]) -> str:
    """tinyproxy.conf(5)."""
    lines = [
        f"Port {PORT}",
        f"Listen {address}",
        f"Allow {network}",
        f"BasicAuth {USER} {PASSWORD}",
        "Timeout 600",
        "MaxClients 200",
        # Every request, with its URL.
        "LogLevel Connect",
        f'Filter "{filters}"',
        "FilterDefaultDeny Yes",
        "FilterType ere",
        *(f"ConnectPort {port}" for port in tunnels),
    ]
    return "\n".join(lines) + "\n"


def allowed(address: str, archive: str) -> str:
    """The hosts that it allows, in the format of its filter."""
    host = urllib.parse.urlsplit(archive).hostname
    # By default, this machine uses Debian's archive.
    patterns = [re.escape(address), re.escape(host) if host else r"[a-z]+\.debian\.org"]
    return "".join(f"^{pattern}$\n" for pattern in patterns)


def ensure(name: str, address: str, network: str, tunnels: t.Sequence[int]) -> None:
    """Start it, unless it is already running."""
    if any("Proxy" in setting for setting in machine.apt_settings()):
        raise LabError(
            "this machine's own apt goes through a proxy, and the lab's would have to go through it as well, which it cannot: "
            "run this lab on a machine that reaches Debian's archive directly."
        )
    machine.install("tinyproxy-bin")
    filters = cache("labs", name, "tinyproxy.filter")
    filters.write_text(allowed(address, machine.debian_mirror(machine.apt_sources())), encoding="utf-8")
    path = _configuration(name)
    path.touch(mode=0o600)
    path.write_text(configuration(address, network, str(filters), tunnels), encoding="utf-8")
    service(name).ensure(["tinyproxy", "-d", "-c", str(path)], lambda: _answers(address))


def _answers(address: str) -> bool:
    try:
        with socket.create_connection((address, PORT), timeout=2):
            return True
    except OSError:
        return False


class Request(t.NamedTuple):
    """A request to the proxy; the URL of a tunnel is a host and a port."""

    client: str
    method: str
    url: str

    @property
    def host(self) -> str:
        return urllib.parse.urlsplit(self.url if "://" in self.url else f"//{self.url}").hostname or ""


def requests(log: str) -> list[Request]:
    """All requests in a tinyproxy log, in order."""
    clients: dict[str, str] = {}
    found = []
    for line in re.findall(r"(Connect|Request) \(file descriptor (\d+)\): (\S+) ?(\S*)", log):
        kind, descriptor, first, second = line
        if kind == "Connect":
            clients[descriptor] = first
        else:
            found.append(Request(clients.get(descriptor, ""), first, second))
    return found


def past(name: str) -> list[Request]:
    """All requests to a lab's proxy so far."""
    return requests(service(name).log.read_text(encoding="utf-8", errors="replace"))
