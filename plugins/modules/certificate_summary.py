#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_summary
short_description: Print every certificate of a cluster's hosts with its days left
version_added: 1.0.0
description:
  - Prints the certificates that M(plainkube.cluster.kube_checkstatus) returned for each host as a table, or as JSON on one line.
  - Reports rotations in progress that M(plainkube.cluster.authority_rotation) found.
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  results:
    description: Host name to the result of M(plainkube.cluster.kube_checkstatus); an empty result for a host that was not checked.
    type: dict
    required: true
  rotation:
    description: What M(plainkube.cluster.authority_rotation) returned.
    type: dict
    default: {}
  output:
    description: What to print.
    type: str
    choices: [text, json]
    default: text
  directory:
    description:
      - Directory of the CAs on the control node, to compare with the hosts' copies
        (O(plainkube.cluster.kube_checkstatus#module:authorities)).
      - After it prints the page, the task fails if the directory is missing or belongs to another cluster. It warns if other users of the control
        node can access it.
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
seealso:
  - module: plainkube.cluster.status_summary
"""

EXAMPLES = r"""
- name: Print the certificates
  plainkube.cluster.certificate_summary:
    cluster: "{{ cluster_name }}"
    results: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'checkstatus'))) }}"
  run_once: true
"""

RETURN = r"""
msg:
  description: The certificates in one sentence.
  returned: always
  type: str
  sample: "plainkube: 41 certificates on 3 hosts, the first to expire in 364 days"
"""
