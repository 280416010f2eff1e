# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: reset_problems
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: Problems with the selection of hosts to reset
description:
  - For role reset. Ansible itself only warns about an unknown name in C(--limit), and continues with the other hosts.
options:
  _input:
    description: The hosts in C(reset_hosts).
    type: list
    elements: str
    required: true
  hosts:
    description: The hosts of the cluster.
    type: list
    elements: str
    required: true
  groups:
    description: Ansible's variable C(groups).
    type: dict
    required: true
  limit:
    description: Ansible's variable C(ansible_limit), empty without C(--limit).
    type: str
    default: ""
  play_hosts:
    description: The hosts in C(--limit).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
troubles: "{{ ['n9'] | plainkube.cluster.reset_problems(hosts=['k1', 'n1'], groups=groups, play_hosts=ansible_play_hosts_all) }}"
"""

RETURN = r"""
_value:
  description: The problems, as sentences; empty if there are none.
  type: list
  elements: str
"""

from ansible.inventory.manager import split_host_pattern
from ansible_collections.plainkube.cluster.plugins.module_utils.removal import _reset


def reset_problems(named, hosts, groups, play_hosts, limit="") -> list[str]:
    known = [*groups, *groups["all"]]
    limited = [host for host in hosts if host in play_hosts] if limit else None
    return _reset.host_problems(hosts, named, limited, split_host_pattern(limit) if limit else [], known)


class FilterModule:
    def filters(self):
        return {"reset_problems": reset_problems}
