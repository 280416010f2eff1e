# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _answers
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _steps
from ansible_collections.plainkube.cluster.plugins.plugin_utils.tables import _plan

display = Display()


class ActionModule(ActionBase):
    """Prints directly, like status_summary. Uses no connection."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        answer = super().run(tmp, task_vars)
        dummy, options = self.validate_argument_spec(
            {
                "cluster": {"type": "str", "required": True},
                "hosts": {"type": "list", "elements": "str", "required": True},
            }
        )
        plans = {host: self._plan(host, task_vars["hostvars"]) for host in options["hosts"]}
        ends = {host: _answers.lost(host, _steps.results(), task_vars) for host in options["hosts"]}
        lost = {host: _answers.problem(end) for host, end in ends.items() if end}
        for line in _plan.page(plans):
            display.display(line)
        verdict = _plan.verdict(options["cluster"], plans, lost)
        display.display(f"\n{verdict}")
        for host, why in lost.items():
            display.display(f"  {host} {why}")
        return {**answer, "changed": False, "msg": verdict}

    def _plan(self, host, hostvars):
        variables = hostvars[host]
        # A host has the results of the roles that ran on it.
        found = [variables[name] for name in _steps.results() if name in variables]
        return [line for result in found for line in _plan.lines(result, host)]
