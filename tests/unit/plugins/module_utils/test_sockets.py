# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils import _sockets


@pytest.fixture
def listener():
    """A port that another process listens on, and its pid."""
    code = "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield int(process.stdout.readline()), process.pid
        process.stdin.close()


def test_who_listens_is_named(listener):
    port, pid = listener
    found = _sockets.foreign_listeners([port], "/opt/plainkube")
    assert found == [{"port": port, "address": f"127.0.0.1:{port}", "pid": pid, "process": _sockets.name(pid)}]
    assert found[0]["process"].startswith("python")


def test_what_runs_from_our_directory_is_ours(listener):
    directory = os.path.dirname(os.path.realpath(sys.executable))
    assert _sockets.foreign_listeners([listener[0]], directory) == []
    assert _sockets.foreign_listeners([listener[0]], directory[:-1]) != []


def test_what_carries_our_stamp_is_ours(listener, monkeypatch):
    monkeypatch.setattr(_sockets._stamp, "of_process", lambda pid: "a stamp" if pid == listener[1] else "")
    assert _sockets.foreign_listeners([listener[0]], "/opt/plainkube") == []


def test_a_free_port_is_nobodys():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert _sockets.foreign_listeners([port], "/opt/plainkube") == []


def test_a_socket_without_a_process_is_told_as_such(listener, monkeypatch):
    monkeypatch.setattr(_sockets, "socket_inodes", lambda pid: set())
    assert [one["pid"] for one in _sockets.foreign_listeners([listener[0]], "/opt/plainkube")] == [0]
