# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: node_labels_flag
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: The kubelet's flag for the labels that it registers its Node with
description:
  - For role node. Most labels of Kubernetes' domains, such as C(node-role.kubernetes.io/worker), no kubelet may give its own Node; it exits if told to.
    These are left out here; M(plainkube.cluster.node_object) sets them.
options:
  _input:
    description: The value of C(node_labels).
    type: dict
    required: true
"""

EXAMPLES = r"""
flag: "{{ {'gpu': 'true', 'node-role.kubernetes.io/worker': ''} | plainkube.cluster.node_labels_flag }}"  # --node-labels=gpu=true
"""

RETURN = r"""
_value:
  description: The flag with its value; empty where there is no label that the kubelet may set.
  type: str
"""

from ansible_collections.plainkube.cluster.plugins.module_utils import _preflight


def kubelet_may_set(key: str) -> bool:
    """Whether a kubelet may give its own Node a label; with any other it exits."""
    domain = key.rpartition("/")[0]
    kubernetes = _preflight._within(domain, ("kubernetes.io", "k8s.io"))
    return (
        not kubernetes
        or key in _preflight.KUBELET_LABELS
        or _preflight._within(domain, _preflight.KUBELET_LABEL_DOMAINS)
    )


def registration(labels: dict) -> str:
    """The kubelet's flag for the labels that it may set; the others come from a control plane. Empty where it may set none."""
    found = ",".join(f"{key}={labels[key]}" for key in sorted(labels) if kubelet_may_set(key))
    return f"--node-labels={found}" if found else ""


class FilterModule:
    def filters(self):
        return {"node_labels_flag": registration}
