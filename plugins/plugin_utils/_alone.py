# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The lock of a cluster on the control node. ansible-playbook holds it until it ends, however it ends: the kernel takes it from a dead process.

Its workers inherit it, so that what a killed ansible-playbook has left running is still alone."""

from __future__ import annotations

import contextlib
import datetime
import getpass
import hashlib
import json
import os
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils import _lock

# Path -> the lock that this process holds.
_HELD: dict[str, contextlib.ExitStack] = {}


class Holder(t.NamedTuple):
    """Who holds a lock, as its file says."""

    playbook: str
    user: str
    pid: int
    since: str

    def __str__(self) -> str:
        return f"{self.playbook} of {self.user} (pid {self.pid}), since {self.since}"


def path(home: str, directory: str) -> str:
    """The lock file of the cluster whose CAs are in a directory, in a directory of the user's."""
    name = hashlib.sha256(os.path.realpath(directory).encode()).hexdigest()[:16]
    return os.path.join(home, "plainkube", f"{name}.lock")


def me(playbook: str) -> Holder:
    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    return Holder(playbook, getpass.getuser(), os.getpid(), now)


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


def take(file: str, who: Holder, seconds: float, waits: t.Callable[[str], None]) -> str:
    """Take the lock, and keep it until this process ends. Returns who holds it instead, in words, after this time in seconds; empty if all is well.

    Calls `waits` with those words before it waits."""
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
    with open(file, "w", encoding="utf-8") as stream:
        json.dump(who._asdict(), stream)
    return ""
