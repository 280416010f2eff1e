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
extends_documentation_fragment:
  - plainkube.cluster.attributes
author:
  - The plainkube authors (@plainkube)
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
        description: Whether to omit the content from the diff. A task that installs keys needs C(no_log) as well.
        type: bool
        default: false
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows the SHA-256 of PEM files. The diff of M(plainkube.cluster.certificate_sign) has the certificates' contents.
  idempotent:
    support: full
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

import hashlib
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils import _actions, _files, _run


def shown(content: str | None) -> str:
    if content is None or "-----BEGIN " not in content:
        return content or ""
    return f"# SHA-256 {hashlib.sha256(content.encode('utf-8', 'surrogateescape')).hexdigest()}\n"


def difference(found: _files.Found | None, wanted: dict[str, t.Any]) -> dict[str, str]:
    before = found and found._replace(content=shown(found.content))
    return _files.diff(before, {**wanted, "content": shown(wanted["content"])})


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "required": True, "options": _files.FILE_OPTIONS},
        },
        supports_check_mode=True,
    )
    with _run.held(module):
        os.umask(0o022)
        before = [(_files.look(wanted["path"]), wanted) for wanted in module.params["files"]]
        changes = [(found, wanted) for found, wanted in before if not _files.matches(found, wanted)]
        if not module.check_mode:
            for _found, wanted in changes:
                _files.write(module, wanted)
        module.exit_json(
            **_actions.result(_actions.written(wanted for dummy, wanted in changes)),
            diff=[difference(found, wanted) for found, wanted in changes],
        )


if __name__ == "__main__":
    main()
