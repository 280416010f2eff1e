# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Exclusive locks between processes of one machine. The kernel takes a lock from a process that dies (flock(2))."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import typing as t


class BusyError(Exception):
    """Another process has held the lock all the time."""


@contextlib.contextmanager
def held(path: str, seconds: float) -> t.Iterator[None]:
    """Hold the lock of a directory or file. Waits for other holders for this time, in seconds, and raises BusyError then.

    A file that does not exist is created, for its owner only.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY if os.path.isdir(path) else os.O_RDWR | os.O_CREAT
    handle = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BusyError(path) from None
                time.sleep(0.1)
        yield
    finally:
        os.close(handle)
