# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The artefact mirror of a lab: a detached HTTP server on the lab's gateway address."""

from __future__ import annotations

import contextlib
import http.client
import os
import pathlib
import signal
import subprocess
import sys

from lab.base import CHECKOUT, LabError, cache
from plugins.module_utils._wait import poll

PORT = 8000
MODULE = "lab.mirror_server"


def directory() -> pathlib.Path:
    """What is served: all that `playbooks/build.yml` builds or a person puts there."""
    path = cache("mirror")
    path.mkdir(exist_ok=True)
    return path


def url(address: str) -> str:
    """What the inventory says."""
    return f"http://{address}:{PORT}"


def ensure(name: str, address: str) -> None:
    """Have the server running."""
    if _pid(name, address) is not None and _answers(address):
        return
    stop(name, address)
    log = cache("labs", name, "mirror.log")
    with open(log, "w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE, str(directory()), address, str(PORT)],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            cwd=CHECKOUT,
        )
    cache("labs", name, "mirror.pid").write_text(str(process.pid), encoding="utf-8")
    if not poll(lambda: _answers(address), bool, seconds=10):
        raise LabError(f"the mirror does not answer on {url(address)}: see {log}.")


def stop(name: str, address: str) -> None:
    """End the server, if it is ours and runs."""
    pid = _pid(name, address)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        poll(lambda: _pid(name, address), lambda left: left is None, seconds=5, interval=0.05)


def is_ours(cmdline: str, address: str) -> bool:
    """Whether a process, by its /proc/PID/cmdline, is the server on this address: a pid may have been reused."""
    arguments = cmdline.rstrip("\0").split("\0")
    return MODULE in arguments and arguments[-2:] == [address, str(PORT)]


def _pid(name: str, address: str) -> int | None:
    try:
        pid = int(cache("labs", name, "mirror.pid").read_text(encoding="utf-8"))
        cmdline = pathlib.Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return pid if is_ours(cmdline, address) else None


def _answers(address: str) -> bool:
    connection = http.client.HTTPConnection(address, PORT, timeout=2)
    try:
        connection.request("HEAD", "/")
        return connection.getresponse().status in (200, 404)
    except OSError:
        return False
    finally:
        connection.close()
