# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""What a managed host answers, before anything on the control node uses it. A compromised host may answer anything.

Ansible acts on some keys of a result, whichever module returned it: `ansible_facts` becomes variables that override the inventory's,
`add_host` adds hosts to groups. Text reaches the terminal as it is, escape sequences included."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible import constants as C
from ansible.plugins.action import ActionBase, normal

# The keys that Ansible itself acts on (strategy, executor, task result).
_ACTED_ON = ("add_host", "add_group", "ansible_facts", "ansible_stats", "ansible_included_var_files")
# C0 and C1 controls but line feed and tab, line and paragraph separators, and the characters that turn the direction of text.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text with an escape, such as \\x1b, in the place of each control character."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def cleaned(value: t.Any) -> t.Any:
    """The value with printable text only, at every depth. What has no control character stays the very same object."""
    if isinstance(value, str):
        return printable(value) if _CONTROL.search(value) else value
    if isinstance(value, dict):
        return {cleaned(key): cleaned(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(cleaned(one) for one in value)
    # Warnings and errors of a module are objects of Ansible's own.
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
        return dataclasses.replace(value, **{name: cleaned(one) for name, one in parts.items()})
    return value


def answer(result: dict[str, t.Any]) -> dict[str, t.Any]:
    """A module's result without what Ansible would act on."""
    return {key: cleaned(value) for key, value in result.items() if key not in _ACTED_ON}


class OnHost(ActionBase):
    """Runs modules on a host. Nothing that the host answers sets a variable, adds a host or controls the terminal.

    Nor is there a warning that another Python could be found later, where nobody has said which one to take: what Ansible finds is a fact, and
    nobody looks again in that run. A variable would not do: in a role it would go before the user's ansible.cfg, and ansible-core takes no
    template for this one."""

    def _execute_module(self, *args: t.Any, task_vars: t.Any = None, **options: t.Any) -> dict[str, t.Any]:
        variables = {} if task_vars is None else task_vars
        if self._task.delegate_to:
            variables = variables.get("ansible_delegated_vars", {}).get(self._task.delegate_to, {})
        if C.config.get_config_value("INTERPRETER_PYTHON", variables=variables) == "auto":
            variables["ansible_python_interpreter"] = "auto_silent"
        result = answer(super()._execute_module(*args, task_vars=task_vars, **options))
        # Ansible found it by itself.
        if self._discovered_interpreter_key:
            result["ansible_facts"] = {self._discovered_interpreter_key: self._discovered_interpreter}
        return result


class HostModule(OnHost, normal.ActionModule):
    """The module of the task, as Ansible runs any that has no action plugin."""
