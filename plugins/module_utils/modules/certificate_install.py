# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module certificate_install."""

from __future__ import annotations

import hashlib
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run

KEY_OPTIONS = {
    "path": {"type": "path", "required": True},
    "content": {"type": "str", "required": True, "no_log": True},
}
SPEC = {
    "files": {"type": "list", "elements": "dict", "required": True, "options": _files.FILE_OPTIONS},
    "keys": {"type": "list", "elements": "dict", "default": [], "no_log": False, "options": KEY_OPTIONS},
}


def shown(content: str | None) -> str:
    if content is None or "-----BEGIN " not in content:
        return content or ""
    return f"# SHA-256 {hashlib.sha256(content.encode('utf-8', 'surrogateescape')).hexdigest()}\n"


def difference(found: _files.Found | None, wanted: dict[str, t.Any]) -> dict[str, str]:
    before = found and found._replace(content=shown(found.content))
    return _files.diff(before, {**wanted, "content": shown(wanted["content"])})


def run(module: AnsibleModule) -> dict[str, t.Any]:
    os.umask(0o022)
    keys = [{**key, "mode": "0600", "secret": True, **_files.me()} for key in module.params["keys"]]
    before = [(_files.inspect(wanted["path"]), wanted) for wanted in [*module.params["files"], *keys]]
    changes = [(found, wanted) for found, wanted in before if not _files.matches(found, wanted)]
    if not module.check_mode:
        for _found, wanted in changes:
            _files.write(module, wanted)
    return {
        **_actions.result(_actions.written(wanted for dummy, wanted in changes)),
        "diff": [difference(found, wanted) for found, wanted in changes],
    }


def main() -> None:
    _run.main(SPEC, run)
