# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The lock of a cluster on the control node. ansible-playbook holds it until it ends, however it ends: the kernel takes it from a dead process.

Its workers inherit it, so that what a killed ansible-playbook has left running is still alone. They inherit the name of the run as well, which the
lock of each host is held with (_run.py)."""

from __future__ import annotations

import contextlib
import datetime
import getpass
import hashlib
import json
import os
import secrets
import socket
import time
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils import _lock, _run

# Path -> the lock that this process holds.
_HELD: dict[str, contextlib.ExitStack] = {}


class _Current(t.NamedTuple):
    run: _run.Run
    # Seconds.
    wait: float


_CURRENT: list[_Current] = []


def current() -> _run.Run | None:
    """The run of this process, if it changes hosts."""
    return _CURRENT[-1].run if _CURRENT else None


def wait() -> float:
    """For how long it waits for other runs, in seconds."""
    return _CURRENT[-1].wait if _CURRENT else 0


class Holder(t.NamedTuple):
    """Who holds a lock, as its file says."""

    playbook: str
    user: str
    pid: int
    since: str
    # Of the lock file, as long as it exists, and of the machine, since a home directory may be copied to others or be shared by them.
    lock: str
    machine: str

    def __str__(self) -> str:
        return f"{self.playbook} of {self.user} on {self.machine} (pid {self.pid}), since {self.since}"


def path(home: str, directory: str) -> str:
    """The lock file of the cluster whose CAs are in a directory, in a directory of the user's."""
    name = hashlib.sha256(os.path.realpath(directory).encode()).hexdigest()[:16]
    return os.path.join(home, "plainkube", f"{name}.lock")


def _noted(file: str) -> Holder | None:
    """Who held the lock last, as the file says. Between its taking and this note, nobody knows."""
    try:
        with open(file, encoding="utf-8") as stream:
            return Holder(**json.load(stream))
    except (OSError, ValueError, TypeError):
        return None


def _me(playbook: str, before: Holder | None) -> Holder:
    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    lock = before.lock if before else secrets.token_hex(8)
    return Holder(playbook, getpass.getuser(), os.getpid(), now, lock, socket.gethostname())


def holder(file: str) -> str:
    """Who holds the lock, in words."""
    return str(_noted(file) or "another one")


def _try(file: str, seconds: float) -> contextlib.ExitStack | None:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_lock.held(file, seconds))
        except _lock.BusyError:
            return None
        return stack.pop_all()


def take(file: str, playbook: str, seconds: float, waits: t.Callable[[str], None]) -> str:
    """Take the lock for a playbook, and keep it until this process ends.

    Returns who holds it instead, in words, after this time in seconds; empty if all is well. Calls `waits` with those words before it waits."""
    if file in _HELD:
        return ""
    os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
    lock = _try(file, 0)
    if lock is None and seconds > 0:
        waits(holder(file))
        lock = _try(file, seconds)
    if lock is None:
        return holder(file)
    _HELD[file] = lock
    who = _me(playbook, _noted(file))
    with open(file, "w", encoding="utf-8") as stream:
        json.dump(who._asdict(), stream)
    run = _run.Run(secrets.token_hex(8), f"{who.lock} {who.machine}", str(who), time.time())
    _CURRENT[:] = [_Current(run, seconds)]
    return ""
