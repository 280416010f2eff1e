#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: authority_rotation
short_description: Rotate CAs and keys in the directory on the control node, step by step
version_added: 1.0.0
description:
  - Rotates the certificate authorities (CAs), the key that signs service account tokens, and the key that encrypts Secrets,
    each with an overlap in which both the old one and the new one are accepted.
  - First the new one is trusted in addition to the old one (O(step=begin)), then it is in use, then the old one is removed (O(step=advance) twice).
    Between two steps, C(plainkube.cluster.site) must update all hosts.
  - The directory is the only place that records the progress, so a rotation resumes after its run was killed.
extends_documentation_fragment: [plainkube.cluster.common]
requirements:
  - cryptography >= 41 on the control node
options:
  directory:
    description: Directory of the CAs on the control node.
    type: path
    required: true
  cluster_name:
    description: Name of the cluster, which is the prefix of the names of new CAs.
    type: str
    required: true
  step:
    description:
      - V(inspect) changes nothing.
      - V(begin) starts a rotation of each entry in O(rotate) that has none in progress. If one of them only needs its last step, V(begin) starts
        nothing, so that an interrupted run resumes.
      - V(advance) advances all rotations in progress by one step.
    type: str
    choices: [inspect, begin, advance]
    default: inspect
  rotate:
    description: What to rotate with O(step=begin).
    type: list
    elements: str
    choices: [kubernetes, etcd, front-proxy, service-account, encryption]
    default: []
  token_overlap_hours:
    description:
      - Overlap in hours during which the old service-account key is trusted after the new one is in use. After that, its tokens are rejected.
      - Tokens that the kubelet gives to pods are valid for an hour.
    type: float
    default: 24
  expected:
    description:
      - RV(states) of the previous step, for O(step=advance), which fails if a rotation has another state now. Another run has then started or advanced
        it, and the hosts may not have completed that step.
      - By default, rotations are advanced from any state.
    type: dict
    default: {}
  in_use:
    description:
      - RV(plainkube.cluster.encryption_usage#module:in_use), for O(step=advance).
      - An encryption key is not removed while an object in etcd needs it, or while its usage is unknown.
    type: dict
    default: {}
attributes:
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: With O(step=advance), each run takes another step until no rotation is in progress.
notes:
  - Always runs on the control node, in Ansible's own process and as the user who started it, regardless of the task's host.
seealso:
  - module: plainkube.cluster.certificate_sign
  - module: plainkube.cluster.kube_rewrite
"""

EXAMPLES = r"""
- name: Trust a new etcd CA in addition to the current one
  plainkube.cluster.authority_rotation:
    directory: /home/anna/cluster/pki
    cluster_name: plainkube
    step: begin
    rotate: [etcd]
  run_once: true
"""

RETURN = r"""
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  description:
    - What was, or would be, done. The paths are in O(directory).
  sample:
    - {verb: write, subject: "/root/plainkube-pki/ca-cross.crt", reason: ""}
going:
  description: Names of the rotations in progress whose next step is due.
  returned: success
  type: list
  elements: str
phases:
  description: Progress of each rotation - V(steady) (none), V(begun) (the new one is trusted), V(switched) (the new one is in use).
  returned: success
  type: dict
  sample: {"kubernetes": "steady", "etcd": "begun", "front-proxy": "steady", "service-account": "steady", "encryption": "steady"}
states:
  description: Phase of each rotation, with a digest of the CAs or keys in question.
  returned: success
  type: dict
  sample: {"etcd": "begun 5feceb66ffc86f38"}
sentences:
  description: CA or key -> its rotation in progress, as text.
  returned: success
  type: dict
tokens_until:
  description: Time from which the old service-account key can be removed. Empty if no removal is due.
  returned: success
  type: str
  sample: "2026-11-26 22:00 UTC"
"""
