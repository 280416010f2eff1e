# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A lab's servers on this machine, which keep running after the command that started them."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import typing as t

from lab.base import CHECKOUT, LabError, cache
from plugins.module_utils.host._wait import poll


class Service(t.NamedTuple):
    """One server, identified by its pid file and by these words of its command line, because a PID may be reused."""

    lab: str
    name: str
    marks: tuple[str, ...]

    @property
    def log(self) -> pathlib.Path:
        return cache("labs", self.lab, f"{self.name}.log")

    def is_mine(self, cmdline: str) -> bool:
        """Whether a process, given its /proc/PID/cmdline, is this server."""
        return set(self.marks) <= set(cmdline.rstrip("\0").split("\0"))

    def pid(self) -> int | None:
        """Its process; None if it is not running."""
        try:
            pid = int(self._pid_file().read_text(encoding="utf-8"))
            cmdline = pathlib.Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        return pid if self.is_mine(cmdline) else None

    def _pid_file(self) -> pathlib.Path:
        return cache("labs", self.lab, f"{self.name}.pid")

    def ensure(self, command: t.Sequence[str], answers: t.Callable[[], bool]) -> None:
        """Start it, unless it is already running."""
        if self.pid() is not None and answers():
            return
        self.stop()
        with open(self.log, "a", encoding="utf-8") as stream:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True, cwd=CHECKOUT
            )
        self._pid_file().write_text(str(process.pid), encoding="utf-8")
        if not poll(answers, bool, seconds=10):
            raise LabError(f"the {self.name} of lab {self.lab} does not respond: see {self.log}.")

    def stop(self) -> None:
        """Stop it, if it is running."""
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            poll(self.pid, lambda left: left is None, seconds=5, interval=0.05)
