# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The IPv4 addresses that the control node connects to for a host. The host cannot influence them: certificates are signed for its address."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.network import _addresses

# TEST-NET-3 (RFC 5737): connecting a UDP socket sends nothing; it only looks up the route.
_ELSEWHERE = ("203.0.113.1", 9)
_SSH_ARGUMENTS = ("ssh_args", "ssh_common_args", "ssh_extra_args")
_SSH_SECONDS = 10


def _own() -> list[str]:
    """The source address of this machine's default route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError:
            return []
        return [probe.getsockname()[0]]


def host_name(printed: str) -> str:
    """The host name that `ssh -G` (ssh(1)) prints for an alias of ssh_config(5); empty without one."""
    found = re.search(r"^hostname (\S+)$", printed, re.MULTILINE)
    return found[1] if found else ""


def _ssh_name(connection: t.Any, name: str) -> str:
    """The name that ssh connects to, which its configuration may map to another one."""
    arguments = [part for option in _SSH_ARGUMENTS for part in shlex.split(connection.get_option(option) or "")]
    command = [connection.get_option("ssh_executable") or "ssh", *arguments, "-G", name]
    try:
        printed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SSH_SECONDS).stdout
    except (OSError, subprocess.TimeoutExpired):
        return name
    return host_name(printed) or name


def addresses(connection: t.Any, name: str) -> list[str]:
    """The addresses behind ansible_host, or the inventory name without one; empty if the name does not resolve on the control node."""
    if connection.transport == "local":
        return _own()
    if connection.transport == "ssh" and not _addresses.is_ipv4(name):
        name = _ssh_name(connection, name)
    return [name] if _addresses.is_ipv4(name) else _addresses.resolved(name)
