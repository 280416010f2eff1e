# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _sockets, _status


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
    assert found == [
        {"protocol": "tcp", "port": port, "address": f"127.0.0.1:{port}", "pid": pid, "process": _sockets.name(pid)}
    ]
    assert found[0]["process"].startswith("python")


def test_what_runs_from_our_directory_is_ours(listener):
    directory = os.path.dirname(os.path.realpath(sys.executable))
    assert _sockets.foreign_listeners([listener[0]], directory) == []
    assert _sockets.foreign_listeners([listener[0]], directory[:-1]) != []


def test_what_carries_our_stamp_is_ours(listener, monkeypatch):
    monkeypatch.setattr(_sockets._stamp, "of_process", lambda pid: "a stamp" if pid == listener[1] else "")
    assert _sockets.foreign_listeners([listener[0]], "/opt/plainkube") == []


def udp_socket(connected: bool) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.bind(("127.0.0.1", 0))
    if connected:
        found.connect(("127.0.0.1", 9))
    return found


def test_who_holds_a_port_of_udp_is_named():
    with udp_socket(connected=False) as held:
        port = held.getsockname()[1]
        found = _sockets.foreign_listeners([], "/opt/plainkube", [port])
        as_tcp = _sockets.foreign_listeners([port], "/opt/plainkube")
    assert [(one["protocol"], one["address"], one["pid"]) for one in found] == [
        ("udp", f"127.0.0.1:{port}", os.getpid())
    ]
    assert as_tcp == []


def test_who_only_talks_to_one_other_over_udp_waits_for_nobody():
    """As a resolver does, from ports that it happens to be given."""
    with udp_socket(connected=True) as held:
        assert _sockets.foreign_listeners([], "/opt/plainkube", [held.getsockname()[1]]) == []


def test_the_kernels_socket_of_udp_can_be_shared(monkeypatch):
    monkeypatch.setattr(_sockets, "socket_inodes", lambda pid: set())
    with udp_socket(connected=False) as held:
        assert _sockets.foreign_listeners([], "/opt/plainkube", [held.getsockname()[1]]) == []


def test_a_free_port_is_nobodys(reserved_port):
    assert _sockets.foreign_listeners([reserved_port()], "/opt/plainkube") == []


def test_a_socket_without_a_process_is_told_as_such(listener, monkeypatch):
    monkeypatch.setattr(_sockets, "socket_inodes", lambda pid: set())
    assert [one["pid"] for one in _sockets.foreign_listeners([listener[0]], "/opt/plainkube")] == [0]


# SSH


class Machine:
    """Processes by PID - (name, parent, sockets) - and listeners, as in /proc."""

    def __init__(self, monkeypatch, processes, listeners, shown="", environments=None):
        environments = environments or {}
        monkeypatch.setattr(_sockets.os, "listdir", lambda path: [*map(str, processes), "self"])
        monkeypatch.setattr(_sockets.os, "getpid", lambda: 99)
        monkeypatch.setattr(_sockets, "name", lambda pid: processes.get(pid, ("", 0, ()))[0])
        monkeypatch.setattr(_sockets, "_parent", lambda pid: processes.get(pid, ("", 0, ()))[1])
        monkeypatch.setattr(_sockets, "socket_inodes", lambda pid: set(processes[pid][2]))
        monkeypatch.setattr(_sockets, "_environment", lambda pid: environments.get(pid, ""))
        monkeypatch.setattr(_sockets, "listeners", lambda protocol="tcp": [_status.Listener(*one) for one in listeners])
        self.shown = shown

    def run_command(self, dummy, **options):
        return 0, self.shown, ""


SERVER = {1: ("systemd", 0, ()), 50: ("sshd", 1, (500, 501))}
LISTENS = [("0.0.0.0", 22, 500), ("::", 22, 501)]


def test_ports_of_an_ssh_server(monkeypatch):
    """Without sessions' ports for forwarding, ports on loopback, and other programs."""
    processes = {
        **SERVER,
        60: ("sshd", 50, (600,)),
        70: ("sshd-session", 50, (700,)),
        80: ("nginx", 1, (800,)),
        90: ("sshd", 1, (900,)),
    }
    forwarded = [("0.0.0.0", 8080, 600), ("0.0.0.0", 8081, 700), ("0.0.0.0", 80, 800), ("127.0.0.1", 2222, 900)]
    assert _sockets.ssh_ports(Machine(monkeypatch, processes, LISTENS + forwarded)) == {22}


def test_the_port_of_this_connection(monkeypatch):
    """From the first parent that has the variable: sudo removes it from its children's environment."""
    processes = {99: ("python3", 98, ()), 98: ("sudo", 97, ()), 97: ("sh", 96, ()), 96: ("sshd", 1, ())}
    environments = {98: "A=1\0", 97: "A=1\0SSH_CONNECTION=192.0.2.1 40000 192.0.2.11 2022\0B=2\0"}
    assert _sockets.ssh_ports(Machine(monkeypatch, processes, [], environments=environments)) == {2022}


def test_systemd_that_listens_for_ssh(monkeypatch):
    shown = "Listen=[::]:2200 (Stream)\nListen=0.0.0.0:2201 (Stream)\nActiveState=active\n\nListen=[::]:9 (Stream)\nActiveState=inactive\n"
    assert _sockets.ssh_ports(Machine(monkeypatch, {1: ("systemd", 0, ())}, [], shown)) == {2200, 2201}


def test_the_port_of_a_connection_of_real_processes(monkeypatch):
    """The inner process is like one below sudo: only its parent has the variable."""
    script = "env --unset=SSH_CONNECTION sh -c 'echo $$; exec sleep 60' & wait"
    given = {**os.environ, "SSH_CONNECTION": "192.0.2.1 40000 192.0.2.11 2022"}
    with subprocess.Popen(["sh", "-c", script], env=given, stdout=subprocess.PIPE, text=True) as process:
        inner = int(process.stdout.readline())
        monkeypatch.setattr(_sockets.os, "getpid", lambda: inner)
        try:
            assert "SSH_CONNECTION" not in _sockets._environment(inner)
            assert _sockets.session_port() == 2022
        finally:
            os.kill(inner, signal.SIGKILL)


def test_no_ssh_at_all(monkeypatch):
    assert _sockets.ssh_ports(Machine(monkeypatch, {1: ("systemd", 0, ())}, [], "\nActiveState=inactive\n")) == set()
