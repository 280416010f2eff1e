#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: node_object
short_description: Labels and taints of a live Node as the inventory says
version_added: 1.0.0
description:
  - Runs on a control plane, as its administrator; usually it is delegated there. On the host of the Node, it can look, as the kubelet may.
  - Sets the labels and taints that are given. Those that an earlier run set and that are not given any more are removed, unless somebody has changed
    their values since.
  - Labels and taints that others set stay. What is the collection's, the annotation C(plainkube.io/labels-and-taints) of the Node says.
  - All is one patch, which the API server refuses if somebody else has changed the Node in between; then it is looked at again.
extends_documentation_fragment:
  - plainkube.cluster.attributes
author:
  - The plainkube authors (@plainkube)
options:
  name:
    description: Name of the Node.
    type: str
    required: true
  labels:
    description: Labels, as a mapping of name to value.
    type: dict
    default: {}
  taints:
    description: Taints, each with C(key) and C(effect), and C(value) where it has one.
    type: list
    elements: dict
    default: []
  server:
    description: URL of the API server.
    type: str
    required: true
  pki:
    description:
      - Directory of C(ca.crt), by which the API server is known, and of the certificate to log in with. That is C(admin.crt) where it is there,
        else the one that the kubelet has renewed, else C(kubelet-client.crt).
    type: path
    default: /etc/kubernetes/pki
  wait:
    description: Seconds to wait for an API server that does not answer, or a Node that is not registered yet. Not in check mode.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    details: Where there is no such Node yet, it counts as one that will register. Where no API server answers, nothing counts as changed.
  diff_mode:
    support: full
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Bring labels and taints of the Node to what the inventory says
  plainkube.cluster.node_object:
    name: n1
    labels: {gpu: "true"}
    taints:
      - {key: gpu, effect: NoSchedule}
    server: https://127.0.0.1:6443
  delegate_to: k1
"""

RETURN = r"""
objects:
  description: What was changed, or would be, in words.
  returned: success
  type: list
  elements: str
  sample: [labels and taints of node n1]
msg:
  description: What check mode could not find out.
  returned: in check mode, where no API server answers
  type: str
"""

from ansible_collections.plainkube.cluster.plugins.module_utils._modules.node_object import main

if __name__ == "__main__":
    main()
