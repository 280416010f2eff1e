# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: turns
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: Which hosts change together, and which one at a time
description:
  - For role survey. Stopped services start together, running ones change one host at a time, and hosts with nothing to do are omitted.
  - A host without facts (M(plainkube.cluster.host_facts)) is not part of the run.
options:
  _input:
    description: The variables of the run's hosts, elements of C(hostvars).
    type: list
    elements: dict
    required: true
  kind:
    description: Kind of the hosts.
    type: str
    choices: [etcd, control_plane]
    required: true
  total:
    description: Number of hosts of this kind in the inventory.
    type: int
    required: true
  everything:
    description: The hosts that have everything to do, regardless of the survey.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
turns: "{{ groups.etcd | map('extract', hostvars) | plainkube.cluster.turns('etcd', total=3) }}"
"""

RETURN = r"""
_value:
  description: C(first), the names of the hosts that change together, and C(then), of those that follow one at a time.
  type: dict
"""

from ansible_collections.plainkube.cluster.plugins.module_utils import _turns

KINDS = {"etcd": _turns.etcd, "control_plane": _turns.control_planes}


def turns(hosts, kind: str, total: int, everything=()) -> dict[str, list[str]]:
    known = []
    for variables in hosts:
        facts = variables.get("ansible_facts", {}).get("plainkube")
        if not facts:
            continue
        name, survey = variables["inventory_hostname"], variables.get("__survey_result", {})
        to_do = None if name in everything else survey.get("to_do")
        known.append(_turns.Host(name, to_do, survey.get("answers", {}), facts.get("etcd_state", "")))
    return KINDS[kind](known, total)._asdict()


class FilterModule:
    def filters(self):
        return {"turns": turns}
