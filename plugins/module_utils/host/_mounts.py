# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Parser for /proc/self/mountinfo: mounts, and the order in which they can be unmounted. No I/O."""

from __future__ import annotations

import re
import typing as t


class Mount(t.NamedTuple):
    """One line of mountinfo."""

    id: str
    parent: str  # the mount on which it is mounted
    point: str


class Below(t.NamedTuple):
    """The mounts below a directory."""

    mounts: list[Mount]  # in the order in which they can be unmounted
    hidden: list[Mount]  # unreachable by path, because something was mounted over the directory later


def parse(mountinfo: str) -> list[Mount]:
    """The mounts, in the kernel's order: at the same mount point, the newer one comes later."""
    fields = [line.split(" ") for line in mountinfo.splitlines()]
    return [Mount(words[0], words[1], _unescape(words[4])) for words in fields if len(words) > 4]


def _unescape(word: str) -> str:
    """The kernel writes space, tab, line feed and backslash as \\ and three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), word)


def within(path: str, directory: str) -> bool:
    """Whether a path is below a directory."""
    return path.startswith(f"{directory.rstrip('/')}/") and path != directory


def seen(mounts: t.Sequence[Mount], path: str) -> Mount | None:
    """The mount to which a path leads."""
    known = {mount.id for mount in mounts}
    found = None
    while True:
        on_the_way = [
            mount
            for mount in mounts
            if (mount.point == path or within(path, mount.point))
            and (
                mount.parent == found.id and mount.id != found.id
                if found
                else mount.parent not in known or mount.parent == mount.id
            )
        ]
        if not on_the_way:
            return found
        # From the root downwards: the first mount point that the kernel reaches, and the newest mount there.
        found = min(reversed(on_the_way), key=lambda mount: len(mount.point))


def below(mounts: t.Sequence[Mount], directory: str) -> Below:
    """The mounts below a directory, but not at it."""
    inner = {mount.id: mount for mount in mounts if within(mount.point, directory)}
    base = seen([mount for mount in mounts if mount.id not in inner], directory)

    def foundation(mount: Mount) -> str:
        while mount.parent in inner:
            mount = inner[mount.parent]
        return mount.parent

    hidden = [mount for mount in inner.values() if base and foundation(mount) != base.id]
    hidden_ids = {mount.id for mount in hidden}
    # The newest first; a shorter path first, because that mount covers the others below it on the same file system.
    order: list[Mount] = []
    reachable = [mount for mount in reversed(list(inner.values())) if mount.id not in hidden_ids]
    on: dict[str, list[Mount]] = {}
    for mount in sorted(reachable, key=lambda mount: len(mount.point)):
        on.setdefault(mount.parent if mount.parent in inner else "", []).append(mount)

    def visit(parent: str) -> None:
        for mount in on.get(parent, []):
            visit(mount.id)
            order.append(mount)

    visit("")
    return Below(order, hidden)
