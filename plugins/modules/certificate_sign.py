#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_sign
short_description: Create the CAs, and sign certificates for all hosts at once
version_added: 1.0.0
description:
  - Runs once on the control node, for all hosts on which M(plainkube.cluster.certificate_request) ran.
  - Creates missing certificate authorities (CAs) in O(directory) - C(kubernetes), C(etcd) and C(front-proxy) -
    and the key pair that signs service account tokens.
  - Issues a certificate if the host has none, or if the existing one is from another CA, is for another key, differs from the
    specification, or expires soon. The contents come from O(groups); only the key is taken from a request.
  - Creates C(encryption.yaml) with the key with which API servers encrypt Secrets and ConfigMaps in etcd. An existing cluster without encryption
    gets a key that is available but not used yet; C(plainkube.cluster.encryption) activates it.
  - Never creates CAs for a cluster that already has them. If the hosts have CAs other than those in O(directory), it stops
    and says where they were created, if the control planes agree on that.
  - Never signs a host's name or address that belongs to the cluster, such as V(kubernetes), V(localhost) or the address of the Service C(kubernetes),
    or to another host.
  - You can put your own CA into O(directory) before the first run, for example as C(etcd/ca.crt) and C(etcd/ca.key).
extends_documentation_fragment: [plainkube.cluster.common]
requirements:
  - cryptography >= 41 on the control node
options:
  directory:
    description: Directory of the CAs on the control node. Only the operator can access it (mode 0700).
    type: path
    required: true
  cluster_name:
    description: Name of the cluster, which is the prefix of the names of new CAs.
    type: str
    required: true
  groups:
    description: Hosts and what they need. A host may be in several groups.
    type: list
    elements: dict
    required: true
    suboptions:
      hosts:
        description: The hosts.
        type: list
        elements: str
        required: true
      files:
        description:
          - Files to copy from O(directory), as paths below it and below O(host_directory).
          - Keys (files that end in C(.key), and C(encryption.yaml)) are only named, not returned.
          - C(ca-signer.crt) is the certificate of the Kubernetes CA that signs, while C(ca.crt) has two during a rotation.
        type: list
        elements: str
        default: []
      certificates:
        description:
          - Certificates for these hosts.
          - In C(common_name), C(organization) and C(sans), C({host}) stands for the host's name and C({address}) for its address.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Path below O(host_directory), without extension.
            type: str
            required: true
          authority:
            description: The CA that issues it.
            type: str
            choices: [kubernetes, etcd, front-proxy]
            required: true
          common_name:
            description: Common name of the subject.
            type: str
            required: true
          organization:
            description: Organization of the subject, which Kubernetes uses as the user's group.
            type: str
            default: ""
          sans:
            description: Subject alternative names, DNS names and addresses. Empty ones are ignored.
            type: list
            elements: str
            default: []
          usages:
            description: Extended key usages.
            type: list
            elements: str
            choices: [server, client]
            required: true
          chain:
            description:
              - Whether to append the valid cross certificates of the Kubernetes CA. With them, clients that only know a
                predecessor of the CA trust the server.
            type: bool
            default: false
  host_directory:
    description: Directory of keys and certificates on the hosts.
    type: path
    default: /etc/kubernetes/pki
  addresses:
    description: Host to IPv4 address.
    type: dict
    default: {}
  answers:
    description:
      - Host to the result of M(plainkube.cluster.certificate_request). Certificates are signed only for these hosts.
      - With O(state=checked), the C(pki) of M(plainkube.cluster.host_facts) is enough, and O(groups) and O(addresses) may be empty.
    type: dict
    required: true
  control_planes:
    description:
      - The control planes. Only their answers say whether the cluster has service account and encryption keys, which ones, and where its CAs were created,
        because other hosts have no part in these.
    type: list
    elements: str
    required: true
  required_hosts:
    description:
      - Hosts that must be in O(answers) before a CA is created.
      - A run that is limited to new hosts cannot know whether the cluster exists.
    type: list
    elements: str
    default: []
  validity_days:
    description: Validity of new certificates in days.
    type: int
    default: 365
  renew_before_days:
    description: Certificates that expire within this number of days are renewed.
    type: int
    default: 30
  reissue:
    description: Whether to reissue all certificates. Every run reissues them, so it is not idempotent.
    type: bool
    default: false
  state:
    description:
      - V(checked) only verifies that O(directory) is valid and that no host has another cluster's CAs. It creates and issues nothing,
        so use it before anything changes.
      - Warns if other users of the control node can access O(directory), and if a rotation is in progress.
    type: str
    choices: [signed, checked]
    default: signed
  authorities:
    description:
      - CAs to compare with those on the hosts. The other keys of O(directory) are compared only if all three are listed.
      - For callers that use only one CA, such as M(plainkube.cluster.kubeconfig).
    type: list
    elements: str
    choices: [kubernetes, etcd, front-proxy]
    default: [kubernetes, etcd, front-proxy]
attributes:
  check_mode:
    details: Signs in memory, with temporary CAs and keys in place of those that a real run would create.
  diff_mode:
    details: Shows the contents of each certificate, and why it is issued.
notes:
  - Always runs on the control node, in Ansible's own process and as the user who started it, regardless of the task's host.
seealso:
  - module: plainkube.cluster.certificate_request
  - module: plainkube.cluster.certificate_install
"""

EXAMPLES = r"""
- name: Sign
  plainkube.cluster.certificate_sign:
    directory: /home/anna/cluster/pki
    cluster_name: plainkube
    control_planes: [k1]
    groups:
      - hosts: [n1, n2]
        files: [ca.crt]
        certificates:
          - name: kubelet-server
            authority: kubernetes
            common_name: system:node:{host}
            organization: system:nodes
            sans: ["{host}", "{address}"]
            usages: [server]
    addresses: {n1: 10.0.0.1, n2: 10.0.0.2}
    answers: "{{ dict(ansible_play_batch | zip(ansible_play_batch | map('extract', hostvars, 'answer'))) }}"
  delegate_to: localhost
  run_once: true
  become: false
  register: signed
"""

RETURN = r"""
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  description:
    - What was, or would be, done. Here, in O(directory). RV(hosts) has the actions for each host.
  sample:
    - {verb: write, subject: "/root/plainkube-pki/ca.crt", reason: ""}
authorities:
  description: The CAs, by name.
  returned: success with O(state=signed)
  type: dict
  sample:
    etcd: {"fingerprint": "SHA-256 8E:…", "made": false, "subject": "CN=plainkube-etcd-ca", "valid_until": "2036-01-01"}
hosts:
  description: What to do on each host of O(answers). Contains no private keys.
  returned: success with O(state=signed)
  type: dict
  contains:
    actions:
      description: The certificates that were, or would be, issued, in the format of RV(actions).
      type: list
      elements: dict
      sample:
        - {verb: issue, subject: apiserver, reason: the list of names lacks api.example.org}
    files:
      description: Files for M(plainkube.cluster.certificate_install), all of them public.
      type: list
      elements: dict
    replaced:
      description: Paths of all files to write on the host.
      type: list
      elements: str
    secret_files:
      description: Those C(files) that are keys and that are missing or different on the host; install them from O(directory).
      type: list
      elements: str
      sample: [sa.key]
msg:
  description: What was done, in a sentence.
  returned: success
  type: str
"""
