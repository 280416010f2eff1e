#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: role_variables
short_description: Check the variables of all roles of this collection, and group the host, in one fast task
version_added: 1.0.0
description:
  - Checks types, choices and formats of a host's variables against the argument specs of all roles. No variable is required, because no host uses all
    roles. Nothing is converted - a number or boolean is not a string, and null is never valid.
  - A string must be one line without control characters, in the format of its variable, such as a DNS label or an IPv4 address.
  - Refuses component flags that contradict those of the roles or break the cluster's guarantees (C(cluster_unsafe_flags) lists exceptions), and
    issuers and webhooks with which the API server would not start.
  - Skips hosts that are in no group of the cluster.
  - Refuses unknown variables with the prefix of a role, and suggests the most similar name.
  - Adds a host with valid variables to groups, like M(ansible.builtin.group_by). With hundreds of hosts, one task less
    per host saves noticeable time on the control node.
options:
  foreign:
    description: Patterns (C(*), C(?), C([…])) of other software's variables that share a prefix with a role, besides C(preflight_foreign_variables).
    type: list
    elements: str
    default: []
  group:
    description:
      - Whether to add the host to the groups C(plainkube_hosts), C(plainkube_etcd), C(plainkube_control_plane) and C(plainkube_node), according to its
        roles in the cluster. Fails if the cluster has no hosts.
    type: bool
    default: false
extends_documentation_fragment: [plainkube.cluster.common]
attributes:
  diff_mode:
    support: N/A
notes:
  - Runs on the control node.
seealso:
  - module: ansible.builtin.group_by
"""

EXAMPLES = r"""
- name: Check the variables of all roles
  plainkube.cluster.role_variables:
    foreign: [node_exporter_*]

- name: Check the variables, and group the host
  plainkube.cluster.role_variables:
    group: true
"""

RETURN = r"""
msg:
  description: The problems, one sentence per line; or that there are none.
  returned: always
  type: str
  sample: "etcd_wiat is not a variable of plainkube.cluster: did you mean etcd_wait?"
"""
