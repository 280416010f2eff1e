# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase


def secret_texts(value: t.Any) -> t.Iterator[str]:
    """What stands under the name secret_content, however deep: in the survey, options of modules have no spec that says so."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "secret_content" and isinstance(inner, str):
                yield inner
            else:
                yield from secret_texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from secret_texts(inner)


class ActionModule(ActionBase):
    """Runs the module, tells it which texts are secret so that no log shows them, and keeps what it was asked from going back with the answer.

    A worker returns a task's arguments with its result, and ansible-playbook holds those of all hosts until the last one is through.
    All steps' options are 170 KB a host there, thirty times the answer, and every later fork pays for the memory they took."""

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        asked, self._task.args = self._task.args, {}
        secrets = list(secret_texts(asked.get("steps", [])))
        asked = {**asked, "secrets": secrets} if secrets else asked
        answer = self._execute_module(module_name="plainkube.cluster.survey", module_args=asked, task_vars=task_vars)
        # ansible-core 2.20 adds it always, later ones on demand.
        answer.pop("invocation", None)
        return {**result, **answer}
