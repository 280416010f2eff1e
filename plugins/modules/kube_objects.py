#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: kube_objects
short_description: Kubernetes objects as manifests say
version_added: 1.0.0
description:
  - Applies manifests with C(kubectl apply --server-side), as a field manager of its own, so that the fields that others own stay theirs.
  - What C(kubectl diff --server-side) finds decides whether anything changes, and is the diff.
  - Fields that somebody else changed although these manifests set them are set back.
author:
  - The plainkube authors (@plainkube)
options:
  manifest:
    description: One or more objects in YAML or JSON.
    type: str
    required: true
  state:
    description: Whether the objects are to be as in O(manifest), or not to be there.
    type: str
    choices: [present, absent]
    default: present
  kubeconfig:
    description: Kubeconfig to reach the API with.
    type: path
    default: /etc/kubernetes/admin.conf
  field_manager:
    description: Name by which the API server knows whose fields these are.
    type: str
    default: plainkube
  available:
    description: Workloads of which to wait until their pods are available. Not in check mode.
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
    description: Seconds to wait for an API server that is not ready yet, and then for what O(available) names.
    type: int
    default: 60
extends_documentation_fragment:
  - plainkube.cluster.attributes
attributes:
  check_mode:
    support: full
    details: Where no API server answers, all objects count as changed.
  diff_mode:
    support: full
  idempotent:
    support: full
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

- name: Remove a namespace and all that is in it
  plainkube.cluster.kube_objects:
    manifest: |
      apiVersion: v1
      kind: Namespace
      metadata: {name: hello}
    state: absent
"""

RETURN = r"""
objects:
  description:
    - The objects that were changed, created or deleted, or would be.
    - Empty in check mode where no API server answers or a namespace in the manifest is new.
  returned: success
  type: list
  elements: str
  sample: [apps.v1.Deployment.kube-system.coredns]
msg:
  description: What check mode could not find out.
  returned: in check mode, where no API server answers
  type: str
"""

from ansible_collections.plainkube.cluster.plugins.module_utils._modules.kube_objects import main

if __name__ == "__main__":
    main()
