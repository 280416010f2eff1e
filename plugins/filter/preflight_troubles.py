# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: preflight_troubles
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: What is wrong with inputs, hosts or addresses
description:
  - For role preflight. All checks of a kind are one task, because a task costs more than all of them.
options:
  _input:
    description: What to check, as O(kind) says.
    type: dict
    required: true
  kind:
    description:
      - V(inputs) for the cluster's variables and groups, V(hosts) for what hosts must not have in common, and the cluster's networks.
    type: str
    choices: [inputs, hosts]
    required: true
"""

EXAMPLES = r"""
troubles: "{{ {'hosts': hostvars.values() | plainkube.cluster.host_identities, 'networks': {}} | plainkube.cluster.preflight_troubles('hosts') }}"
"""

RETURN = r"""
_value:
  description: Sentences; none where all is well.
  type: list
  elements: str
"""

from ansible_collections.plainkube.cluster.plugins.module_utils import _preflight

KINDS = {
    "inputs": _preflight.input_troubles,
    "hosts": _preflight.hosts_troubles,
}


def preflight_troubles(subject: dict, kind: str) -> list[str]:
    return KINDS[kind](subject)


class FilterModule:
    def filters(self):
        return {"preflight_troubles": preflight_troubles}
