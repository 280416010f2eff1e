# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The collection as users get it: built into an archive, installed into an empty directory, and run from another one."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time

from lab import runs
from lab.base import CHECKOUT

NAME = "plainkube.cluster"
BINARIES = pathlib.Path(sys.executable).parent


def build(directory: pathlib.Path) -> pathlib.Path:
    """The archive, of this checkout as it is, with all that lies around in it."""
    command(CHECKOUT, "ansible-galaxy", "collection", "build", "--output-path", str(directory)).demand()
    return next(directory.glob("*.tar.gz"))


class Installed:
    """A collection that is alone in its directory, and commands that know nothing of the checkout."""

    def __init__(self, archive: pathlib.Path, directory: pathlib.Path) -> None:
        self.collections = directory / "collections"
        self.elsewhere = directory / "elsewhere"
        self.elsewhere.mkdir(parents=True)
        # Read instead of the one in this user's home.
        (self.elsewhere / "ansible.cfg").touch()
        self.run(
            "ansible-galaxy", "collection", "install", "--offline", "-p", str(self.collections), str(archive)
        ).demand()

    def run(self, *words: str) -> runs.Run:
        return command(self.elsewhere, *words, ANSIBLE_COLLECTIONS_PATH=str(self.collections))

    def playbook(self, name: str, *arguments: str) -> runs.Run:
        """A playbook by its full name."""
        return self.run("ansible-playbook", f"{NAME}.{name}", *arguments)


def command(where: pathlib.Path, *words: str, **environment: str) -> runs.Run:
    """A program of this environment, with none of the settings that the tests themselves run with."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    clean |= {"PATH": f"{BINARIES}:{os.environ['PATH']}", "ANSIBLE_FORCE_COLOR": "0", **environment}
    started = time.monotonic()
    done = subprocess.run(
        words,
        cwd=where,
        env=clean,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return runs.Run(done.returncode, done.stdout, time.monotonic() - started, [])
