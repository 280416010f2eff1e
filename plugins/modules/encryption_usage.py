#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: encryption_usage
short_description: Count the objects in etcd by encryption key
version_added: 1.0.0
description:
  - Counts the Secrets and ConfigMaps in etcd by their encryption key, which is named in the prefix of each value.
  - Reads etcd in pages and changes nothing.
extends_documentation_fragment:
  - plainkube.cluster.attributes
  - plainkube.cluster.etcd
author:
  - The plainkube authors (@plainkube)
options:
  resources:
    description: Resources to count, by the prefix of their keys below C(/registry/).
    type: list
    elements: str
    default: [secrets, configmaps]
  page:
    description: Number of values per request, at least 2. A value can have up to 1 MiB.
    type: int
    default: 50
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
  idempotent:
    support: full
seealso:
  - module: plainkube.cluster.kube_rewrite
  - module: plainkube.cluster.authority_rotation
"""

EXAMPLES = r"""
- name: See which keys are in use
  plainkube.cluster.encryption_usage:
  register: usage
"""

RETURN = r"""
in_use:
  description:
    - Name of each key, and the number of objects that are encrypted with it. V(identity) counts unencrypted objects.
    - Unused keys are omitted.
  returned: success
  type: dict
  sample: {"key-2": 31, "key-1": 8}
"""

import base64
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils import _encryption
from ansible_collections.plainkube.cluster.plugins.module_utils._etcdctl import OPTIONS, Etcdctl, EtcdError, decode

# Base64 of as much of a value as names its key; a multiple of 4.
_BEGINNING = 96


def values(etcdctl: Etcdctl, resource: str, size: int) -> t.Iterator[bytes]:
    """The beginnings of all values of a kind."""
    prefix = f"/registry/{resource}/"
    start, end = prefix, f"/registry/{resource}0"
    last = ""
    while True:
        answer = etcdctl.patiently("get", start, end, f"--limit={size}")
        found = [(decode(entry["key"]), entry.get("value", "")) for entry in answer.get("kvs") or []]
        # A page begins with the last key of the one before.
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
        module.fail_json(msg=f"Which encryption keys are in use could not be seen: {error}")


if __name__ == "__main__":
    main()
