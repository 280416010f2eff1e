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

from ansible_collections.plainkube.cluster.plugins.module_utils._modules.etcd_rbac import main

if __name__ == "__main__":
    main()
