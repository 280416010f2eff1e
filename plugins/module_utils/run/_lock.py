# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Exclusive locks between processes on one machine. The kernel releases the lock of a process that dies (flock(2))."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import typing as t


class BusyError(Exception):
    """Another process held the lock for the whole time."""


@contextlib.contextmanager
def held(path: str, seconds: float) -> t.Iterator[None]:
    """Hold the lock of a directory or file. Waits up to this time, in seconds, for other holders, and then raises BusyError.

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
