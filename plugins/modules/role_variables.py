#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: role_variables
short_description: Check the variables of all roles of this collection, and put the host into groups, in one quick task
version_added: 1.0.0
description:
  - Checks types, choices and formats of a host's variables against the argument specs of all roles. None is required, since no host uses all
    roles. Nothing is converted - a number or boolean is no text, and null is no value of any variable.
  - Text is one line without control characters, and in the format that its variable has, such as a DNS label or an IPv4 address.
  - Refuses flags of components that contradict those of the roles or undo what the cluster promises (C(cluster_unsafe_flags) lists exceptions), and
    issuers and webhooks that the API server would not start with.
  - Refuses variables that begin like those of a role and are none, with the name that may have been meant.
  - A host whose variables are right is put into groups, as M(ansible.builtin.group_by) does it. With hundreds of hosts, a task less
    for each is what the control node notices.
author:
  - The plainkube authors (@plainkube)
options:
  foreign:
    description: Patterns (C(*), C(?), C([…])) of variables that something else reads, though they begin like those of a role.
    type: list
    elements: str
    default: []
  groups:
    description: Names of groups that the host belongs into. It is also in one that is named after all of them, with C(__) between them.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - plainkube.cluster.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
  idempotent:
    support: full
notes:
  - Runs on the control node.
seealso:
  - module: ansible.builtin.group_by
"""

EXAMPLES = r"""
- name: Check the variables of all roles
  plainkube.cluster.role_variables:
    foreign: [node_exporter_*]

- name: Check the variables, and sort the host
  plainkube.cluster.role_variables:
    groups: [plainkube_hosts, plainkube_node]
"""

RETURN = r"""
msg:
  description: What is wrong, a sentence a line; or that nothing is.
  returned: always
  type: str
  sample: "etcd_wiat is no variable of plainkube.cluster: did you mean etcd_wait?"
"""
