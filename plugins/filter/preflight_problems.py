# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: preflight_problems
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: Problems with inputs, hosts or addresses
description:
  - For role preflight. All checks of one kind run in one task, because a task costs more than the checks.
options:
  _input:
    description: Values to check, according to O(kind).
    type: dict
    required: true
  kind:
    description:
      - V(inputs) for the cluster's variables and groups, V(hosts) for properties that must be unique per host, and the cluster's networks.
      - Both check the external address of the API (C(api)).
    type: str
    choices: [inputs, hosts]
    required: true
"""

EXAMPLES = r"""
troubles: >-
  {{ {'hosts': hostvars.values() | plainkube.cluster.host_identities, 'networks': {}, 'api': api} | plainkube.cluster.preflight_problems('hosts') }}
"""

RETURN = r"""
_value:
  description: The problems, as sentences; empty if there are none.
  type: list
  elements: str
"""

import socket

from ansible_collections.plainkube.cluster.plugins.plugin_utils.inputs import _endpoint, _preflight


def resolves(name: str) -> bool:
    """Whether a DNS name resolves on the control node."""
    try:
        return bool(socket.getaddrinfo(name, None, socket.AF_INET))
    except (OSError, UnicodeError):
        return False


def input_problems(subject: dict) -> list[str]:
    return [*_preflight.input_problems(subject), *_endpoint.input_problems(_endpoint.Api(**subject["api"]), resolves)]


def hosts_problems(subject: dict) -> list[str]:
    api = _endpoint.Api(**subject["api"])
    return [*_preflight.hosts_problems(subject), *_endpoint.host_problems(api, subject["hosts"])]


KINDS = {
    "inputs": input_problems,
    "hosts": hosts_problems,
}


def preflight_problems(subject: dict, kind: str) -> list[str]:
    return KINDS[kind](subject)


class FilterModule:
    def filters(self):
        return {"preflight_problems": preflight_problems}
