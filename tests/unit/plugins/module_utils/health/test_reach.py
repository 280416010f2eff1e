# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import contextlib
import os
import socket
import threading

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _reach

NAME = "kubernetes.default.svc.cluster.local"


def test_a_query_is_a_dns_message():
    message = _reach.query(NAME, 7)
    assert message[:6] == b"\0\x07\x01\0\0\x01"
    assert message[12:24] == b"\x0akubernetes\x07"
    assert message[-5:] == b"\0\0\x01\0\x01"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"\0\x07\x81\x80\0\x01\0\x01\0\0\0\0", ""),
        (b"\0\x07\x81\x83\0\x01\0\0\0\0\0\0", "it answers with code 3"),
        (b"\0\x07\x81\x80\0\x01\0\0\0\0\0\0", "it answers with code 0"),
        (b"\0\x08\x81\x80\0\x01\0\x01\0\0\0\0", "it answered another query"),
        (b"\0\x07", "its answer is too short"),
    ],
)
def test_an_answer(answer, said):
    assert _reach.answer_fault(answer, 7) == said


@pytest.fixture
def dns(monkeypatch):
    """A DNS server that loses the first query."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.bind(("127.0.0.1", 0))
        monkeypatch.setattr(_reach, "_DNS_PORT", server.getsockname()[1])
        yield server


def test_a_query_is_repeated_once(dns):
    def serve():
        dns.recv(512)
        message, sender = dns.recvfrom(512)
        dns.sendto(message[:2] + b"\x81\x80\0\x01\0\x01\0\0\0\0", sender)

    thread = threading.Thread(target=serve)
    thread.start()
    assert _reach.resolve("127.0.0.1", NAME, timeout=1) == ""
    thread.join()


def test_a_silent_server(dns):
    assert _reach.resolve("127.0.0.1", NAME, timeout=0.2) == "timed out"


def test_a_service_without_pods_refuses_connections(dns):
    dns.close()
    assert _reach.resolve("127.0.0.1", NAME, timeout=1) == ""


def test_a_connection():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        assert _reach.connect("127.0.0.1", port) == ""
    assert "refused" in _reach.connect("127.0.0.1", port)


def test_the_checksum_of_a_request():
    assert _reach.checksum(_reach.echo_request(1, 2)) == 0
    # The example of RFC 1071.
    assert _reach.checksum(bytes.fromhex("0001f203f4f5f6f7")) == ~0xDDF2 & 0xFFFF


@pytest.mark.skipif(os.geteuid() != 0, reason="a raw socket needs root")
def test_who_is_silent():
    # No route leads to the second address, which is reserved for documentation.
    assert _reach.silent(["127.0.0.1", "127.0.0.2"]) == []
    assert _reach.silent([]) == []


def test_only_the_reply_to_this_request_counts():
    ip = bytes([0x45]) + bytes(19)
    reply = _reach._HEADER.pack(0, 0, 0, 7, 1)
    assert _reach.echo_reply(ip + reply, 7)
    assert not _reach.echo_reply(ip + reply, 8)
    assert not _reach.echo_reply(ip + _reach._HEADER.pack(3, 0, 0, 7, 1), 7)
    assert not _reach.echo_reply(ip, 7)
