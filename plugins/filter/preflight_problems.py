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
      - V(inputs) for the cluster's variables and groups, V(hosts) for properties that must be unique per host, and the cluster's networks. The
        hosts are elements of C(hostvars).
      - Both check the external address of the API (C(api)).
    type: str
    choices: [inputs, hosts]
    required: true
"""

EXAMPLES = r"""
troubles: >-
  {{ {'hosts': hostvars.values() | list, 'networks': {}, 'api': api} | plainkube.cluster.preflight_problems('hosts') }}
"""

RETURN = r"""
_value:
  description: The problems, as sentences; empty if there are none.
  type: list
  elements: str
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.plainkube.cluster.plugins.filter.host_address import host_address
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _addresses
from ansible_collections.plainkube.cluster.plugins.plugin_utils.inputs import _endpoint, _preflight


def identities(hosts: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Inventory name -> what must be unique for each host, its interfaces and clock, and the fixed settings of its existing cluster. Empty if the
    host is unreachable. A kubelet with another DNS server (node_kubelet_config) does not have the cluster's."""
    found = {}
    for variables in hosts:
        facts = variables.get("ansible_facts", {}).get("plainkube", {})
        elsewhere = {"cluster_dns_address"} if "clusterDNS" in (variables.get("node_kubelet_config") or {}) else set()
        found[variables["inventory_hostname"]] = {
            "address": host_address(variables),
            "given": bool(variables.get("cluster_address")),
            "machine_id": facts.get("machine_id", ""),
            "hostname": facts.get("hostname", "").lower(),
            "addresses": facts.get("addresses", []),
            "interfaces": facts.get("interfaces", []),
            "clock_offset": facts.get("clock_offset", 0.0),
            "settled": {name: value for name, value in facts.get("settled", {}).items() if name not in elsewhere},
        }
    return found


def preflight_problems(subject: dict, kind: str) -> list[str]:
    api = _endpoint.Api(**subject["api"])
    if kind == "inputs":
        return [*_preflight.input_problems(subject), *_endpoint.input_problems(api, _addresses.resolved)]
    hosts = identities(subject["hosts"])
    return [*_preflight.hosts_problems({**subject, "hosts": hosts}), *_endpoint.host_problems(api, hosts)]


class FilterModule:
    def filters(self):
        return {"preflight_problems": preflight_problems}
