#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: plan_summary
short_description: Print what a check mode run would change on each host
version_added: 1.0.0
description:
  - Summarizes the results of a run in check mode - what would be installed, issued, written and restarted on each host, and why.
  - The output of each task has the same information, and with C(--diff) the full difference.
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
extends_documentation_fragment: [plainkube.cluster.common]
attributes:
  diff_mode:
    support: N/A
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
