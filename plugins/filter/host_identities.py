# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: host_identities
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: What has to be each host's own
description:
  - Takes the variables of hosts and tells the address that the cluster knows each by, its machine-id and its host name; beside them, its
    network interfaces, all their addresses, by how many seconds its clock is ahead of the control node's, and what it knows of its cluster that
    cannot change. Where C(node_kubelet_config) gives a kubelet another DNS server, the kubelet does not know the cluster's.
  - What was not found, because a host was not reached, is empty.
options:
  _input:
    description: The hosts' variables, elements of C(hostvars).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
identities: "{{ ansible_play_hosts | map('extract', hostvars) | plainkube.cluster.host_identities }}"
"""

RETURN = r"""
_value:
  description: Inventory name to C(address), C(machine_id), C(hostname), C(addresses), C(interfaces), C(clock_offset) and C(settled).
  type: dict
"""

from ansible_collections.plainkube.cluster.plugins.filter.host_address import host_address


def host_identities(hosts) -> dict[str, dict]:
    found = {}
    for variables in hosts:
        facts = variables.get("ansible_facts", {}).get("plainkube", {})
        seen = {"machine_id": facts.get("machine_id", ""), "hostname": facts.get("hostname", "").lower()}
        links = {"addresses": facts.get("addresses", []), "interfaces": facts.get("interfaces", [])}
        elsewhere = {"cluster_dns_address"} if "clusterDNS" in (variables.get("node_kubelet_config") or {}) else set()
        settled = {name: value for name, value in facts.get("settled", {}).items() if name not in elsewhere}
        more = {"clock_offset": facts.get("clock_offset", 0.0), "settled": settled}
        found[variables["inventory_hostname"]] = {"address": host_address(variables), **seen, **links, **more}
    return found


class FilterModule:
    def filters(self):
        return {"host_identities": host_identities}
