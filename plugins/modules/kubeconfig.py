#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: kubeconfig
short_description: Create a kubeconfig for a person, with a locally generated key
version_added: 1.0.0
description:
  - Runs on the control node. Generates a key, issues a client certificate for it with the cluster's CA, and writes both to a
    kubeconfig, with all data embedded.
  - Adds the kubeconfig to the C(.gitignore) of its directory, so that its key is not committed by accident.
  - Keeps an existing kubeconfig that is correct and does not expire soon.
  - Uses the first of O(servers) that responds to the control node, starting with the one in the existing kubeconfig.
    If none responds, RV(reachable) is false and the kubeconfig is still written.
extends_documentation_fragment:
  - plainkube.cluster.attributes
author:
  - The plainkube authors (@plainkube)
requirements:
  - cryptography >= 41
  - PyYAML
options:
  path:
    description: Path of the kubeconfig.
    type: path
    required: true
  directory:
    description: Directory of the CAs on the control node.
    type: path
    required: true
  cluster_name:
    description: Name of the cluster in the kubeconfig.
    type: str
    required: true
  user:
    description:
      - User name in the certificate, which also appears in the audit log.
      - If empty, the login name of the user who runs the module.
    type: str
    default: ""
  group:
    description: Group of the user, to which roles are bound.
    type: str
    default: plainkube:cluster-admins
  servers:
    description: URLs of the API.
    type: list
    elements: str
    required: true
  validity_days:
    description: Validity of the certificate in days.
    type: int
    default: 365
  renew_before_days:
    description: A certificate that expires within this number of days is renewed.
    type: int
    default: 30
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The content is not shown.
  idempotent:
    support: full
seealso:
  - module: plainkube.cluster.certificate_sign
"""

EXAMPLES = r"""
- name: Write a kubeconfig
  plainkube.cluster.kubeconfig:
    path: /home/anna/cluster/kubeconfig
    directory: /home/anna/cluster/pki
    cluster_name: plainkube
    servers: [https://10.0.0.1:6443, https://10.0.0.2:6443]
  delegate_to: localhost
  run_once: true
  become: false
"""

RETURN = r"""
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  sample:
    - {verb: write, subject: "/root/kubeconfig", reason: "it expires in 30 days"}
path:
  description: Path of the kubeconfig.
  returned: success
  type: str
reachable:
  description: Whether the server responded to the control node.
  returned: success
  type: bool
server:
  description: The server in the kubeconfig.
  returned: success
  type: str
problem:
  description: Why the server did not respond, if it did not.
  returned: success
  type: str
user:
  description: Name of the user.
  returned: success
  type: str
valid_until:
  description: Date on which the certificate expires.
  returned: success
  type: str
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.kubeconfig import main

if __name__ == "__main__":
    main()
