# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The CA directory on the control node: its owner, its files, and its lock, so that only one run at a time writes to it."""

from __future__ import annotations

import contextlib
import glob
import os
import stat
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _certificates, _encryption
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _lock
from ansible_collections.plainkube.cluster.plugins.plugin_utils.keys import _rotation

LOCK_SECONDS = 10


def owner(directory: str) -> dict[str, str]:
    """An existing directory keeps its owner; a new one belongs to the user who creates it."""
    found = _files.inspect(directory)
    return {"owner": found.owner, "group": found.group} if found is not None else _files.me()


def read(directory: str, names: t.Iterable[str]) -> dict[str, str]:
    """The existing files with these names."""
    found = {name: _files.read(os.path.join(directory, name)) for name in names}
    return {name: text for name, text in found.items() if text is not None}


def wanted(directory: str, name: str, content: str) -> dict[str, t.Any]:
    """The desired state of a file in the directory."""
    secret = _files.is_secret(name)
    mode = "0600" if secret else "0644"
    path = os.path.join(directory, name)
    return {"path": path, "content": content, "mode": mode, "secret": secret, **owner(directory)}


def exposure(directory: str) -> str:
    """A sentence about a directory that other users of this machine can read; empty if they cannot.

    site.yml restricts it. Anyone who has already read a key can still sign with it."""
    mode = _mode(directory)
    if not mode & 0o077:
        return ""
    keys = [name for name in _keys(directory) if _is_readable(directory, name)]
    where = f"certificates_directory {directory} is accessible to other users of this machine (mode {mode:04o})"
    if not keys:
        return f"{where}: run plainkube.cluster.site, which restricts it (mode 0700)."
    return (
        f"{where}, who can read {', '.join(keys)}: run plainkube.cluster.site, which restricts it (mode 0700); if anyone may have read a key, run "
        f"plainkube.cluster.certificates with -e certificates_rotate={','.join(_rotation.NAMES)}, which rotates them all."
    )


def _mode(path: str) -> int:
    """The permissions of a path; 0 if it does not exist."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return 0


def _keys(directory: str) -> list[str]:
    """The existing keys, including those of CAs being rotated, as paths below the directory."""
    found = (path for place in ("*", "etcd/*") for path in glob.glob(os.path.join(glob.escape(directory), place)))
    return sorted(os.path.relpath(path, directory) for path in found if _files.is_secret(path))


def _is_readable(directory: str, name: str) -> bool:
    """Whether other users, such as those in its group, can traverse each parent directory of a file, and read it."""
    path = os.path.join(directory, name)
    ways = [_mode(place) for place in (directory, os.path.dirname(path))]
    return any(
        _mode(path) & read and all(way & into for way in ways) for read, into in ((0o040, 0o010), (0o004, 0o001))
    )


def result_of(module: t.Any, run: t.Callable[[t.Any], dict[str, t.Any]]) -> dict[str, t.Any]:
    """The result, or failure, of a module that works on the directory, in Ansible's own process (plugin_utils/keys/_here.py)."""
    if _certificates.MISSING:
        return {
            "failed": True,
            "msg": "The Python library cryptography is missing on the control node: install it next to ansible-core (pip install cryptography).",
            "exception": _certificates.MISSING,
        }
    try:
        return run(module)
    except (_certificates.CertificateError, _encryption.EncryptionError) as error:
        return {"failed": True, "msg": str(error)}
    except OSError as error:
        return {"failed": True, "msg": f"certificates_directory {module.params['directory']} cannot be used: {error}."}


@contextlib.contextmanager
def locked(directory: str) -> t.Iterator[None]:
    """Two concurrent runs must not create two CAs."""
    path = os.path.join(directory, ".lock")
    try:
        with _lock.held(path, LOCK_SECONDS):
            yield
    except _lock.BusyError:
        message = f"Another run has held {path} for {LOCK_SECONDS} seconds: wait until it ends, then run again."
        raise _certificates.CertificateError(message) from None
