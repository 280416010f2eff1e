# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The artifact mirror of a lab: a detached HTTP server on the lab's gateway address."""

from __future__ import annotations

import http.client
import pathlib
import sys

from lab.base import cache
from lab.service import Service

PORT = 8000
MODULE = "lab.mirror_server"


def directory() -> pathlib.Path:
    """The served directory: everything that `playbooks/build.yml` builds or a user adds."""
    path = cache("mirror")
    path.mkdir(exist_ok=True)
    return path


def url(address: str) -> str:
    """The URL in the inventory."""
    return f"http://{address}:{PORT}"


def service(name: str, address: str) -> Service:
    """The server of a lab."""
    return Service(name, "mirror", (MODULE, address, str(PORT)))


def ensure(name: str, address: str) -> None:
    """Start the server if it is not running."""
    command = [sys.executable, "-m", MODULE, str(directory()), address, str(PORT)]
    service(name, address).ensure(command, lambda: _answers(address))


def _answers(address: str) -> bool:
    connection = http.client.HTTPConnection(address, PORT, timeout=2)
    try:
        connection.request("HEAD", "/")
        return connection.getresponse().status in (200, 404)
    except OSError:
        return False
    finally:
        connection.close()
