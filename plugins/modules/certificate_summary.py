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
  - Says what is being replaced, as M(plainkube.cluster.authority_rotation) found it.
author:
  - The plainkube authors (@plainkube)
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  results:
    description: Host names, and what M(plainkube.cluster.kube_checkstatus) returned for each; an empty one for a host that was not looked at.
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
  earlier:
    description:
      - Names of the variables in which earlier tasks of the run have registered their results.
      - They tell why a host of O(results) is no longer part of the run, which has no result of its own then, or one of an earlier play.
    type: list
    elements: str
    default: []
  directory:
    description:
      - Directory of the certificate authorities on the control node, to be compared with what the hosts carry
        (O(plainkube.cluster.kube_checkstatus#module:authorities)).
      - The task fails, after the page, where it is missing or another cluster's, and warns where it is open to other users of the control node.
      - Empty looks at none.
    type: path
    default: ""
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
