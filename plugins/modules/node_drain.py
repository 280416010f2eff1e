#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: node_drain
short_description: Drain and uncordon a Node
version_added: 1.0.0
description:
  - Runs on a control plane, which has kubectl; usually the task is delegated there.
  - V(drained) cordons the Node and sets the annotation C(plainkube.io/drained) to mark the cordon as its own, in one patch. Then it evicts the pods like
    C(kubectl drain) - PodDisruptionBudgets are respected, DaemonSet pods stay, data in emptyDir volumes is lost, and pods without a
    controller are not recreated.
  - If the Node is already cordoned, its pods are evicted, and V(restored) leaves it cordoned.
  - If the eviction times out, the module removes its own cordon and fails. The error names the pods and the PodDisruptionBudgets that block
    them. Pods that were already evicted do not return.
  - If no kubelet reports, as on a host that is down, the module waits for evicted pods no longer than their grace period.
  - V(restored) waits until the Node is Ready, and then removes the cordon and the annotation in one patch, if the annotation is set.
  - You can kill it at any point; the next run continues from there.
extends_documentation_fragment: [plainkube.cluster.common]
options:
  name:
    description: Name of the Node.
    type: str
    required: true
  state:
    description: Whether to drain the Node or to uncordon it.
    type: str
    choices: [drained, restored]
    required: true
  reason:
    description: Text of the annotation, which explains why the Node is cordoned. An existing annotation is kept.
    type: str
    default: maintenance by plainkube.cluster
  runtime:
    description:
      - The container runtime that the kubelet must report before the Node counts as Ready again. If empty, any runtime.
      - After a kubelet stops, its Node stays Ready for most of a minute. After a change of the runtime, this option distinguishes the new
        kubelet's status from the old one's.
    type: str
    choices: ["", docker, containerd]
    default: ""
  timeout:
    description:
      - Seconds to wait until the pods are gone, or the Node is Ready. This includes the wait for an API server that does not respond.
      - Check mode does not wait.
    type: int
    default: 120
  kubeconfig:
    description: Kubeconfig for the API, in JSON, with a client certificate.
    type: path
    default: /etc/kubernetes/admin.conf
attributes:
  check_mode:
    details: If no API server responds, the Node's state is unknown, and no change is reported.
requirements:
  - kubectl on the host
seealso:
  - module: plainkube.cluster.kube_checkstatus
  - name: Safely drain a Node
    description: Kubernetes' own guide, including PodDisruptionBudgets.
    link: https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/
"""

EXAMPLES = r"""
- name: Drain this node
  plainkube.cluster.node_drain:
    name: n1
    state: drained
    reason: its container runtime is changed to containerd
  delegate_to: k1

- name: Uncordon it
  plainkube.cluster.node_drain:
    name: n1
    state: restored
    runtime: containerd
  delegate_to: k1
"""

RETURN = r"""
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  sample:
    - {verb: drain, subject: "default/hello-5d4f8c7b9-x2x8m evicted, and the node uncordoned at the end", reason: ""}
pods:
  description: The pods that were, or would be, evicted, as NAMESPACE/NAME.
  returned: success
  type: list
  elements: str
  sample: [default/hello-5d4f8c7b9-x2x8m]
cordoned:
  description: Whether the Node is, or would be, cordoned.
  returned: if the Node exists
  type: bool
msg:
  description: Why there was nothing to do, if the Node could not be read.
  returned: if the Node does not exist, or in check mode, if no API server responds
  type: str
  sample: There is no node n1, so there is nothing to drain.
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.node_drain import main

if __name__ == "__main__":
    main()
