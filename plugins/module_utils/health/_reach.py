# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Whether this host reaches Services and the pod networks of other hosts: one TCP connection, one DNS query, and a few pings."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
import typing as t

# Seconds after which an address counts as silent. A ping is repeated once within this time.
TIMEOUT = 1.5
_DNS_PORT = 53
_A, _IN, _RECURSION = 1, 1, 0x0100
_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_HEADER = struct.Struct("!BBHHH")


def connect(address: str, port: int, timeout: float = TIMEOUT) -> str:
    """Why no TCP connection to a Service is possible; empty if it is."""
    try:
        with socket.create_connection((address, port), timeout=timeout):
            return ""
    except OSError as error:
        return str(error)


def query(name: str, number: int) -> bytes:
    """A DNS query for the IPv4 addresses of a name (RFC 1035, 4.1)."""
    labels = b"".join(bytes([len(label)]) + label for label in name.encode("ascii").split(b"."))
    return struct.pack("!HHHHHH", number, _RECURSION, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", _A, _IN)


def answer_fault(answer: bytes, number: int) -> str:
    """What is wrong with the answer to a DNS query; empty if it has an address."""
    if len(answer) < 12:
        return "its answer is too short"
    found, flags, dummy, answers = struct.unpack("!HHHH", answer[:8])
    if found != number:
        return "it answered another query"
    code = flags & 0xF
    return f"it answers with code {code}" if code or not answers else ""


def resolve(server: str, name: str, timeout: float = TIMEOUT) -> str:
    """Why cluster DNS does not resolve a name; empty if it does, or if it refuses connections: kube-proxy refuses them while the Service has no
    pod, and that is the problem of its Deployment."""
    number = int.from_bytes(os.urandom(2), "big")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.settimeout(timeout / 2)
        error, tries = "", 2
        while tries:
            tries -= 1
            try:
                asked.connect((server, _DNS_PORT))
                asked.send(query(name, number))
                return answer_fault(asked.recv(4096), number)
            except ConnectionRefusedError:
                return ""
            except OSError as failure:
                error = str(failure)
    return error


def checksum(data: bytes) -> int:
    """The checksum of the Internet protocols (RFC 1071)."""
    words = struct.unpack(f"!{len(data) // 2}H", data[: len(data) // 2 * 2])
    total = sum(words) + (data[-1] << 8 if len(data) % 2 else 0)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo_request(identifier: int, sequence: int) -> bytes:
    """An ICMP echo request (RFC 792)."""
    body = b"plainkube"
    header = _HEADER.pack(_ECHO_REQUEST, 0, 0, identifier, sequence)
    return _HEADER.pack(_ECHO_REQUEST, 0, checksum(header + body), identifier, sequence) + body


def echo_reply(packet: bytes, identifier: int) -> bool:
    """Whether an IPv4 packet is the reply to one of these requests."""
    start = (packet[0] & 0xF) * 4
    if len(packet) < start + _HEADER.size:
        return False
    kind, dummy, dummy, found, dummy = _HEADER.unpack(packet[start : start + _HEADER.size])
    return kind == _ECHO_REPLY and found == identifier


def silent(addresses: t.Sequence[str], timeout: float = TIMEOUT) -> list[str]:
    """The addresses that do not answer pings. Needs root."""
    left = dict.fromkeys(addresses)
    if not left:
        return []
    identifier = int.from_bytes(os.urandom(2), "big")
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sent:
        for sequence in range(2):
            for address in left:
                with contextlib.suppress(OSError):  # no route: it stays silent
                    sent.sendto(echo_request(identifier, sequence), (address, 0))
            end = time.monotonic() + timeout / 2
            while left and (rest := end - time.monotonic()) > 0:
                if select.select([sent], [], [], rest)[0]:
                    packet, (sender, dummy) = sent.recvfrom(1024)
                    if echo_reply(packet, identifier):
                        left.pop(sender, None)
            if not left:
                break
    return list(left)
