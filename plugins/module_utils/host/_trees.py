# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Removes a directory tree without crossing mounts or following links, and finds the processes that use a mount."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import stat
import typing as t


class Level:
    """A directory on the way down, open, so that it stays the same directory whatever happens to its path."""

    def __init__(self, name: str, descriptor: int, leads_to_kept: bool) -> None:
        self.name = name
        self.descriptor = descriptor
        self.leads_to_kept = leads_to_kept
        self.names = os.listdir(descriptor)


def mount_id(descriptor: int) -> str:
    """The mount ID of an open file. It differs between two mounts of one file system, unlike st_dev."""
    return _mount_of(f"/proc/self/fdinfo/{descriptor}")


def _mount_of(fdinfo: str) -> str:
    with open(fdinfo, encoding="ascii") as stream:
        found = [line.split()[1] for line in stream if line.startswith("mnt_id:")]
    if not found:
        raise OSError(f"{fdinfo} has no mount ID")
    return found[0]


def _open(name: str, above: int | None = None) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)


def _is_directory(name: str, above: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode)


def remove(place: str, keep: t.Collection[str] = (), content_only: bool = False) -> None:
    """Remove a file, or a directory with its content, or only its content.

    `place` is a real path, without links in it. The real paths in `keep` stay, with their parent directories.
    Fails at a mount point, before it touches anything behind it. Links are removed, not followed.
    """
    parent, name = os.path.split(place)
    above = _open(parent)
    try:
        if not _is_directory(name, above):
            os.unlink(name, dir_fd=above)
            return
        tree = _open(name, above)
        # If only the content is removed, the place itself may be a mount point.
        if _empty(tree, place, keep, mount_id(tree if content_only else above)) and not content_only:
            os.rmdir(name, dir_fd=above)
    finally:
        os.close(above)


def _empty(tree: int, place: str, keep: t.Collection[str], mount: str) -> bool:
    """Remove everything in an open directory, and close it. Returns whether it is empty now."""
    # A pod can nest directories to any depth, and each level is open.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    levels: list[Level] = []
    kept = False

    def path_of(name: str) -> str:
        return "/".join([*(level.name for level in levels), name])

    def descend(name: str, descriptor: int, leads_to_kept: bool) -> None:
        if mount_id(descriptor) != mount:
            os.close(descriptor)
            raise OSError(errno.EBUSY, "")
        levels.append(Level(name, descriptor, leads_to_kept))

    def leads_to_kept(path: str) -> bool:
        return any(one.startswith(f"{path}/") for one in keep)

    name = place
    try:
        descend(place, tree, leads_to_kept(place))
        while levels:
            level = levels[-1]
            if not level.names:
                levels.pop()
                os.close(level.descriptor)
                name = level.name
                if levels and not level.leads_to_kept:
                    os.rmdir(name, dir_fd=levels[-1].descriptor)
                continue
            name = level.names.pop()
            # If nothing is kept, paths are not needed, and those of deep directories are long.
            path = path_of(name) if level.leads_to_kept else ""
            if path and path in keep:
                kept = True
                continue
            # It has disappeared in the meantime.
            with contextlib.suppress(FileNotFoundError):
                if _is_directory(name, level.descriptor):
                    descend(name, _open(name, level.descriptor), bool(path) and leads_to_kept(path))
                else:
                    os.unlink(name, dir_fd=level.descriptor)
    except OSError as error:
        # The kernel's error for files and for empty directories.
        if error.errno == errno.EBUSY:
            raise OSError(f"{path_of(name)} is a mount point, behind which nothing is removed: unmount it") from error
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, path_of(name)) from error
    finally:
        for level in levels:
            os.close(level.descriptor)
    return not kept


def holds(place: str, keep: t.Collection[str] = ()) -> bool:
    """Whether a directory contains anything that would be removed."""
    for name in os.listdir(place):
        path = f"{place}/{name}"
        leads_to_kept = any(one.startswith(f"{path}/") for one in keep)
        if path not in keep and (not leads_to_kept or holds(path, keep)):
            return True
    return False


def holders(place: str) -> list[str]:
    """The processes that use the mount at a place, according to /proc, each with name and PID."""
    descriptor = os.open(place, os.O_PATH | os.O_NOFOLLOW)
    mount = mount_id(descriptor)
    os.close(descriptor)
    pids = sorted((name for name in os.listdir("/proc") if name.isdigit()), key=int)
    return [f"{_name(pid)} (process {pid})" for pid in pids if mount in _mounts_of(pid)]


def _name(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return "?"


def _listed(directory: str) -> list[str]:
    """The paths in a directory of /proc; none if the process has ended."""
    try:
        return [f"{directory}/{name}" for name in os.listdir(directory)]
    except OSError:
        return []


def _mounts_of(pid: str) -> set[str]:
    """The mounts with a process's working directory, its program, and its open or mapped files."""
    found = set()
    links = [f"/proc/{pid}/{name}" for name in ("cwd", "root", "exe")] + _listed(f"/proc/{pid}/map_files")
    # A process that ends during the inspection uses nothing.
    for link in links:
        with contextlib.suppress(OSError):
            descriptor = os.open(link, os.O_PATH)
            try:
                found.add(mount_id(descriptor))
            finally:
                os.close(descriptor)
    for fdinfo in _listed(f"/proc/{pid}/fdinfo"):
        with contextlib.suppress(OSError):
            found.add(_mount_of(fdinfo))
    return found
