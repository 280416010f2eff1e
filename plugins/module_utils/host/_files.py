# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Files with content, owner and mode: the current state, the differences, and the atomic write."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import tempfile
import typing as t

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


# The argument spec of one file, for modules with a list of files.
FILE_OPTIONS: dict[str, t.Any] = {
    "path": {"type": "path", "required": True},
    "content": {"type": "str", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "str", "default": "0644"},
    "secret": {"type": "bool", "default": False},
}


class Found(t.NamedTuple):
    """What is on disk at a path."""

    content: str | None  # None: no such file, or a directory
    owner: str
    group: str
    mode: str


def is_secret(name: str) -> bool:
    """Whether the file with this name is a key. Only the digest of a key ever leaves a host."""
    return name.endswith((".key", "encryption.yaml"))


def me() -> dict[str, str]:
    """Owner and group of files that belong to the user who runs the module."""
    return {"owner": _name(pwd.getpwuid, os.geteuid()), "group": _name(grp.getgrgid, os.getegid())}


def _name(lookup: t.Callable[[int], t.Any], number: int) -> str:
    try:
        return lookup(number)[0]
    except KeyError:
        return str(number)


def _number(lookup: t.Callable[[str], t.Any], name: str) -> int:
    try:
        return lookup(name)[2]
    except KeyError:
        # An ID without a name.
        if name.isdigit():
            return int(name)
        raise


def read(path: str) -> str | None:
    """The text at path, or None if there is no file."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def readable(path: str) -> str:
    """The text of a file; empty if it does not exist, or if only root may read it and this is not root."""
    try:
        return read(path) or ""
    except PermissionError:
        return ""


def inspect(path: str) -> Found | None:
    """Content, owner, group and mode at path, following links; None if it does not exist."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    content = None if stat.S_ISDIR(status.st_mode) else read(path)
    mode = format(stat.S_IMODE(status.st_mode), "04o")
    return Found(content, _name(pwd.getpwuid, status.st_uid), _name(grp.getgrgid, status.st_gid), mode)


def _mode(mode: str) -> str:
    return format(int(mode, 8), "04o")


def matches(found: Found | None, wanted: dict[str, t.Any]) -> bool:
    """Whether the existing file matches the desired one; a desired entry without content is a directory."""
    return found is not None and (
        found.content == wanted.get("content")
        and (found.owner, found.group) == (wanted["owner"], wanted["group"])
        and found.mode == _mode(wanted["mode"])
    )


def _describe(found_or_wanted: tuple[str, str, str]) -> str:
    owner, group, mode = found_or_wanted
    return f"# {owner}:{group} {mode}\n"


def diff(found: Found | None, wanted: dict[str, t.Any]) -> dict[str, str]:
    """One entry for Ansible's diff, without the content of secrets."""
    before, after = "", _describe((wanted["owner"], wanted["group"], _mode(wanted["mode"])))
    if found is not None:
        before = _describe((found.owner, found.group, found.mode))
    if wanted.get("secret"):
        changed = found is not None and found.content != wanted["content"]
        before += "# secret content\n" if found is not None else ""
        after += "# other secret content\n" if changed else "# secret content\n"
    elif "content" in wanted:
        before += (found.content or "") if found is not None else ""
        after += wanted["content"]
    path = wanted["path"]
    return {"before_header": path, "after_header": path, "before": before, "after": after}


def removal_diff(stale: t.Iterable[str]) -> list[dict[str, str]]:
    """Entries for Ansible's diff of removed files, without their content, which may be secret."""
    return [
        {"before_header": path, "after_header": "/dev/null", "before": "# content not shown\n", "after": ""}
        for path in stale
    ]


def write(module: AnsibleModule, wanted: dict[str, t.Any]) -> None:
    """Replace a file atomically, with its final owner and mode."""
    directory = os.path.dirname(wanted["path"])
    os.makedirs(directory, mode=0o755, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=directory, prefix=".plainkube-")
    module.add_cleanup_file(temporary)
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as stream:
        os.fchmod(stream.fileno(), int(wanted["mode"], 8))
        os.fchown(stream.fileno(), _number(pwd.getpwnam, wanted["owner"]), _number(grp.getgrnam, wanted["group"]))
        stream.write(wanted["content"])
        stream.flush()
        # A file that is renamed before its data is on disk may be empty after a power loss.
        os.fsync(stream.fileno())
    os.rename(temporary, wanted["path"])


def make_directory(wanted: dict[str, t.Any]) -> None:
    """Create a directory, or correct the owner and mode of an existing one."""
    os.makedirs(wanted["path"], exist_ok=True)
    os.chown(wanted["path"], _number(pwd.getpwnam, wanted["owner"]), _number(grp.getgrnam, wanted["group"]))
    os.chmod(wanted["path"], int(wanted["mode"], 8))
