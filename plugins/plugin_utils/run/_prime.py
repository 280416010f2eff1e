# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""Preloads in ansible-playbook what every worker needs. Ansible forks a worker for each task of each host, and each would load it again."""

from __future__ import annotations

from ansible.template import Templar, trust_as_template
from ansible_collections.plainkube.cluster.plugins.plugin_utils.inputs import _options
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _steps

# The first use of a filter or test loads all of them, which took a sixth of the control node's CPU time. Evaluates to an empty string.
_PLUGINS = trust_as_template(
    "{{ ['' | regex_replace('x', ''), '' if '2' is version('1', '>') else '', '' if '10.0.0.0/8' | plainkube.cluster.nth_address(1) else '',"
    " query('plainkube.cluster.template') | join, query('plainkube.cluster.evaluated') | join] | join }}"
)


def workers(templar: Templar) -> None:
    templar.template(_PLUGINS)
    _options.read()
    _steps.steps()
