#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: kube_objects
short_description: Apply or delete Kubernetes manifests
version_added: 1.0.0
description:
  - Applies manifests with C(kubectl apply --server-side), with its own field manager, so that other managers keep their fields.
  - The output of C(kubectl diff --server-side) determines whether anything changes, and is the diff.
  - Resets fields of these manifests that other managers changed.
options:
  manifest:
    description: One or more objects in YAML or JSON.
    type: str
    required: true
  state:
    description: Whether the objects must match O(manifest) or be absent.
    type: str
    choices: [present, absent]
    default: present
  kubeconfig:
    description: Kubeconfig for the API.
    type: path
    default: /etc/kubernetes/admin.conf
  available:
    description: Workloads whose pods must become available. Not in check mode.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description: Kind of the workload.
        type: str
        choices: [deployment, daemonset, statefulset]
        default: deployment
      name:
        description: Name of the workload.
        type: str
        required: true
      namespace:
        description: Its namespace.
        type: str
        required: true
  wait:
    description: Seconds to wait for an API server that is not ready yet, and then for the workloads in O(available).
    type: int
    default: 60
extends_documentation_fragment: [plainkube.cluster.common]
attributes:
  check_mode:
    details: If no API server responds, all objects count as changed.
requirements:
  - kubectl on the host
"""

EXAMPLES = r"""
- name: Apply the addons
  plainkube.cluster.kube_objects:
    manifest: "{{ lookup('ansible.builtin.template', 'coredns.yaml.j2') }}"
    available:
      - name: coredns
        namespace: kube-system

- name: Remove a namespace and everything in it
  plainkube.cluster.kube_objects:
    manifest: |
      apiVersion: v1
      kind: Namespace
      metadata: {name: hello}
    state: absent
"""

RETURN = r"""
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  description:
    - What was, or would be, done.
    - In check mode, one action for all objects if no API server responds.
    - V(wait), in check mode, for each of O(available).
  sample:
    - {verb: apply, subject: "apps.v1.Deployment.kube-system.coredns", reason: ""}
msg:
  description: What check mode could not determine.
  returned: in check mode, if no API server responds
  type: str
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.kube_objects import main

if __name__ == "__main__":
    main()
