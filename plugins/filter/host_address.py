# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: host_address
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: A host's IPv4 address in the cluster
description:
  - Takes a host's variables, and returns the first of the following values that is an IPv4 address.
  - C(cluster_address), which the inventory may set per host; the address that the control node connects to (fact C(plainkube_address) of
    M(plainkube.cluster.host_facts)); C(ansible_host); the host's name in the inventory. The host itself has no say in this.
  - Empty if there is none and O(required=false), for example for an unreachable host with a DNS name.
options:
  _input:
    description: A host's variables, an element of C(hostvars).
    type: dict
    required: true
  required:
    description: Whether to fail if there is no address.
    type: bool
    default: false
"""

EXAMPLES = r"""
address: "{{ hostvars['node1'] | plainkube.cluster.host_address }}"
"""

RETURN = r"""
_value:
  description: The address, or an empty string.
  type: str
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _addresses


def host_address(variables, required: bool = False) -> str:
    facts = variables.get("ansible_facts", {})
    candidates = (
        variables.get("cluster_address"),
        facts.get("plainkube_address"),
        variables.get("ansible_host"),
        variables.get("inventory_hostname"),
    )
    address = next((str(candidate) for candidate in candidates if _addresses.is_ipv4(candidate)), "")
    if required and not address:
        raise AnsibleFilterError(
            f"The IPv4 address of host {variables.get('inventory_hostname')} is unknown: run role plainkube.cluster.preflight, or module"
            " plainkube.cluster.host_facts, on it first, or set cluster_address for it."
        )
    return address


class FilterModule:
    def filters(self):
        return {"host_address": host_address}
