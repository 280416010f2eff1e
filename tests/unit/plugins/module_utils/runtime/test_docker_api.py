# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import contextlib
import socket
import threading

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _docker_api


@contextlib.contextmanager
def engine(path, answer):
    """A server on a local socket that gives one answer, whatever it is asked."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        server.settimeout(5)

        def serve():
            with server.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(5)


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(_docker_api, "SOCKET", str(tmp_path / "docker.sock"))
    return str(tmp_path / "docker.sock")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{"a": 1}', {"a": 1}),
        (b"HTTP/1.1 204 No Content\r\n\r\n", None),
    ],
)
def test_call(path, answer, found):
    with engine(path, answer):
        assert _docker_api.call("GET", "/info") == found


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b'HTTP/1.1 409 Conflict\r\nContent-Length: 7\r\n\r\n"in use', 'POST /x with 409: "in use'),
        (b"nonsense", "broke off at POST /x"),
    ],
)
def test_call_refused(path, answer, sentence):
    with engine(path, answer), pytest.raises(OSError, match=sentence):
        _docker_api.call("POST", "/x")


def test_no_engine(path):
    with pytest.raises(OSError, match="No such file"):
        _docker_api.call("GET", "/info")


@pytest.mark.parametrize("statuses", [[204], [404], [503, 503, 204], [503, 404]])
def test_delete(monkeypatch, statuses):
    """Docker responds with 503 until it has reconnected to a restarted containerd; it may have deleted the image nevertheless."""
    left = [*statuses]

    def call(method, path, timeout):
        assert (method, path) == ("DELETE", "/images/x")
        status = left.pop(0)
        if status >= 400:
            raise _docker_api.RefusedError(f"answers with {status}", status)

    monkeypatch.setattr(_docker_api, "call", call)
    _docker_api.delete("/images/x", wait=5, interval=0)
    assert left == []


@pytest.mark.parametrize(("status", "wait"), [(409, 5), (503, 0)])
def test_delete_refused(monkeypatch, status, wait):
    def call(method, path, timeout):
        raise _docker_api.RefusedError(f"answers with {status}", status)

    monkeypatch.setattr(_docker_api, "call", call)
    with pytest.raises(_docker_api.RefusedError, match=f"answers with {status}"):
        _docker_api.delete("/images/x", wait=wait)
