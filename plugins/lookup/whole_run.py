# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: whole_run
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: The hosts of a playbook's first play, with a check that ansible-playbook does not skip it
description:
  - For the C(hosts) of the first play of this collection's playbooks, which Ansible evaluates even if it skips all tasks of the play.
  - Refuses C(--start-at-task) and C(--skip-tags always), with which a playbook would skip some or all of its steps and still succeed.
options:
  _terms:
    description: The hosts of the play, as a pattern.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse to start in the middle
  hosts: "{{ lookup('plainkube.cluster.whole_run', 'all') }}"
"""

RETURN = r"""
_raw:
  description: The terms, unchanged.
  type: list
  elements: str
"""

from ansible import context
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _steps, _whole_run

# The first use of a filter or test loads all filters or tests, which was a sixth of the control node's work. Evaluates to an empty text.
_PLUGINS = trust_as_template(
    "{{ ['' | regex_replace('x', ''), '' if '2' is version('1', '>') else '', '' if '10.0.0.0/8' | plainkube.cluster.nth_address(1) else '',"
    " query('plainkube.cluster.file') | join, query('plainkube.cluster.evaluated') | join] | join }}"
)


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        problem = _whole_run.start_problem(context.CLIARGS)
        if problem:
            raise AnsibleLookupError(problem)
        # Ansible evaluates `hosts` in its own process, and forks a worker from it for each task of each host. What all of them need is loaded here, once.
        self._templar.template(_PLUGINS)
        _roles.options()
        _roles.variables()
        _steps.steps()
        return terms
