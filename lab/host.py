# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""What the lab needs from a host, whether it is a container (lab/hosts.py) or a virtual machine (lab/guests.py)."""

from __future__ import annotations

import typing as t


class Host(t.Protocol):
    """One host of a lab. Nothing here needs SSH."""

    @property
    def name(self) -> str:
        """Its name in the inventory."""

    @property
    def address(self) -> str:
        """Its first address, also while it is off."""

    @property
    def source(self) -> str:
        """The image that it was created from."""

    def state(self) -> str:
        """`running`, `paused`, or a word for a host that is off."""

    def run(self, command: t.Sequence[str]) -> tuple[int, bytes]:
        """Exit code and output of a command, as root."""

    def put(self, directory: str, archive: bytes) -> None:
        """Extract a tar archive into a directory, with its owners and modes."""

    def get(self, path: str) -> bytes:
        """A tar archive of a file."""

    def start(self) -> None:
        """Power on, whatever the state is; returns before the host has booted."""

    def wait(self) -> None:
        """Wait until it has booted and SSH responds."""

    def wait_off(self) -> None:
        """Wait until it has shut down."""

    def pause(self) -> None:
        """Freeze it."""

    def unpause(self) -> None:
        """Continue."""

    def kill(self) -> None:
        """Cut the power."""

    def port(self) -> str:
        """The interface of this machine that is the host's port of the lab's bridge."""

    def remove(self) -> None:
        """Remove it with all that it has stored."""
