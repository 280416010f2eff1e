# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""How the control node logs in to the hosts: with a key for the lab, as a user with sudo."""

from __future__ import annotations

import contextlib
import io
import pathlib
import socket
import subprocess
import tarfile

from lab import machine
from lab.base import cache, run

USER, UID = "ops", 1000
# New hosts reuse the addresses of old ones, so their host keys are not remembered.
OPTIONS = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")


def key() -> pathlib.Path:
    """The lab's private key, generated on first use."""
    path = cache("ssh", "id_ed25519")
    if not path.exists():
        machine.install("openssh-client")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "plainkube-lab", "-f", str(path))
    return path


def control_path_directory(name: str) -> pathlib.Path:
    """Where Ansible keeps the lab's open connections, so that they can be ended with the hosts."""
    return cache("labs", name, "cp")


def authorization() -> bytes:
    """An archive for the user's home directory, which authorizes the key."""
    content = key().with_suffix(".pub").read_bytes()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, mode, data in ((".ssh", 0o700, None), (".ssh/authorized_keys", 0o600, content)):
            entry = tarfile.TarInfo(path)
            entry.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
            entry.mode, entry.uid, entry.gid, entry.size = mode, UID, UID, len(data or b"")
            tar.addfile(entry, io.BytesIO(data or b""))
    return archive.getvalue()


def answers(address: str) -> bool:
    """Whether sshd sends its banner."""
    try:
        with socket.create_connection((address, 22), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def hang_up(name: str) -> None:
    """Close the open connections: if a host is removed or recreated, they would hang."""
    for path in control_path_directory(name).glob("*"):
        subprocess.run(["ssh", "-O", "exit", "-S", str(path), "host"], capture_output=True, check=False)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
