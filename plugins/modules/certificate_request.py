#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_request
short_description: Generate a host's private keys and certificate signing requests
version_added: 1.0.0
description:
  - Generates missing private keys (ECDSA P-256) and returns a certificate signing request for each, signed with the key.
    The keys never leave the host.
  - Returns the existing certificates and other public files, from which M(plainkube.cluster.certificate_sign) determines
    what to issue.
  - Corrects owner and mode of the keys, certificates and directories.
  - Never replaces an existing key. A key that is not an ECDSA P-256 key is an error.
extends_documentation_fragment: [plainkube.cluster.common]
requirements:
  - cryptography >= 38 (python3-cryptography)
options:
  directory:
    description: Directory of keys and certificates on the host.
    type: path
    default: /etc/kubernetes/pki
  certificates:
    description: Names of the required certificates, as paths below O(directory) without extension.
    type: list
    elements: str
    required: true
  files:
    description:
      - Other files to read, as paths below O(directory).
      - For files that end in C(.key), and for C(encryption.yaml), only the SHA-256 is returned.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    details: Generates no keys, so a certificate without a key has no request.
  diff_mode:
    details: Keys are not shown.
notes:
  - The user that runs the module owns all files; that is root with C(become).
seealso:
  - module: plainkube.cluster.certificate_sign
  - module: plainkube.cluster.certificate_install
"""

EXAMPLES = r"""
- name: Generate keys and certificate signing requests
  plainkube.cluster.certificate_request:
    certificates: [kubelet-client, kubelet-server, etcd/flannel]
    files: [ca.crt, etcd/ca.crt]
  register: answer
"""

RETURN = r"""
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  description:
    - What was, or would be, done.
    - V(wait) if the library cryptography must be installed, which check mode does not need.
  sample:
    - {verb: write, subject: "/etc/kubernetes/pki/apiserver.key", reason: ""}
certificates:
  description: The state of each required certificate, by name.
  returned: success
  type: dict
  sample:
    etcd/flannel: {"certificate": null, "has_key": true, "request": "-----BEGIN CERTIFICATE REQUEST-----…"}
encryption:
  description: Names of the keys in C(encryption.yaml) with the first digits of their SHA-256, the newest last.
  returned: success
  type: list
  elements: str
  sample: [key-1 03ac674216f3e15c]
made:
  description: Paths of the keys that were, or would be, generated.
  returned: success
  type: list
  elements: str
public:
  description: Content of those O(files) that are not keys, by name. Missing files are omitted.
  returned: success
  type: dict
secret:
  description: SHA-256 of those O(files) that are keys, by name. Missing files are omitted.
  returned: success
  type: dict
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.certificate_request import main

if __name__ == "__main__":
    main()
