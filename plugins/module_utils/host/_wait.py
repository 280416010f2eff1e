# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Polling with a timeout; tests inject the clock."""

from __future__ import annotations

import time
import typing as t

T = t.TypeVar("T")


def poll(
    probe: t.Callable[[], T],
    done: t.Callable[[T], bool],
    seconds: float,
    interval: float = 0.2,
    sleep: t.Callable[[float], None] = time.sleep,
    now: t.Callable[[], float] = time.monotonic,
) -> T:
    """Probe at least once, until done or until the timeout; return the last answer."""
    end = now() + seconds
    while True:
        answer = probe()
        if done(answer) or now() >= end:
            return answer
        sleep(interval)
