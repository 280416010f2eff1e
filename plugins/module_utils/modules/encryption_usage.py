# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The code of module encryption_usage."""

from __future__ import annotations

import base64
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.etcd._etcdctl import OPTIONS, Etcdctl, EtcdError, decode
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _encryption

# Base64 length of a value's prefix that contains the name of its key; a multiple of 4.
_BEGINNING = 96


def values(etcdctl: Etcdctl, resource: str, size: int) -> t.Iterator[bytes]:
    """The prefixes of all values of a kind."""
    prefix = f"/registry/{resource}/"
    start, end = prefix, f"/registry/{resource}0"
    last = ""
    while True:
        answer = etcdctl.patiently("get", start, end, f"--limit={size}")
        found = [(decode(entry["key"]), entry.get("value", "")) for entry in answer.get("kvs") or []]
        # A page starts with the last key of the previous one.
        for key, value in found:
            if key != last:
                yield base64.b64decode(value[:_BEGINNING])
        if len(found) < size:
            return
        start = last = found[-1][0]


def run(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    etcdctl = Etcdctl(module)
    size = max(2, params["page"])
    found = (value for resource in params["resources"] for value in values(etcdctl, resource, size))
    return {"changed": False, "in_use": _encryption.uses(found)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **OPTIONS,
            "resources": {"type": "list", "elements": "str", "default": [*_encryption.RESOURCES]},
            "page": {"type": "int", "default": 50},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except EtcdError as error:
        module.fail_json(msg=f"The encryption keys in use could not be determined: {error}")
