# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""Suppresses the warning about the Python interpreter that Ansible discovers on a host."""

from __future__ import annotations

import typing as t

from ansible import constants as C
from ansible.plugins.action import ActionBase, normal


class FindsPython(ActionBase):
    """Runs its module without the warning that another Python could be found later, where nobody has said which one to take.

    For the modules that playbooks run first on a host: what is found is a fact, and nobody looks again in that run. A variable would not do:
    in a role it would go before the user's ansible.cfg, and ansible-core takes no template for this one."""

    def _execute_module(self, *args: t.Any, task_vars: t.Any = None, **options: t.Any) -> dict[str, t.Any]:
        variables = {} if task_vars is None else task_vars
        if self._task.delegate_to:
            variables = variables.get("ansible_delegated_vars", {}).get(self._task.delegate_to, {})
        if C.config.get_config_value("INTERPRETER_PYTHON", variables=variables) == "auto":
            variables["ansible_python_interpreter"] = "auto_silent"
        return super()._execute_module(*args, task_vars=task_vars, **options)


class JustModule(FindsPython, normal.ActionModule):
    """The module of the task, as Ansible runs any that has no action plugin."""
