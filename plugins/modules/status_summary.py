#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: status_summary
short_description: Print the status of a cluster's hosts on one page
version_added: 1.0.0
description:
  - Prints what M(plainkube.cluster.kube_checkstatus) returned for each host as a table, or as JSON on one line.
  - Fails if a host is unhealthy or was not checked, so that the playbook's exit code shows it.
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  results:
    description: Host name to the result of M(plainkube.cluster.kube_checkstatus); an empty result for a host that was not checked.
    type: dict
    required: true
  output:
    description: Output format.
    type: str
    choices: [text, json]
    default: text
  file:
    description: File on the control node to write the JSON to. Not in check mode.
    type: path
    default: ""
  wait:
    description:
      - Seconds that the hosts had to become healthy. No host has all that is needed to wait for the routes to the pods of other hosts. So if a host's
        routes differ from flannel's leases, and no host has waited that long, the module prints nothing and returns RV(again).
      - The next status has a V(0) here.
    type: int
    default: 0
  directory:
    description:
      - Directory of the CAs on the control node, to compare with the hosts' copies
        (O(plainkube.cluster.kube_checkstatus#module:authorities)).
      - It is a problem if the directory is missing, belongs to another cluster, or is accessible to other users of the control node.
      - If empty, nothing is compared.
    type: path
    default: ""
  control_planes:
    description: The control planes, which are authoritative for the cluster's keys. Needed with O(directory).
    type: list
    elements: str
    default: []
extends_documentation_fragment: [plainkube.cluster.common]
attributes:
  diff_mode:
    support: N/A
notes:
  - Runs on the control node.
"""

EXAMPLES = r"""
- name: Print the status
  plainkube.cluster.status_summary:
    cluster: "{{ cluster_name }}"
    results: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'checkstatus'))) }}"
  run_once: true
"""

RETURN = r"""
again:
  description: C(wait) and C(leases), with which to check all hosts again (O(plainkube.cluster.kube_checkstatus#module:network.leases)), or empty.
  returned: always
  type: dict
  sample: {"wait": 58, "leases": [{"subnet": "10.244.5.0/24", "address": "192.0.2.11", "mac": "0a:00:00:00:00:05"}]}
msg:
  description: The status in one sentence.
  returned: always
  type: str
  sample: "plainkube: all is well on 3 hosts"
"""
