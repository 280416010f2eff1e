# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""virtual-ip-check, the program that tells keepalived whether this host may have the virtual IP."""

from __future__ import annotations

import pathlib
import socket
import subprocess
import threading
import time

import pytest

PROGRAM = pathlib.Path(__file__).parents[3] / "roles" / "load_balancer" / "files" / "virtual-ip-check.sh"


@pytest.fixture
def balancer():
    """Answer one request on a port, which is returned; None: with nothing, until the client gives up."""
    asked = []
    threads = []

    def serve(server, answer):
        with server, server.accept()[0] as connection:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                request += connection.recv(1000)
            asked.append(request.decode().splitlines()[0])
            if answer is None:
                connection.recv(1)
            else:
                connection.sendall(answer.encode())

    def start(answer):
        server = socket.create_server(("127.0.0.1", 0))
        server.settimeout(60)
        threads.append(threading.Thread(target=serve, args=(server, answer)))
        threads[-1].start()
        return server.getsockname()[1]

    start.asked = asked
    yield start
    for thread in threads:
        thread.join()


def check(port):
    return subprocess.run([PROGRAM, str(port)], capture_output=True, check=False, timeout=60).returncode


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        ("HTTP/1.0 200 OK\r\n\r\n", True),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", True),
        ("HTTP/1.0 503 Service Unavailable\r\nx: 200 \r\n\r\n 200 ", False),
        ("HTTP/1.0 500 200\r\n\r\n", False),
        ("", False),
    ],
)
def test_the_balancer_is_asked(balancer, answer, ready):
    assert (check(balancer(answer)) == 0) == ready
    assert balancer.asked == ["GET /here HTTP/1.0"]


def test_a_balancer_that_does_not_answer_is_not_ready(balancer):
    """keepalived ends the program after 2 s, and then does not know."""
    started = time.monotonic()
    assert check(balancer(None)) != 0
    assert time.monotonic() - started >= 1


def test_a_balancer_that_does_not_run_is_not_ready(reserved_port):
    assert check(reserved_port()) == 1
