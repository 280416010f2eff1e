# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The lock of a cluster on the control node. ansible-playbook holds it until it ends, however it ends: the kernel takes it from a dead process.

Its workers inherit it, so that what a killed ansible-playbook has left running is still alone. They also inherit the name of the run, under which it
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
# How long dead runs are remembered, in seconds, and how many. Older ones do not matter, because their locks of hosts have lapsed.
_KEPT, _MOST = 86400, 20
# Seconds to wait for another run that checks at the same time which runs have ended.
_GLANCE = 0.05


class _Current(t.NamedTuple):
    run: _run.Run
    # Until when it waits for other runs (time.monotonic).
    deadline: float


_CURRENT: list[_Current] = []


def current() -> _run.Run | None:
    """The run of this process, if it changes hosts."""
    return _CURRENT[-1].run if _CURRENT else None


def patience() -> float:
    """How much longer it waits for other runs, in seconds."""
    return _CURRENT[-1].deadline - time.monotonic() if _CURRENT else 0


class Holder(t.NamedTuple):
    """Who holds a lock, as its file says."""

    playbook: str
    user: str
    machine: str
    pid: int
    since: str

    def __str__(self) -> str:
        return f"{self.playbook} of {self.user} on {self.machine} (pid {self.pid}), since {self.since}"


def path(home: str, directory: str) -> str:
    """The lock file of the cluster whose CAs are in a directory, in a directory of the user's."""
    name = hashlib.sha256(os.path.realpath(directory).encode()).hexdigest()[:16]
    return os.path.join(home, "plainkube", f"{name}.lock")


def _me(playbook: str) -> Holder:
    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    return Holder(playbook, getpass.getuser(), socket.gethostname(), os.getpid(), now)


def holder(file: str) -> str:
    """Who holds the lock, in words. Between its taking and this note, nobody knows."""
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
    """This machine. A home directory may be copied, or be shared by machines that do not see each other's locks."""
    try:
        with open("/etc/machine-id", encoding="utf-8") as stream:
            identity = stream.read()
    except OSError:
        identity = ""
    return hashlib.sha256(f"{identity} {socket.gethostname()}".encode()).hexdigest()[:16]


def _ended(directory: str) -> list[str]:
    """The runs of this user on this machine that have ended, the latest ones: nobody holds their files."""
    found: list[tuple[float, str]] = []
    machine = _machine()
    for entry in os.scandir(directory):
        # Another run may have removed it meanwhile.
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
    """Give this run a name, and a file that it holds as long as it lives."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    ended, name = _ended(directory), secrets.token_hex(8)
    # It has its name once it is held, so that nobody takes the run for dead.
    file = os.path.join(directory, f".{name}")
    lock = _try(file, 0)
    if lock is not None:
        os.rename(file, os.path.join(directory, f"{_machine()}-{name}"))
        _HELD[file] = lock
    _CURRENT[:] = [_Current(_run.Run(name, who, time.time(), ended), time.monotonic() + seconds)]


def take(file: str, playbook: str, seconds: float, waits: t.Callable[[str], None]) -> str:
    """Take the lock for a playbook, and keep it until this process ends.

    Returns who holds it instead, in words, after this time in seconds; empty if all is well. Calls `waits` with those words before it waits."""
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
