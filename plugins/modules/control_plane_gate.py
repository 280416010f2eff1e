#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: control_plane_gate
short_description: Wait until a control plane may be restarted
version_added: 1.0.0
description:
  - Waits until the other API servers are ready to take over the clients, and until the leader leases are being renewed, which shows that
    controller manager and scheduler have recovered from the previous restart. On timeout, fails and says what is missing.
  - If the API server of this host is not ready itself, its restart interrupts no requests and may repair it. Then the module does not wait for
    the others.
  - Changes nothing. In check mode, it does not contact the API servers.
extends_documentation_fragment: [plainkube.cluster.common]
options:
  server:
    description: URL of this host's API server.
    type: str
    required: true
  others:
    description: URLs of the other API servers.
    type: list
    elements: str
    required: true
  leases:
    description: Names of leases in the namespace C(kube-system).
    type: list
    elements: str
    default: []
  ca:
    description: CA certificate of the API servers.
    type: path
    default: /etc/kubernetes/pki/ca.crt
  cert:
    description: Client certificate of a user who may read the leases.
    type: path
    default: /etc/kubernetes/pki/admin.crt
  key:
    description: Private key of O(cert).
    type: path
    default: /etc/kubernetes/pki/admin.key
  wait:
    description: Seconds to wait. The lease of a process that has stopped expires after 15 seconds.
    type: int
    default: 120
attributes:
  diff_mode:
    support: N/A
"""

EXAMPLES = r"""
- name: Wait until this control plane may be restarted
  plainkube.cluster.control_plane_gate:
    server: https://127.0.0.1:6443
    others: ["https://192.0.2.12:6443", "https://192.0.2.13:6443"]
    leases: [kube-controller-manager, kube-scheduler]
"""

RETURN = r"""
waited:
  description: Duration of the wait in seconds.
  type: float
  returned: success
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.control_plane_gate import main

if __name__ == "__main__":
    main()
