# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""kube-apiserver-stop, which kills an API server that has lost etcd, because it would not stop."""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading

import pytest

PROGRAM = pathlib.Path(__file__).parents[3] / "roles" / "control_plane" / "files" / "kube-apiserver-stop.sh"


@pytest.fixture
def api_server():
    """Start a process with these arguments."""
    processes = []

    def start(*arguments):
        processes.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *arguments]))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def closed():
    """A URL at which nothing listens, and its port."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        yield f"https://127.0.0.1:{port}", port


@pytest.fixture
def etcd():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"https://127.0.0.1:{server.getsockname()[1]}"


def stop(pid, seconds=0):
    """Run the program as systemd does: whether it succeeds, and what it prints."""
    environment = {"PATH": os.environ["PATH"], **({"MAINPID": str(pid)} if pid else {})}
    done = subprocess.run(
        [PROGRAM, str(seconds)], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_it_is_killed_without_etcd(api_server, closed):
    process = api_server("--secure-port=6443", f"--etcd-servers={closed[0]}", "--etcd-cafile=ca.crt")
    said = f"Killing kube-apiserver, because etcd does not respond at {closed[0]}.\n"
    assert stop(process.pid) == (0, said, "")
    assert process.wait(timeout=60) == -signal.SIGKILL


@pytest.mark.parametrize("servers", ["{etcd}", "{closed},{etcd}", "{etcd},{closed}"])
def test_it_is_left_to_systemd_with_etcd(api_server, etcd, closed, servers):
    process = api_server(f"--etcd-servers={servers.format(etcd=etcd, closed=closed[0])}")
    assert stop(process.pid) == (0, "", "")
    assert process.poll() is None


def test_etcd_that_restarts_is_waited_for(api_server, closed):
    # Its port is free at another address.
    address, port = "127.0.0.2", closed[1]
    process = api_server(f"--etcd-servers=https://{address}:{port}")
    servers = []
    timer = threading.Timer(1, lambda: servers.append(socket.create_server((address, port))))
    timer.start()
    try:
        assert stop(process.pid, 30) == (0, "", "")
        assert process.poll() is None
    finally:
        timer.join()
        servers[0].close()


def test_it_may_have_ended_by_itself(api_server):
    assert stop(None) == (0, "", "")


def test_an_api_server_without_the_flag_is_not_killed(api_server):
    process = api_server("--secure-port=6443")
    assert stop(process.pid) == (0, "", "")
    assert process.poll() is None
