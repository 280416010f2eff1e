#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: node_object
short_description: Manage labels and taints of an existing Node
version_added: 1.0.0
description:
  - Runs on a control plane, with administrator credentials; usually the task is delegated there. On the Node's own host, it can only read the Node, with the
    kubelet's credentials.
  - Sets the given labels and taints. Removes those that an earlier run set and that are no longer given, unless their values
    were changed by other means.
  - Leaves other labels and taints alone. The Node's annotation C(plainkube.io/labels-and-taints) lists those that the collection manages.
  - Applies all changes in one patch, which the API server rejects after a concurrent change of the Node; then the module reads the Node again and retries.
extends_documentation_fragment: [plainkube.cluster.common]
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
    description: Taints, each with C(key), C(effect), and optionally C(value).
    type: list
    elements: dict
    default: []
  server:
    description: URL of the API server.
    type: str
    required: true
  wait:
    description: Seconds to wait for an API server that does not respond, or a Node that is not registered yet. Not in check mode.
    type: int
    default: 60
attributes:
  check_mode:
    details: If the Node does not exist yet, the module assumes that it will register. If no API server responds, no change is reported.
"""

EXAMPLES = r"""
- name: Set the labels and taints of the Node
  plainkube.cluster.node_object:
    name: n1
    labels: {gpu: "true"}
    taints:
      - {key: gpu, effect: NoSchedule}
    server: https://127.0.0.1:6443
  delegate_to: k1
"""

RETURN = r"""
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  sample:
    - {verb: apply, subject: "labels and taints of node n1", reason: ""}
msg:
  description: What check mode could not determine.
  returned: in check mode, if no API server responds
  type: str
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.node_object import main

if __name__ == "__main__":
    main()
