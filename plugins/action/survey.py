# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import importlib
import secrets
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions
from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _answers, _untrusted
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _rollout_order, _steps

_MODULES = "ansible_collections.plainkube.cluster.plugins.module_utils.modules"


class ActionModule(_untrusted.OnHost):
    """Surveys a host for the steps of site.yml, which the roles' tasks declare, and returns those that it needs.

    A worker returns a task's arguments with its result, and ansible-playbook keeps those of all hosts until the last one is done. These are 100 KB per
    host, so they are not part of the result."""

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        scope = _roles.Scope(self._templar, task_vars, share=True)
        holds = scope.hold({step.name: step.when for step in _steps.steps()})
        steps = [step for step in _steps.steps() if holds[step.name]]
        # On a bare host, there is nothing to compare.
        told = self._ask(steps, scope, task_vars) if scope.variable("__cluster_facts")["installed"] else {"answers": {}}
        if told.get("failed") or told.get("unreachable"):
            return {**result, **told}
        names = [step.name for step in steps]
        answers = {name: answer for name, answer in told["answers"].items() if name in names}
        found = [name for name in names if name not in answers or _actions.has_work(answers[name])]
        return {
            **result,
            "changed": False,
            "answers": answers,
            "steps": names,
            "to_do": [name for name in _steps.closure(found) if name in names],
            "running": [name for name in names if _rollout_order.may_run(name, answers)],
            "waiting": [name for name in names if _actions.is_pending(answers.get(name, {}))],
            # This random number identifies later results of the same pass.
            _steps.PASS: secrets.token_hex(8),
        }

    def _ask(self, steps: list[_steps.Task], scope: _roles.Scope, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """The results of the steps' modules in check mode on the host."""
        asked = [{"name": step.name, "module": step.module, "options": self._options(step, scope)} for step in steps]
        told = self._execute_module(
            module_name="plainkube.cluster.survey", module_args={"steps": asked}, task_vars=task_vars
        )
        wrong = _answers.mismatch(told.get("answers"), _answers.Each(dict))
        if told.get("failed") or told.get("unreachable") or not wrong:
            return told
        part = wrong.lstrip(".") or "answer"
        host = task_vars["inventory_hostname"]
        return {
            "failed": True,
            "msg": f"Host {host} answered module plainkube.cluster.survey with no valid {part}: inspect that host.",
        }

    def _options(self, step: _steps.Task, scope: _roles.Scope) -> dict[str, t.Any]:
        """A step's options, without those that only affect execution: a survey does not wait or download.

        Check mode ignores the option `wait`, and its evaluation takes a millisecond. So its default is used, if it has one."""
        code = importlib.import_module(f"{_MODULES}.{step.module}")
        fixed = getattr(code, "SURVEY", {})
        unused = {*fixed, *(name for name in ("wait",) if "default" in code.SPEC.get(name, {}))}
        return {**scope.evaluate({key: value for key, value in step.options.items() if key not in unused}), **fixed}
