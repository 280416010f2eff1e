# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: pending
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: The hosts with pending steps
description:
  - For the C(hosts) of a play, after module P(plainkube.cluster.survey#module) has run on the hosts. A host without changes costs the control node
    nothing in such a play, whereas each skipped task costs a worker.
  - A host with new CAs or keys needs all steps that concern it, and so does every host if flannel's network has changed in this run.
  - A step that a host has taken since the survey is no longer pending.
options:
  _terms:
    description: Names of steps. The default is all.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Configure the firewall
  hosts: "{{ lookup('plainkube.cluster.pending', 'firewall') }}"
"""

RETURN = r"""
_raw:
  description: Names of hosts, in the inventory's order.
  type: list
  elements: list
"""

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _steps


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        unknown = set(terms) - {step.name for step in _steps.steps()}
        if unknown:
            raise AnsibleLookupError(f"there is no step {min(unknown)}: give the name of a step, such as etcd")
        pending = _steps.pending_by_host(variables)
        return [[name for name, steps in pending.items() if (set(terms) & set(steps) if terms else steps)]]
