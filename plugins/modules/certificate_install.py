#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_install
short_description: Write certificates and keys atomically
version_added: 1.0.0
description:
  - Writes files that differ in content, owner or mode. Each is replaced atomically, with its final owner and mode.
extends_documentation_fragment: [plainkube.cluster.common]
options:
  files:
    description: Files to write, in this order.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      content:
        description: The whole content.
        type: str
        required: true
      owner:
        description: Name of the owner.
        type: str
        default: root
      group:
        description: Name of the group.
        type: str
        default: root
      mode:
        description: Permissions, octal.
        type: str
        default: "0644"
      secret:
        description: Whether to omit the content from the diff. It is still in the task's arguments; O(keys) are not.
        type: bool
        default: false
  keys:
    description: Files to write after O(files), for their owner, the user of the task, only. Their content is in no output, log or diff.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      content:
        description: The whole content.
        type: str
        required: true
attributes:
  diff_mode:
    details: Shows the SHA-256 of PEM files. The diff of M(plainkube.cluster.certificate_sign) has the certificates' contents.
seealso:
  - module: plainkube.cluster.certificate_request
  - module: plainkube.cluster.certificate_sign
"""

EXAMPLES = r"""
- name: Install the signed certificates
  plainkube.cluster.certificate_install:
    files: "{{ signed.hosts[inventory_hostname].files }}"
"""

RETURN = r"""
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  sample:
    - {verb: write, subject: "/etc/kubernetes/pki/ca.crt", reason: ""}
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.certificate_install import main

if __name__ == "__main__":
    main()
