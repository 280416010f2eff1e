# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module encryption_usage."""

from __future__ import annotations

import base64
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.etcd._etcdctl import OPTIONS, Etcdctl, EtcdError, decode
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _encryption

# Values per request, at least 2. A value can have up to 1 MiB.
_PAGE = 50
# Base64 length of a value's prefix that contains the name of its key; a multiple of 4.
_BEGINNING = 96


def values(etcdctl: Etcdctl, resource: str) -> t.Iterator[bytes]:
    """The prefixes of all values of a kind."""
    prefix = f"/registry/{resource}/"
    start, end = prefix, f"/registry/{resource}0"
    last = ""
    while True:
        answer = etcdctl.patiently("get", start, end, f"--limit={_PAGE}")
        found = [(decode(entry["key"]), entry.get("value", "")) for entry in answer.get("kvs") or []]
        # A page starts with the last key of the previous one.
        for key, value in found:
            if key != last:
                yield base64.b64decode(value[:_BEGINNING])
        if len(found) < _PAGE:
            return
        start = last = found[-1][0]


def run(module: AnsibleModule) -> dict[str, t.Any]:
    etcdctl = Etcdctl(module)
    found = (value for resource in _encryption.RESOURCES for value in values(etcdctl, resource))
    return {"changed": False, "in_use": _encryption.uses(found)}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        module.exit_json(**run(module))
    except EtcdError as error:
        module.fail_json(msg=f"The encryption keys in use could not be determined: {error}")
