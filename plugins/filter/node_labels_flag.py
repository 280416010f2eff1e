# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: node_labels_flag
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: The kubelet's flag for the labels with which it registers its Node
description:
  - For role node. A kubelet cannot set most labels of Kubernetes' domains, such as C(node-role.kubernetes.io/worker), on its own Node; it exits if
    configured to. These labels are omitted here; M(plainkube.cluster.node_object) sets them.
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
  description: The flag with its value; empty if there is no label that the kubelet can set.
  type: str
"""

import typing as t

# Labels of Kubernetes' own domains that a kubelet may set on its Node; with any other it exits (k8s.io/kubelet/pkg/apis/well_known_labels.go).
_LABELS: tuple[str, ...] = (
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "node.kubernetes.io/instance-type",
)
_LABELS += ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")
_LABELS += tuple(f"beta.kubernetes.io/{name}" for name in ("os", "arch", "instance-type"))
_LABELS += tuple(f"failure-domain.beta.kubernetes.io/{name}" for name in ("zone", "region"))
_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")


def _within(domain: str, parents: t.Iterable[str]) -> bool:
    return any(domain == parent or domain.endswith(f".{parent}") for parent in parents)


def kubelet_may_set(key: str) -> bool:
    """Whether a kubelet may set a label on its own Node; with any other label, it exits."""
    domain = key.rpartition("/")[0]
    kubernetes = _within(domain, ("kubernetes.io", "k8s.io"))
    return not kubernetes or key in _LABELS or _within(domain, _DOMAINS)


def registration(labels: dict) -> str:
    """The kubelet's flag for the labels that it may set; a control plane sets the others. Empty if there are none."""
    found = ",".join(f"{key}={labels[key]}" for key in sorted(labels) if kubelet_may_set(key))
    return f"--node-labels={found}" if found else ""


class FilterModule:
    def filters(self):
        return {"node_labels_flag": registration}
