# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The listeners on a host's ports, from /proc; and the ports of SSH."""

from __future__ import annotations

import glob
import ipaddress
import os
import re
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.health import _status
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command, _files
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _stamp

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


def listeners(protocol: str = "tcp") -> list[_status.Listener]:
    """The listening TCP sockets of the host, or the bound UDP sockets."""
    texts = (_files.read(f"/proc/net/{table}") or "" for table in (protocol, f"{protocol}6"))
    return [listener for text in texts for listener in _status.parse_listeners(text, protocol)]


def socket_inodes(pid: int) -> set[int]:
    """The open sockets of a process; none if it has ended or belongs to another user."""
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
    """The path of a process's binary; empty if it has ended, belongs to another user, or is a kernel thread."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def name(pid: int) -> str:
    """A process as ps shows it."""
    return (_files.read(f"/proc/{pid}/comm") or "").strip()


def foreign_listeners(ports: t.Collection[int], ours: str, udp_ports: t.Collection[int] = ()) -> list[dict[str, t.Any]]:
    """Listeners on these ports, each with its process, except our own: programs under the directory `ours`, and processes with our stamp, such as
    the distribution's HAProxy in our service.

    A PID of 0 means the kernel, or a process in another PID namespace. Such UDP listeners are omitted: VXLAN interfaces, including
    flannel's, share the kernel's socket.
    """
    wanted = [listener for listener in listeners() if listener.port in ports]
    wanted += [listener for listener in listeners("udp") if listener.port in udp_ports] if udp_ports else []
    if not wanted:
        return []
    programs = {pid: program(pid) for pid in map(int, filter(str.isdigit, os.listdir("/proc")))}
    mine = {pid for pid, path in programs.items() if path.startswith(f"{ours}/") or (path and _stamp.of_process(pid))}
    # Our own few processes first: if all listeners belong to them, as on a host in a cluster, other processes need not be inspected.
    left = _without(wanted, set().union(*map(socket_inodes, mine)))
    holders: dict[int, int] = {}
    for pid in sorted(programs.keys() - mine) if left else ():
        holders.update(dict.fromkeys(socket_inodes(pid), pid))
    found = {(one.protocol, one.port, holders.get(one.inode, 0)): str(one) for one in left}
    return [
        {"protocol": protocol, "port": port, "address": address, "pid": pid, "process": name(pid) if pid else ""}
        for (protocol, port, pid), address in sorted(found.items())
        if pid or protocol == "tcp"
    ]


def _without(found: t.Iterable[_status.Listener], inodes: set[int]) -> list[_status.Listener]:
    return [listener for listener in found if listener.inode not in inodes]


# SSH

# SSH servers, as ps shows them.
_SSH_SERVERS = ("sshd", "dropbear")
_SSH_SOCKETS = ("ssh.socket", "sshd.socket")


def _parent(pid: int) -> int:
    found = re.search(r"^PPid:\s+(\d+)$", _files.read(f"/proc/{pid}/status") or "", re.MULTILINE)
    return int(found.group(1)) if found else 0


def _environment(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/environ", "rb") as stream:
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""


def session_port() -> int:
    """The port that the SSH connection came in at which this process is run over; 0 where it is none.

    sudo removes SSH_CONNECTION from the environment, so the parents are checked."""
    pid = os.getpid()
    while pid > 1:
        found = re.search(r"(?:^|\0)SSH_CONNECTION=\S+ \d+ \S+ (\d+)\0", _environment(pid))
        if found:
            return int(found.group(1))
        pid = _parent(pid)
    return 0


def ssh_server_ports() -> set[int]:
    """The ports that SSH servers listen on for others, by their processes.

    Not those of sessions, whose parent is such a server: they listen for what people forward."""
    pids = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if name(pid) in _SSH_SERVERS]
    servers = [pid for pid in pids if name(_parent(pid)) not in _SSH_SERVERS]
    inodes = {inode for pid in servers for inode in socket_inodes(pid)}
    return {
        listener.port
        for listener in listeners()
        if listener.inode in inodes and not ipaddress.ip_address(listener.address).is_loopback
    }


def ssh_ports(module: AnsibleModule) -> set[int]:
    """The ports where SSH comes in: those of its servers, of systemd where it listens for them, and of this very connection."""
    # This also works without such a unit, which then has no Listen.
    shown = _command.run(module, ["systemctl", "show", "--property=ActiveState,Listen", *_SSH_SOCKETS])[1]
    active = [block for block in shown.split("\n\n") if "ActiveState=active" in block]
    sockets = {
        int(port) for block in active for port in re.findall(r"^Listen=\S*:(\d+) \(Stream\)$", block, re.MULTILINE)
    }
    return (ssh_server_ports() | sockets | {session_port()}) - {0}
