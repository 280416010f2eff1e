# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module etcd_rbac."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.etcd import _etcdctl, _rbac
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action


def read(etcd: _etcdctl.Etcdctl, want: _rbac.Rbac) -> _rbac.Rbac:
    """The existing ones of the desired roles and users, and whether authentication is enabled."""
    auth = bool(etcd.patiently("auth", "status").get("enabled"))
    roles = etcd.call("role", "list").get("roles") or []
    users = etcd.call("user", "list").get("users") or []
    return _rbac.Rbac(
        roles={role: _rbac.permissions(etcd.call("role", "get", role)) for role in want.roles if role in roles},
        users={
            user: frozenset(etcd.call("user", "get", user).get("roles") or []) for user in want.users if user in users
        },
        auth=auth,
    )


def compare(module: AnsibleModule) -> dict:
    """Compare, and apply the difference."""
    want = _rbac.wanted(module.params["roles"], module.params["users"])
    problem = _rbac.problem(want)
    if problem:
        raise _etcdctl.EtcdError(problem)
    etcd = _etcdctl.Etcdctl(module)
    try:
        before = read(etcd, want)
    except _etcdctl.Unreachable:
        if not module.check_mode:
            raise
        before = _rbac.Rbac({}, {}, False)
    commands = _rbac.commands(before, want)
    for command in [] if module.check_mode else commands:
        etcd.call(*command)
    return {
        **_actions.result([Action("apply", subject) for subject in _rbac.subjects(commands)]),
        "diff": {
            "before_header": "etcd",
            "after_header": "etcd",
            "before": _rbac.describe(before),
            "after": _rbac.describe(_rbac.after(before, want)),
        },
    }


PERMISSION = {
    "key": {"type": "str", "required": True, "no_log": False},
    "prefix": {"type": "bool", "default": False},
    "access": {"type": "str", "choices": ["readwrite", "read", "write"], "default": "readwrite"},
}
SPEC = {
    "roles": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "permissions": {"type": "list", "elements": "dict", "default": [], "options": PERMISSION},
        },
    },
    "users": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "roles": {"type": "list", "elements": "str", "default": []},
        },
    },
    **_etcdctl.OPTIONS,
}


def run(module: AnsibleModule) -> dict:
    try:
        return compare(module)
    except _etcdctl.EtcdError as error:
        return module.fail_json(msg=f"{error}.")


def main() -> None:
    _run.main(SPEC, run)
