#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_rbac
short_description: Manage etcd's roles, users and authentication
version_added: 1.0.0
description:
  - Gives each etcd user only the permissions that it needs, then enables authentication. Without it, any client
    certificate of etcd's CA can read and write every key, including Secrets.
  - Users have no password; etcd uses the common name of the client certificate as the user name.
  - The roles and users listed here get exactly the permissions and roles listed here. Others are left alone. User V(root) with role
    V(root) is always created, because authentication requires it.
  - Works with and without authentication enabled. You can kill it at any point; the next run continues from there.
extends_documentation_fragment: [plainkube.cluster.common, plainkube.cluster.etcd, plainkube.cluster.etcd.endpoints]
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
            description: The key, or with O(roles[].permissions[].prefix) the prefix of the keys.
            type: str
            required: true
          prefix:
            description: Whether the permission applies to all keys that begin with O(roles[].permissions[].key).
            type: bool
            default: false
          access:
            description: Type of access.
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
attributes:
  check_mode:
    details: If etcd is not running yet, returns what would be done to an empty one.
seealso:
  - name: Role-based access control in etcd
    description: etcd's own guide.
    link: https://etcd.io/docs/latest/op-guide/authentication/rbac/
"""

EXAMPLES = r"""
- name: Restrict flannel and the API server to their own keys
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
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  sample:
    - {verb: apply, subject: "etcd's role flannel", reason: ""}
    - {verb: apply, subject: "etcd's auth", reason: ""}
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.etcd_rbac import main

if __name__ == "__main__":
    main()
