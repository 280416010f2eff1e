# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""Who listens on which TCP port of a host, out of /proc."""

from __future__ import annotations

import glob
import os
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils import _files, _stamp, _status


def listeners() -> list[_status.Listener]:
    """The listening TCP sockets of the host."""
    texts = (_files.read(f"/proc/net/{table}") or "" for table in ("tcp", "tcp6"))
    return [listener for text in texts for listener in _status.parse_listeners(text)]


def socket_inodes(pid: int) -> set[int]:
    """The sockets that a process has open; none where it is gone or another user's."""
    inodes = set()
    for descriptor in glob.glob(f"/proc/{pid}/fd/*"):
        try:
            target = os.readlink(descriptor)
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(int(target[len("socket:[") : -1]))
    return inodes


def program(pid: int) -> str:
    """The path of the binary that a process runs; empty where it is gone, another user's, or the kernel's."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def name(pid: int) -> str:
    """What ps shows of a process."""
    return (_files.read(f"/proc/{pid}/comm") or "").strip()


def foreign_listeners(ports: t.Collection[int], ours: str) -> list[dict[str, t.Any]]:
    """Listeners on these ports whose program is neither under the directory `ours` nor carries our stamp, as the distribution's HAProxy in
    a service of ours does; each with its process.

    A pid of 0 stands for the kernel, or for a process of another PID namespace.
    """
    wanted = [listener for listener in listeners() if listener.port in ports]
    if not wanted:
        return []
    programs = {pid: program(pid) for pid in map(int, filter(str.isdigit, os.listdir("/proc")))}
    mine = {pid for pid, path in programs.items() if path.startswith(f"{ours}/") or (path and _stamp.of_process(pid))}
    # Our own few processes first: where all listeners are theirs, as on a live host, no other is looked into.
    left = _without(wanted, set().union(*map(socket_inodes, mine)))
    holders: dict[int, int] = {}
    for pid in sorted(programs.keys() - mine) if left else ():
        holders.update(dict.fromkeys(socket_inodes(pid), pid))
    found = {(listener.port, holders.get(listener.inode, 0)): str(listener) for listener in left}
    return [
        {"port": port, "address": address, "pid": pid, "process": name(pid) if pid else ""}
        for (port, pid), address in sorted(found.items())
    ]


def _without(found: t.Iterable[_status.Listener], inodes: set[int]) -> list[_status.Listener]:
    return [listener for listener in found if listener.inode not in inodes]
