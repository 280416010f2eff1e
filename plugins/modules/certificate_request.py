#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_request
short_description: A host's private keys, its requests for certificates, and what it has already
version_added: 1.0.0
description:
  - Makes the private keys that are missing (ECDSA P-256) and returns a request for each, signed with the key.
    The keys never leave the host.
  - Returns the certificates and other public files that are there, from which M(plainkube.cluster.certificate_sign) learns
    what is to be issued.
  - Corrects owner and mode of the keys, certificates and directories.
  - A key that is there is never replaced. One that is not an ECDSA P-256 key is an error.
extends_documentation_fragment:
  - plainkube.cluster.attributes
author:
  - The plainkube authors (@plainkube)
requirements:
  - cryptography >= 38 (python3-cryptography)
options:
  directory:
    description: Where keys and certificates are kept on the host.
    type: path
    default: /etc/kubernetes/pki
  certificates:
    description: Names of the wanted certificates, as paths below O(directory) without extension.
    type: list
    elements: str
    required: true
  files:
    description:
      - Other files to look at, as paths below O(directory).
      - Of one that ends in C(.key), and of C(encryption.yaml), only the SHA-256 is returned.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    details: Makes no key, so that there is no request for a certificate without one.
  diff_mode:
    support: full
    details: Keys are not shown.
  idempotent:
    support: full
notes:
  - Everything belongs to the user that the module runs as, which is root with C(become).
seealso:
  - module: plainkube.cluster.certificate_sign
  - module: plainkube.cluster.certificate_install
"""

EXAMPLES = r"""
- name: Make the keys and ask for certificates
  plainkube.cluster.certificate_request:
    certificates: [kubelet-client, kubelet-server, etcd/flannel]
    files: [ca.crt, etcd/ca.crt]
  register: answer
"""

RETURN = r"""
certificates:
  description: What is there of each of the wanted certificates, by name.
  returned: success
  type: dict
  sample:
    etcd/flannel: {"certificate": null, "has_key": true, "request": "-----BEGIN CERTIFICATE REQUEST-----…"}
encryption:
  description: Names of the keys in C(encryption.yaml) with the beginning of their SHA-256, the newest last.
  returned: success
  type: list
  elements: str
  sample: [key-1 03ac674216f3e15c]
made:
  description: Paths of the keys that were made, or would be.
  returned: success
  type: list
  elements: str
pending:
  description:
    - What is to do though it changes nothing, in words.
    - Here, to install the library cryptography, which check mode gets along without.
  returned: success
  type: list
  elements: str
public:
  description: Content of O(files) that are no keys, by name. Those that are absent are left out.
  returned: success
  type: dict
secret:
  description: SHA-256 of O(files) that are keys, by name. Those that are absent are left out.
  returned: success
  type: dict
"""

from ansible_collections.plainkube.cluster.plugins.module_utils._modules.certificate_request import main

if __name__ == "__main__":
    main()
