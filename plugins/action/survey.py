# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

from ansible_collections.plainkube.cluster.plugins.plugin_utils import _untrusted


class ActionModule(_untrusted.OnHost):
    """Runs the module, and does not return its arguments with the answer.

    A worker returns a task's arguments with its result, and ansible-playbook holds those of all hosts until the last one is through.
    All steps' options are 170 KB a host there, thirty times the answer, and every later fork pays for the memory they took."""

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        asked, self._task.args = self._task.args, {}
        answer = self._execute_module(module_name="plainkube.cluster.survey", module_args=asked, task_vars=task_vars)
        # ansible-core 2.20 adds it always, later ones on demand.
        answer.pop("invocation", None)
        return {**result, **answer}
