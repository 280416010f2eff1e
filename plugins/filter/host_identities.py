# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: host_identities
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: Properties that must be unique for each host
description:
  - Takes the variables of hosts and returns each host's address in the cluster, machine-id and host name; also its
    network interfaces, all their addresses, the offset of its clock from the control node's in seconds, and the fixed settings of its existing
    cluster. The DNS address is omitted if C(node_kubelet_config) gives the kubelet a different DNS server.
  - Values that are unknown, because a host is unreachable, are empty.
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
  description: Inventory name to C(address), C(given) (whether the inventory sets C(cluster_address)), C(machine_id), C(hostname), C(addresses), C(interfaces),
    C(clock_offset) and C(settled).
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
        found[variables["inventory_hostname"]] = {
            "address": host_address(variables),
            "given": bool(variables.get("cluster_address")),
            **seen,
            **links,
            **more,
        }
    return found


class FilterModule:
    def filters(self):
        return {"host_identities": host_identities}
