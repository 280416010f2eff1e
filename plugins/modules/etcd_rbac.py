#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_rbac
short_description: Roles and users of etcd, and authentication
version_added: 1.0.0
description:
  - Gives each user of etcd the rights that it needs and no others, then turns authentication on. Without it, any client
    certificate of etcd's CA may read and write every key, Secrets included.
  - Users have no password; etcd takes the common name of the client certificate for the user.
  - The roles and users named here get exactly the permissions and roles named here. Others are left alone. User V(root) with role
    V(root) is always made, because authentication needs it.
  - Works before authentication is on and after, and may be killed at any point; the next run goes on from there.
extends_documentation_fragment:
  - plainkube.cluster.attributes
  - plainkube.cluster.etcd
author:
  - The plainkube authors (@plainkube)
options:
  roles:
    description: Roles with all their permissions.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the role.
        type: str
        required: true
      permissions:
        description: All its permissions. Surplus ones are revoked.
        type: list
        elements: dict
        default: []
        suboptions:
          key:
            description: The key, or with O(roles[].permissions[].prefix) what all keys begin with.
            type: str
            required: true
          prefix:
            description: Whether the permission is for all keys that begin with O(roles[].permissions[].key).
            type: bool
            default: false
          access:
            description: What is permitted.
            type: str
            choices: [readwrite, read, write]
            default: readwrite
  users:
    description: Users with all their roles.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the user; the common name of its certificate.
        type: str
        required: true
      roles:
        description: All its roles. Surplus ones are revoked.
        type: list
        elements: str
        default: []
  auth:
    description: Whether to turn authentication on. V(false) does not turn it off.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    details: Where etcd does not run yet, it answers with what would be done to an empty one.
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - name: Role-based access control in etcd
    description: etcd's own guide.
    link: https://etcd.io/docs/latest/op-guide/authentication/rbac/
"""

EXAMPLES = r"""
- name: Give flannel and the API server their part of etcd
  plainkube.cluster.etcd_rbac:
    roles:
      - name: flannel
        permissions: [{key: /coreos.com/network/, prefix: true}]
      - name: apiserver
        permissions:
          - {key: /registry/, prefix: true}
          - {key: compact_rev_key}
    users:
      - {name: flanneld, roles: [flannel]}
      - {name: kube-apiserver, roles: [apiserver]}
"""

RETURN = r"""
commands:
  description: The etcdctl commands that were run, or would be.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils import _etcd_rbac, _etcdctl


def read(etcd: _etcdctl.Etcdctl, want: _etcd_rbac.Rbac) -> _etcd_rbac.Rbac:
    """The roles and users that are wanted, as far as they exist, and whether authentication is on."""
    auth = bool(etcd.patiently("auth", "status").get("enabled"))
    roles = etcd.call("role", "list").get("roles") or []
    users = etcd.call("user", "list").get("users") or []
    return _etcd_rbac.Rbac(
        roles={role: _etcd_rbac.permissions(etcd.call("role", "get", role)) for role in want.roles if role in roles},
        users={
            user: frozenset(etcd.call("user", "get", user).get("roles") or []) for user in want.users if user in users
        },
        auth=auth,
    )


def run(module: AnsibleModule) -> dict:
    """Compare, and apply the difference."""
    params = module.params
    want = _etcd_rbac.wanted(params["roles"], params["users"], params["auth"])
    trouble = _etcd_rbac.problem(want)
    if trouble:
        raise _etcdctl.EtcdError(trouble)
    etcd = _etcdctl.Etcdctl(module)
    try:
        before = read(etcd, want)
    except _etcdctl.Unreachable:
        if not module.check_mode:
            raise
        before = _etcd_rbac.Rbac({}, {}, False)
    commands = _etcd_rbac.commands(before, want)
    for command in [] if module.check_mode else commands:
        etcd.call(*command)
    return {
        "changed": bool(commands),
        "commands": [" ".join(command) for command in commands],
        "diff": {
            "before_header": "etcd",
            "after_header": "etcd",
            "before": _etcd_rbac.describe(before),
            "after": _etcd_rbac.describe(_etcd_rbac.after(before, want)),
        },
    }


def main() -> None:
    permission = {
        "key": {"type": "str", "required": True, "no_log": False},
        "prefix": {"type": "bool", "default": False},
        "access": {"type": "str", "choices": ["readwrite", "read", "write"], "default": "readwrite"},
    }
    module = AnsibleModule(
        argument_spec={
            "roles": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "permissions": {"type": "list", "elements": "dict", "default": [], "options": permission},
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
            "auth": {"type": "bool", "default": True},
            **_etcdctl.OPTIONS,
        },
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except _etcdctl.EtcdError as error:
        module.fail_json(msg=f"{error}.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
