# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Runs of playbooks against a lab for tests and benchmarks: the events of each task, and the duration."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t

from lab.base import CHECKOUT, LabError

CALLBACKS = CHECKOUT / "lab" / "callback"
_RECAP = re.compile(r"^(\S+)\s+: ((?:\w+=\d+\s*)+)$", re.MULTILINE)
_ERROR = re.compile(r"^(?:fatal: |\[ERROR\]: ).+", re.MULTILINE)


@dataclasses.dataclass
class Run:
    """A completed run of ansible-playbook."""

    code: int  # negative: the signal that ended it
    output: str
    seconds: float
    events: list[dict[str, t.Any]]  # the events that callback/recorder.py recorded, in order

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        """Host -> its counts in PLAY RECAP."""
        text = self.output.rpartition("PLAY RECAP")[2]
        return {
            host: {key: int(value) for key, value in (word.split("=") for word in counts.split())}
            for host, counts in _RECAP.findall(text)
        }

    @property
    def changed(self) -> int:
        """How many tasks changed something, on all hosts."""
        return sum(counts["changed"] for counts in self.recap.values())

    @property
    def boundaries(self) -> int:
        """How many tasks were started; a run can be killed before each of them."""
        return sum(1 for event in self.events if event["event"] == "start")

    @property
    def host_tasks(self) -> int:
        """How many tasks ran on hosts, without skipped ones."""
        return sum(1 for event in self.events if event["event"] == "ok" and not event["skipped"])

    @property
    def changes(self) -> list[dict[str, t.Any]]:
        """The results that changed something."""
        return [event for event in self.events if event["event"] == "ok" and event["changed"]]

    @property
    def restarts(self) -> dict[str, dict[str, str]]:
        """Host -> service that was (or would be) restarted -> reason."""
        found: dict[str, dict[str, str]] = {}
        for event in self.changes:
            if event["restarts"]:
                found.setdefault(event["host"], {}).update(event["restarts"])
        return found

    def demand(self) -> Run:
        """This run, if it succeeded."""
        if self.code != 0:
            # A summary shows the first line.
            why = " ".join(_ERROR.findall(self.output)[:3])
            raise LabError(f"the playbook ended with {self.code}: {why}\n{self.output}")
        return self


def inventory_arguments(inventory: str | os.PathLike) -> list[str]:
    return ["-i", os.fspath(inventory)]


def extra_variables(values: t.Mapping[str, t.Any]) -> str:
    """The arguments of -e."""
    return json.dumps(values)


class Playbook:
    """A started run of ansible-playbook, which can be killed with all its processes."""

    def __init__(
        self, name: str, *arguments: str, kill_at: int = 0, environment: t.Mapping[str, str] | None = None
    ) -> None:
        """name is a playbook of this checkout, or a path, without .yml; kill_at is the task (from 1) before which the run is SIGKILLed."""
        binaries = pathlib.Path(sys.executable).parent
        self._record = pathlib.Path(tempfile.mkstemp(prefix="plainkube-run-", suffix=".jsonl")[1])
        self._output = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        variables = {
            **os.environ,
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".venv" / "collections"),
            "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
            "ANSIBLE_CALLBACKS_ENABLED": "recorder",
            "ANSIBLE_FORCE_COLOR": "0",
            "PLAINKUBE_RECORD": str(self._record),
            "PLAINKUBE_KILL_AT": str(kill_at),
            **(environment or {}),
        }
        command = [str(binaries / "ansible-playbook"), str(CHECKOUT / "playbooks" / f"{name}.yml"), *arguments]
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def kill(self) -> None:
        """Kill it and its workers, like a power cut of the control node."""
        self._process.kill()
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """Freeze it and its workers, as if the control node were suspended."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """The workers have their own sessions and outlive the run; their initial environment identifies them."""
        mark = f"PLAINKUBE_RECORD={self._record}".encode()
        for directory in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (directory / "environ").read_bytes().split(b"\0"):
                    os.kill(int(directory.name), number)

    def pin(self, core: int) -> None:
        """Pin it to this core, with all the processes that it starts from now on."""
        for thread in pathlib.Path(f"/proc/{self._process.pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), {core})

    def goes_on(self) -> bool:
        """Whether it is still running."""
        return self._process.poll() is None

    def says(self, text: str) -> bool:
        """Whether it has printed this so far. Its output file has one shared position, which reading must not move."""
        descriptor = self._output.fileno()
        return text.encode() in os.pread(descriptor, os.fstat(descriptor).st_size, 0)

    def begun(self) -> int:
        """How many tasks it has started so far."""
        return self._record.read_text(encoding="utf-8").count('"event": "start"')

    def wait(self, seconds: float = 900) -> Run:
        """Wait for its end; kills it after this number of seconds."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        except BaseException:
            self.kill()  # who waits is ended; nothing may be left running
            self._record.unlink()
            raise
        took = time.monotonic() - self._started
        if self._process.returncode < 0:
            self.kill()  # its workers
        self._output.seek(0)
        with self._output as stream:
            output = stream.read()
        # The last line of a killed run may be incomplete.
        lines = self._record.read_text(encoding="utf-8").splitlines()
        self._record.unlink()
        return Run(self._process.returncode, output, took, [*_parse(lines)])


def _parse(lines: t.Iterable[str]) -> t.Iterator[dict[str, t.Any]]:
    for line in lines:
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def playbook(name: str, inventory: str | os.PathLike, *arguments: str, **options: t.Any) -> Run:
    """Run a playbook of this checkout to its end; `.demand()` requires success."""
    return Playbook(name, *inventory_arguments(inventory), *arguments, **options).wait()


def pace(inventory: str | os.PathLike) -> float:
    """Seconds of a run with a single task that does nothing, on the machine in its current state: the unit of the tests' time limits.

    A number of seconds would fail on a slow day, or be so large that it catches nothing. The median of three."""
    return statistics.median(playbook("../lab/bare", inventory).demand().seconds for _attempt in range(3))
