#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: plan_summary
short_description: Print what a run in check mode would do to each host
version_added: 1.0.0
description:
  - Puts together what the tasks of a run in check mode have announced - what would be installed, issued, written and restarted on each host, and why.
  - The same stands in the output of each task, with the whole difference under C(--diff).
author:
  - The plainkube authors (@plainkube)
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  hosts:
    description: Names of the hosts.
    type: list
    elements: str
    required: true
  results:
    description: Names of the variables that the roles have registered their results in.
    type: list
    elements: str
    required: true
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
  - module: plainkube.cluster.status_summary
"""

EXAMPLES = r"""
- name: Print the plan
  plainkube.cluster.plan_summary:
    cluster: "{{ cluster_name }}"
    hosts: "{{ ansible_play_hosts }}"
    results: [kubelet_result]
  run_once: true
  when: ansible_check_mode
"""

RETURN = r"""
msg:
  description: The plan in one sentence.
  returned: always
  type: str
  sample: "plainkube: nothing would change on 3 hosts"
"""
