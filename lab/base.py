# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Shared by the lab's modules: its error, file locations, progress output and lock."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import subprocess
import sys
import time
import typing as t

CHECKOUT = pathlib.Path(__file__).resolve().parent.parent
FILES = CHECKOUT / "lab" / "files"


class LabError(Exception):
    """One sentence for the user: what is wrong and what to do."""


def cache(*parts: str) -> pathlib.Path:
    """A path in the cache directory, which outlives checkouts; creates its parent."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = pathlib.Path(home, "plainkube", *parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def say(text: str) -> None:
    """A progress line; on stderr, so that the output of commands stays clean."""
    print(f"lab: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(text: str) -> t.Iterator[None]:
    """Print the step's name, and its duration."""
    say(f"{text} ...")
    started = time.monotonic()
    yield
    say(f"{text}: {time.monotonic() - started:.1f} s")


@contextlib.contextmanager
def lock() -> t.Iterator[None]:
    """Only one process at a time may change what labs share: networks, routes, images. Released when the process ends."""
    with open(cache("lab.lock"), "w", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another lab command to finish ...")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def run(*command: str, **options: t.Any) -> str:
    """The output of a command on this machine; if it fails, an error with its own message."""
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options)
    if done.returncode:
        raise LabError(f"`{' '.join(command)}` failed: {done.stdout.strip() or done.returncode}")
    return done.stdout


def playbook(name: str, *arguments: str, environment: t.Mapping[str, str] | None = None) -> None:
    """Run a playbook of this checkout, with more environment variables; shows its output immediately."""
    binaries = pathlib.Path(sys.executable).parent
    variables = {
        **os.environ,
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_FORCE_COLOR": "1" if sys.stdout.isatty() else "0",
        **(environment or {}),
    }
    command = [str(binaries / "ansible-playbook"), f"playbooks/{name}", *arguments]
    say(" ".join(["ansible-playbook", *command[1:]]))
    if subprocess.run(command, cwd=CHECKOUT, env=variables, check=False).returncode:
        raise LabError(f"playbooks/{name} failed, see above.")
