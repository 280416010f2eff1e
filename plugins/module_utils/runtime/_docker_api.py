# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Docker Engine's API on its local socket: needs no client on the host, and 5 ms instead of its 50."""

from __future__ import annotations

import http.client
import json
import socket
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll

SOCKET = "/run/docker.sock"


class RefusedError(OSError):
    """Docker refused the request, with this HTTP status."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class _LocalConnection(http.client.HTTPConnection):
    """HTTP over Docker's socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(SOCKET)


def call(method: str, path: str, timeout: float = 10) -> t.Any:
    """Docker's JSON response; raises OSError if it does not respond, and RefusedError if it refuses.

    The socket starts a stopped Docker: call it only when docker.service is active.
    """
    connection = _LocalConnection("localhost", timeout=timeout)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read().decode("utf-8", "replace")
    except http.client.HTTPException as error:
        raise OSError(f"Docker's API broke off at {method} {path}: {error!r}") from None
    finally:
        connection.close()
    if response.status >= 400:
        text = f"Docker's API answers {method} {path} with {response.status}: {body.strip()[:300]}"
        raise RefusedError(text, response.status)
    return json.loads(body) if body.strip() else None


def for_each(names: t.Sequence[str], work: t.Callable[[str], None]) -> None:
    """Do something with several containers at once."""
    # Imported here: it would cost every run 12 ms, and few need it.
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(work, names))


def delete(path: str, wait: float, interval: float = 0.5) -> None:
    """Remove an object, if it exists.

    For some seconds after a restart of containerd, Docker does not find it: it returns 503, and may have done half of the removal.
    The request is retried for `wait` seconds; after that, or if Docker refuses for another reason, raises RefusedError.
    """

    def attempt() -> RefusedError | None:
        try:
            call("DELETE", path, timeout=60)
        except RefusedError as error:
            if error.status == 404:
                return None
            if error.status != 503:
                raise
            return error
        return None

    problem = poll(attempt, lambda problem: problem is None, wait, interval)
    if problem is not None:
        raise problem
