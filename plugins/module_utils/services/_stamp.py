# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The stamp identifies what a running process was started from, and so whether it must be restarted, and why.

A unit (or drop-in) ends with a trailer that lists the files that its process reads at start, and sets
PLAINKUBE_STAMP=SUM.GENERATION in the process's environment. SUM is the SHA-256 of the unit's own text
and all those files. A process whose stamp differs from that of the unit on disk was started
from something else. GENERATION increases whenever a file on disk had to be repaired, so that a process
that was started from the wrong file differs from one that was started before and never read it.
systemd ignores keys that begin with X- (systemd.unit(5)); they are for us and for the reader.
"""

from __future__ import annotations

import hashlib
import os
import re
import typing as t

VARIABLE = "PLAINKUBE_STAMP"
_COMMENT = (
    "# What the process is started from; written by plainkube.cluster, which compares it with the running process."
)
_TRAILER = re.compile(rf"^(?:#.*\n)?\[Service\]\n(?:X-PlainkubeInput=.*\n)*Environment={VARIABLE}=.*$", re.MULTILINE)
_STAMP = re.compile(rf"^Environment={VARIABLE}=([0-9a-f]{{64}})\.([0-9a-z]+)$", re.MULTILINE)
_INPUT = re.compile(r"^X-PlainkubeInput=(\S+) ([0-9a-f]{12})$", re.MULTILINE)
# Above this size, a file is identified by its real path, size and modification time: hashing 100 MB binaries takes seconds.
_HASH_LIMIT = 1 << 20
# Placeholder for a fingerprint that a plan cannot know, because this run replaces the file first.
PENDING = "pending"


class Stamp(t.NamedTuple):
    """SUM.GENERATION."""

    sum: str
    generation: str

    def __str__(self) -> str:
        return f"{self.sum}.{self.generation}"


class Pending:
    """The content of a file that another task of this run will write before the process starts."""


Contents = t.Mapping[str, t.Union[str, Pending]]


def fingerprint(path: str, content: str | Pending | None = None) -> str:
    """The identity of the file at path: its digest, or for a large file its path, size and age.

    With content, the fingerprint that the file will have once that content is written.
    """
    if isinstance(content, Pending):
        return PENDING
    if content is not None:
        return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()
    try:
        status = os.stat(path)
        if status.st_size > _HASH_LIMIT:
            return f"{os.path.realpath(path)} {status.st_size} {status.st_mtime_ns}"
        with open(path, "rb") as stream:
            return hashlib.sha256(stream.read()).hexdigest()
    except OSError:
        return "absent"


def compute(unit: str, inputs: t.Sequence[str], contents: Contents | None = None) -> str:
    """The sum of a unit's text (without trailer) and its inputs, sorted by path; PENDING if one of them is."""
    if any(isinstance((contents or {}).get(path), Pending) for path in inputs):
        return PENDING
    digest = hashlib.sha256(f"{unit.rstrip()}\n".encode("utf-8", "surrogateescape"))
    for path in sorted(set(inputs)):
        digest.update(f"\n{path} {fingerprint(path, (contents or {}).get(path))}".encode())
    return digest.hexdigest()


def append(unit: str, inputs: t.Sequence[str], stamp: Stamp, contents: Contents | None = None) -> str:
    """The unit with its trailer."""
    lines = [f"X-PlainkubeInput={path} {_short(path, contents)}\n" for path in sorted(set(inputs))]
    return f"{unit.rstrip()}\n\n{_COMMENT}\n[Service]\n{''.join(lines)}Environment={VARIABLE}={stamp}\n"


def _short(path: str, contents: Contents | None = None) -> str:
    """Twelve digits that change with the file, so that the trailer shows which input changed."""
    found = fingerprint(path, (contents or {}).get(path))
    return found if found == PENDING else hashlib.sha256(found.encode()).hexdigest()[:12]


def _parts(text: str) -> tuple[str, str]:
    """A unit's text without its trailer, and the trailer."""
    found = _TRAILER.search(text)
    return (text[: found.start()], found[0]) if found else (text, "")


def changed_inputs(text: str, contents: Contents | None = None) -> list[str]:
    """The inputs in a unit's trailer that have changed since the unit was written."""
    trailer = _parts(text)[1]
    return [path for path, short in _INPUT.findall(trailer) if _short(path, contents) != short]


def split(text: str) -> tuple[str, list[str], Stamp | None]:
    """A unit's text without its trailer, its inputs, and its stamp (None if it has none)."""
    body, trailer = _parts(text)
    found = _STAMP.search(trailer)
    inputs = [path for path, dummy in _INPUT.findall(trailer)]
    return body.rstrip() + "\n", inputs, Stamp(*found.groups()) if found else None


