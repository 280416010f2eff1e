# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""What kind of IP address a text is, and the addresses behind a DNS name."""

from __future__ import annotations

import ipaddress
import socket
import typing as t


def _is(kind: t.Callable[[str], t.Any], text: t.Any) -> bool:
    try:
        kind(str(text))
    except ValueError:
        return False
    return True


def is_ip(text: t.Any) -> bool:
    """Whether a text is an IPv4 or IPv6 address."""
    return _is(ipaddress.ip_address, text)


def is_ipv4(text: t.Any) -> bool:
    """Whether a text is an IPv4 address."""
    return _is(ipaddress.IPv4Address, text)


def is_unicast(text: t.Any) -> bool:
    """Whether a text is an IPv4 address at which other hosts can reach a host: not loopback, multicast, unspecified or reserved (RFC 6890)."""
    if not is_ipv4(text):
        return False
    address = ipaddress.IPv4Address(str(text))
    return not (address.is_loopback or address.is_unspecified or address.is_multicast or address.is_reserved)


def is_loopback(text: t.Any) -> bool:
    """Whether a text is an address at which a host, or a pod, reaches only itself."""
    if not is_ip(text):
        return False
    address = ipaddress.ip_address(str(text))
    return address.is_loopback or address.is_unspecified


def resolved(name: str) -> list[str]:
    """The IPv4 addresses of a DNS name on this machine; none where it does not resolve."""
    try:
        found = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(address[0]) for *_rest, address in found))
