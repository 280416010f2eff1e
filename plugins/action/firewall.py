# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase
from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _answers, _untrusted

# How long to try to reconnect after the host has restored the previous rules.
_GRACE = 15


class ActionModule(_untrusted.OnHost):
    """Runs the module, and if it loaded rules, confirms them over a new connection."""

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        answer = self._module(task_vars)
        if answer.get("probation"):
            answer = self._confirm(answer, task_vars)
        return {**result, **answer}

    def _module(self, task_vars: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
        arguments = {**self._task.args, **more}
        return self._execute_module(
            module_name="plainkube.cluster.firewall", module_args=arguments, task_vars=task_vars
        )

    def _confirm(self, loaded: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """The loaded rules, if they are still active when a new connection succeeds, or else the reason."""
        end, refusal = time.monotonic() + loaded["probation"] + _GRACE, ""
        while True:
            self._hang_up()
            try:
                kept = self._module(task_vars, confirm=True)
                break
            except AnsibleConnectionFailure as error:
                # It may also be a network problem: any new connection in time confirms the rules.
                refusal = refusal or " ".join(str(error).split()).rstrip(".")
                if time.monotonic() > end:
                    return self._failed(
                        loaded, f"{refusal}, even after {loaded['probation']} s, when they should have been rolled back"
                    )
        if kept.get("failed"):
            why = _answers.reason(kept)
            return self._failed(loaded, f"{refusal}; {why}" if refusal else why)
        return loaded

    def _failed(self, loaded: dict[str, t.Any], why: str) -> dict[str, t.Any]:
        sentence = f"The new firewall rules lock out the control node ({why}): correct firewall_ssh_sources, or the rules in the diff."
        return {**loaded, "changed": False, "actions": [], "failed": True, "msg": sentence}

    def _hang_up(self) -> None:
        """Makes the next task open a new connection: an existing one does not test the new rules."""
        if type(self._connection).reset is not ConnectionBase.reset:
            self._connection.reset()
