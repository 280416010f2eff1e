# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: rollout
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: The order in which hosts change, for a play
description:
  - For C(hosts) and C(serial) of a play, after module P(plainkube.cluster.survey#module) has run on the hosts.
  - Hosts whose service is not running start together. Those whose service is running change one at a time - members of etcd with the leader last,
    control planes with the broken ones first.
  - A single control plane, or control planes that are all stopped, need no rollout, and can change in parallel with other hosts.
options:
  _terms:
    description: The service to change, V(etcd) or V(control_plane).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Run etcd
  vars:
    rollout: "{{ lookup('plainkube.cluster.rollout', 'etcd') }}"
  hosts: "{{ rollout | flatten }}"
  serial: "{{ rollout | map('length') }}"
"""

RETURN = r"""
_raw:
  description: Batches of names of hosts; those of a batch change together.
  type: list
  elements: list
"""

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _rollout_order, _steps

# Service -> the variable with its hosts, and their order.
SERVICES = {
    "etcd": ("__cluster_etcd_members", _rollout_order.etcd),
    "control_plane": ("__cluster_control_planes", _rollout_order.control_planes),
}


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        service = next(iter(terms), None)
        if service not in SERVICES:
            raise AnsibleLookupError(f"plainkube.cluster.rollout: {service!r} is not one of {', '.join(SERVICES)}.")
        pending = _steps.pending_by_host(variables)
        if not any(pending.values()):
            return [[]]
        hosts, (members, order) = variables["hostvars"], SERVICES[service]
        everyone = _roles.Scope(self._templar, hosts[next(iter(pending))]).variable(members)
        known = [_host(name, hosts[name], steps) for name, steps in pending.items() if name in everyone]
        first, then = order(known, len(everyone))
        return [[batch for batch in (first, *([name] for name in then)) if batch]]


def _host(name, host, pending):
    return _rollout_order.Host(
        name, pending, host[_steps.SURVEY]["answers"], host["ansible_facts"]["plainkube"]["etcd_state"]
    )
