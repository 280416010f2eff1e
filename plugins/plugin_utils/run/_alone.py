# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The lock of a cluster on the control node. ansible-playbook holds it until it ends, however it ends: the kernel releases the lock of a dead process.

Its workers inherit it, so that the remains of a killed ansible-playbook still exclude other runs. They also inherit the name of the run, under which it
holds the locks of hosts (_run.py)."""

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

from ansible_collections.plainkube.cluster.plugins.module_utils.run import _lock, _run

# Path -> the lock that this process holds.
_HELD: dict[str, contextlib.ExitStack] = {}
# How long dead runs are remembered, in seconds, and how many. Older ones do not matter, because their locks of hosts have expired.
_KEPT, _MOST = 86400, 20
# Seconds to wait for a concurrent run that checks which runs have ended.
_GLANCE = 0.05


class _Current(t.NamedTuple):
    run: _run.Run
    # Deadline for waiting for other runs (time.monotonic).
    deadline: float


_CURRENT: list[_Current] = []


def current() -> _run.Run | None:
    """The run to which this process belongs, if it changes hosts."""
    return _CURRENT[-1].run if _CURRENT else None


def patience() -> float:
    """The remaining time to wait for other runs, in seconds."""
    return _CURRENT[-1].deadline - time.monotonic() if _CURRENT else 0


class Holder(t.NamedTuple):
    """The holder of a lock, according to its file."""

    playbook: str
    user: str
    machine: str
    pid: int
    since: str

    def __str__(self) -> str:
        return f"{self.playbook} of {self.user} on {self.machine} (pid {self.pid}), since {self.since}"


def path(home: str, directory: str) -> str:
    """The lock file, in a directory of the user, for the cluster with this CA directory."""
    name = hashlib.sha256(os.path.realpath(directory).encode()).hexdigest()[:16]
    return os.path.join(home, "plainkube", f"{name}.lock")


def _me(playbook: str) -> Holder:
    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    return Holder(playbook, getpass.getuser(), socket.gethostname(), os.getpid(), now)


def holder(file: str) -> str:
    """The holder of the lock, as text. Unknown for a moment after the lock is taken, until the note is written."""
    try:
        with open(file, encoding="utf-8") as stream:
            return str(Holder(**json.load(stream)))
    except (OSError, ValueError, TypeError):
        return "another one"


def _try(file: str, seconds: float) -> contextlib.ExitStack | None:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_lock.held(file, seconds))
        except _lock.BusyError:
            return None
        return stack.pop_all()


def _machine() -> str:
    """An identifier of this machine. A home directory may be copied, or shared by machines that do not see each other's locks."""
    try:
        with open("/etc/machine-id", encoding="utf-8") as stream:
            identity = stream.read()
    except OSError:
        identity = ""
    return hashlib.sha256(f"{identity} {socket.gethostname()}".encode()).hexdigest()[:16]


def _ended(directory: str) -> list[str]:
    """The most recent runs of this user on this machine that have ended: no process holds their files."""
    found: list[tuple[float, str]] = []
    machine = _machine()
    for entry in os.scandir(directory):
        # Another run may have removed it in the meantime.
        with contextlib.suppress(OSError):
            lock = _try(entry.path, _GLANCE) if entry.name.startswith(machine) else None
            if lock is not None:
                lock.close()
                found.append((entry.stat().st_mtime, entry.name))
    found.sort(reverse=True)
    kept = [name for changed, name in found[:_MOST] if time.time() - changed < _KEPT]
    for _changed, name in found:
        with contextlib.suppress(OSError):
            if name not in kept:
                os.unlink(os.path.join(directory, name))
    return [name.rpartition("-")[2] for name in kept]


def _begin(directory: str, who: str, seconds: float) -> None:
    """Give this run a name, and a file that it locks until it ends."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    ended, name = _ended(directory), secrets.token_hex(8)
    # The file gets its name once it is locked, so that no other run considers this one dead.
    file = os.path.join(directory, f".{name}")
    lock = _try(file, 0)
    if lock is not None:
        os.rename(file, os.path.join(directory, f"{_machine()}-{name}"))
        _HELD[file] = lock
    _CURRENT[:] = [_Current(_run.Run(name, who, time.time(), ended), time.monotonic() + seconds)]


def take(file: str, playbook: str, seconds: float, waits: t.Callable[[str], None]) -> str:
    """Take the lock for a playbook, and hold it until this process ends.

    If another run still holds it after this time in seconds, returns its holder as text, otherwise empty. Calls `waits` with that text before it waits."""
    if file in _HELD:
        return ""
    begun = time.monotonic()
    os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)
    lock = _try(file, 0)
    if lock is None and seconds > 0:
        waits(holder(file))
        lock = _try(file, seconds)
    if lock is None:
        return holder(file)
    _HELD[file] = lock
    who = _me(playbook)
    with open(file, "w", encoding="utf-8") as stream:
        json.dump(who._asdict(), stream)
    _begin(os.path.join(os.path.dirname(file), "runs"), str(who), max(0.0, begun + seconds - time.monotonic()))
    return ""
