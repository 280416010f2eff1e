# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""etcd's roles and users: the current state, the desired state, and the etcdctl commands to get there."""

from __future__ import annotations

import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.etcd._etcdctl import decode

ROOT = "root"
# In etcd's API: READ = 0 (omitted in JSON), WRITE = 1, READWRITE = 2; etcdctl's JSON may also have the names.
_ACCESS = {0: "read", 1: "write", 2: "readwrite", "READ": "read", "WRITE": "write", "READWRITE": "readwrite"}

Range = tuple[str, str]  # first key, and the end of the range, exclusive (empty: only this key)


class Rbac(t.NamedTuple):
    """Roles with their permissions, users with their roles, and whether authentication is enabled."""

    roles: dict[str, dict[Range, str]]
    users: dict[str, frozenset[str]]
    auth: bool


def prefix_end(prefix: str) -> str:
    """The first key after all keys with this prefix, like etcd's GetPrefixRangeEnd."""
    characters = prefix.encode("utf-8", "surrogateescape").rstrip(b"\xff")
    if not characters:
        return "\0"
    return (characters[:-1] + bytes([characters[-1] + 1])).decode("utf-8", "surrogateescape")


def permissions(answer: t.Mapping[str, t.Any]) -> dict[Range, str]:
    """The permissions in the output of `etcdctl role get`."""
    return {
        (decode(entry.get("key")), decode(entry.get("range_end"))): _ACCESS[entry.get("permType", 0)]
        for entry in answer.get("perm") or []
    }


def wanted(roles: t.Sequence[t.Mapping], users: t.Sequence[t.Mapping]) -> Rbac:
    """What the module's options ask for; user root with role root is always among it, because auth needs it."""
    return Rbac(
        roles={
            role["name"]: {
                (entry["key"], prefix_end(entry["key"]) if entry["prefix"] else ""): entry["access"]
                for entry in role["permissions"]
            }
            for role in roles
        },
        users={**{user["name"]: frozenset(user["roles"]) for user in users}, ROOT: frozenset([ROOT])},
        auth=True,
    )


def problem(want: Rbac) -> str:
    """The problem with the desired state, in a sentence; empty if there is none."""
    if ROOT in want.roles:
        return "roles must not contain root, whose permissions are built into etcd: remove it"
    for user, roles in want.users.items():
        for role in sorted(roles - set(want.roles) - {ROOT}):
            return f"user {user} has role {role}, which is not among roles ({', '.join(want.roles) or 'none'})"
    return ""


def after(before: Rbac, want: Rbac) -> Rbac:
    """The state after the commands. Roles and users that are not named do not change."""
    return Rbac({**before.roles, **want.roles}, {**before.users, **want.users}, want.auth)


def _range_arguments(keys: Range) -> list[str]:
    key, end = keys
    if not end:
        return [key]
    if end == prefix_end(key):
        return ["--prefix", key]
    return ["--from-key", key] if end == "\0" else [key, end]


def commands(before: Rbac, want: Rbac) -> list[list[str]]:
    """The etcdctl commands from before to want: additions, then removals, and authentication last.

    Each command is atomic, so if a run is killed between two of them, the next run continues.
    """
    added, removed = [], []
    for role, rights in want.roles.items():
        found = before.roles.get(role)
        if found is None:
            added.append(["role", "add", role])
        for keys, access in rights.items():
            if (found or {}).get(keys) != access:
                added.append(["role", "grant-permission", role, access, *_range_arguments(keys)])
        for keys in sorted(set(found or {}) - set(rights)):
            removed.append(["role", "revoke-permission", role, *_range_arguments(keys)])
    for user, roles in want.users.items():
        if user not in before.users:
            added.append(["user", "add", user, "--no-password"])
        found_roles = before.users.get(user, frozenset())
        added += [["user", "grant-role", user, role] for role in sorted(roles - found_roles)]
        removed += [["user", "revoke-role", user, role] for role in sorted(found_roles - roles)]
    enable = [["auth", "enable"]] if not before.auth else []
    return added + removed + enable


def subjects(commands: t.Iterable[t.Sequence[str]]) -> list[str]:
    """The subjects of the commands, without duplicates: `etcd's role flannel`."""
    found = (kind if kind == "auth" else f"{kind} {rest[1]}" for kind, *rest in commands)
    return [f"etcd's {name}" for name in dict.fromkeys(found)]


def describe(rbac: Rbac) -> str:
    """The state as lines for the diff."""
    lines = [f"auth: {'on' if rbac.auth else 'off'}"]
    for role, rights in sorted(rbac.roles.items()):
        lines.append(f"role {role}:")
        lines += [f"  {access} {' '.join(_range_arguments(keys))}" for keys, access in sorted(rights.items())]
    lines += [f"user {user}: {', '.join(sorted(roles)) or 'no role'}" for user, roles in sorted(rbac.users.items())]
    return "".join(f"{line}\n" for line in lines)