def of_environment(environment: bytes) -> str:
    """The stamp in a process's environment (/proc/PID/environ), or an empty string."""
    prefix = f"{VARIABLE}=".encode()
    for entry in environment.split(b"\0"):
        if entry.startswith(prefix):
            return entry[len(prefix) :].decode("ascii", "replace")
    return ""


def environment(pid: int) -> bytes:
    """The environment with which a process was started; empty if it has ended."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def of_process(pid: int) -> str:
    """The stamp of a running process; an empty string if it has none or has ended."""
    return of_environment(environment(pid))


def mismatch(unit_text: str, pid: int, binary: str = "") -> str:
    """Why the process PID differs from what its unit file and inputs on disk would start; empty if it does not.

    For the status, which does not know the desired content of the files, only whether the process was started from them.
    """
    body, inputs, stamp = split(unit_text)
    if stamp is None:
        return "its unit file has no stamp of plainkube.cluster"
    changed = changed_inputs(unit_text)
    if changed:
        return f"{', '.join(changed)} changed on disk after the last run of plainkube.cluster.site"
    if compute(body, inputs) != stamp.sum:
        return "its unit file was changed on disk after the last run of plainkube.cluster.site"
    if of_process(pid) != str(stamp):
        return "the process was started from an older unit, configuration or binary"
    return other_binary(pid, binary)


def other_binary(pid: int, binary: str) -> str:
    """Why the process PID does not run the file at path `binary`; empty if it does, or if that is unknown."""
    if not binary:
        return ""
    try:
        running, wanted = os.stat(f"/proc/{pid}/exe"), os.stat(binary)
    except OSError:
        return ""
    if (running.st_dev, running.st_ino) != (wanted.st_dev, wanted.st_ino):
        return f"the process does not run {binary}, but another file"
    return ""


class Process(t.NamedTuple):
    """The current state of a service."""

    active_state: str  # systemd's ActiveState
    sub_state: str
    pid: int
    stamp: str  # of the running process; empty if it has none
    other_binary: str  # why it does not run the desired binary; empty if it does

    @classmethod
    def of(cls, state: t.Mapping[str, str], binary: str) -> Process:
        """The process of a service, from the output of `systemctl show`."""
        pid = int(state.get("MainPID") or 0)
        stamp, other = of_process(pid), other_binary(pid, binary)
        return cls(state.get("ActiveState", ""), state.get("SubState", ""), pid, stamp, other)

    @property
    def runs(self) -> bool:
        return self.pid > 0 and self.active_state in ("active", "activating", "reloading")


def _next_generation(stamp: Stamp | None) -> str:
    return str(int(stamp.generation) + 1) if stamp and stamp.generation.isdigit() else "1"


def wanted_unit(
    body: str,
    inputs: t.Sequence[str],
    contents: Contents,
    on_disk: str | None,
    repaired: t.Sequence[str],
) -> str:
    """The desired text of the unit file.

    `repaired` names the component's own files whose content on disk is wrong. A process may
    have been started with them, so the generation increases, to a stamp that no process can have yet. The unit is written
    before the files, so if a run dies in between, the next run has the same work.
    """
    found_body, dummy, stamp = split(on_disk or "")
    total = compute(body, inputs, contents)
    same = stamp is not None and not repaired and found_body == f"{body.rstrip()}\n"
    generation = stamp.generation if same and stamp else _next_generation(stamp)
    return append(body, inputs, Stamp(total, generation), contents)


def restart_reasons(
    unit: str,
    on_disk: str | None,
    contents: Contents,
    repaired: t.Sequence[str],
    process: Process,
    replaced: t.Sequence[str] = (),
) -> list[str]:
    """Why the process must be restarted, as text; empty if it is running and matches the files.

    `replaced` names the inputs that other tasks of this run write; the wording for them is the same as for this component's own files, before
    they are written (in a plan) and after.
    """
    if on_disk is None and not process.runs:
        return ["it is not installed yet"]
    if not process.runs:
        return [f"it is not running ({process.active_state}/{process.sub_state})"]
    body, dummy, stamp = split(unit)
    if process.stamp == str(stamp):
        return [process.other_binary] if process.other_binary else []
    reasons = [f"{path} changes" for path in repaired]
    if split(on_disk or "")[0] != body:
        reasons.append("its unit file changes")
    reasons += [
        f"{path} {'changes' if path in replaced else 'changed'}"
        for path in changed_inputs(on_disk or "", contents)
        if path not in repaired
    ]
    return reasons or ["the process was started from an older unit, configuration or binary"]
