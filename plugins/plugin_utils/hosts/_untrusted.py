# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Sanitizes the answers of managed hosts before the control node uses them. A compromised host may answer anything.

Ansible acts on some keys of a result, whichever module returned it: `ansible_facts` becomes variables that override the inventory's,
`add_host` adds hosts to groups. Text reaches the terminal as it is, escape sequences included."""

from __future__ import annotations

import json
import re
import time
import typing as t

from ansible import constants as C
from ansible.plugins.action import ActionBase, normal
from ansible.utils.display import Display
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _run
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _alone, _steps

display = Display()

# The module that is told which files this run has already replaced, because in check mode they are still the old ones.
_COMPONENT = f"{_steps.COLLECTION}component"
# Seconds between two attempts to lock a host.
_PAUSE = 2
# The keys that Ansible itself acts on (strategy, executor, task result).
_ACTED_ON = ("add_host", "add_group", "ansible_facts", "ansible_stats", "ansible_included_var_files")
# C0 and C1 controls except line feed and tab, line and paragraph separators, and characters that change the direction of text.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# What an honest answer never contains, as text or in JSON's escapes, which only a forged answer uses for ASCII. So most answers need no cleaning.
_SUSPECT = re.compile(
    rf"{_CONTROL.pattern}|\\[bfr]|\\u(?:00[0-9][0-9a-f]|200[ef]|202[89a-e]|206[6-9])|"
    + "|".join(f'"{key}"' for key in _ACTED_ON),
    re.IGNORECASE,
)


def printable(text: str) -> str:
    """The text with an escape, such as \\x1b, in place of each control character."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def cleaned(value: t.Any) -> t.Any:
    """The value with printable text only, and without keys that Ansible would act on, at every depth, since Ansible unwraps some objects."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): cleaned(one) for key, one in value.items() if key not in _ACTED_ON}
    if isinstance(value, list):
        return [cleaned(one) for one in value]
    return value


def answer(stdout: str) -> str:
    """A module's output, without keys that Ansible would act on, and with printable text only.

    Text around the answer, which Ansible would show as a warning, is dropped. If this function finds no answer, Ansible must not find one either:
    it detects the beginning and end differently, so no object is left for it to find."""
    if not _SUSPECT.search(stdout):
        return stdout
    try:
        value, dummy = json.JSONDecoder(strict=False).raw_decode(stdout, stdout.index("{"))
    except ValueError:
        return printable(stdout).replace("{", "\\x7b")
    return json.dumps(cleaned(value))


class OnHost(ActionBase):
    """Runs modules on a host. Nothing that the host answers sets a variable, adds a host or controls the terminal.

    Suppresses the warning that a later run may discover a different Python: what Ansible discovers is a fact, and
    it does not search again in that run. A variable cannot replace this: in a role it would override the user's ansible.cfg, and ansible-core supports no
    template for that variable.

    A step of site.yml (_steps.py) that the host does not need is not sent to it, so that no task needs a condition for that. A step that it
    took in an earlier play keeps that play's result."""

    def _survey(self, task_vars: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
        """The result of the survey on this host, if this task is a step; empty in a play without a survey."""
        return task_vars.get(_steps.SURVEY) or {} if self._is_step() else {}

    def _is_pending(self, name: str, task_vars: t.Mapping[str, t.Any]) -> bool:
        if name in _steps.pending(task_vars, network_changed=False):
            return True
        # Only if necessary: reading the variables of another host takes milliseconds.
        members = (task_vars["hostvars"][host] for host in task_vars["groups"].get("plainkube_etcd", []))
        return name in _steps.pending(task_vars, network_changed=True) and _steps.changed_network(members)

    def _current_run(self) -> _run.Run | None:
        """The run to which the modules of this task belong."""
        return _alone.current()

    def _is_step(self) -> bool:
        return "builds_on" in self._task.vars

    def _configure_module(self, module_name: str, module_args: t.Any, task_vars: t.Any) -> t.Any:
        """Runs a step from the payload of module survey, which has the code of all steps: in each run, Ansible takes 0.1 s to build a module's payload."""
        shared = self._is_step() and module_name == self._task.action
        name = f"{_steps.COLLECTION}survey" if shared else module_name
        return super()._configure_module(module_name=name, module_args=module_args, task_vars=task_vars)

    def _compute_environment_string(self, raw_environment_out: t.Any = None) -> str:
        """Includes the name of the run if it changes hosts: its modules hold the lock of each host (_run.py). For a step, includes its module."""
        environment: dict[str, t.Any] = {}
        super()._compute_environment_string(environment)
        run = self._current_run()
        if run:
            environment[_run.VARIABLE] = json.dumps(run._asdict())
        if self._is_step():
            environment[_run.MODULE] = self._task.action.removeprefix(_steps.COLLECTION)
        if isinstance(raw_environment_out, dict):
            raw_environment_out.clear()
            raw_environment_out.update(environment)
        return self._connection._shell.env_prefix(**environment)

    def _parse_returned_data(self, res: dict[str, t.Any], *arguments: t.Any) -> t.Any:
        shown = {
            **res,
            "stdout": answer(res.get("stdout") or ""),
            "stderr": printable(res.get("stderr") or ""),
        }
        return super()._parse_returned_data(shown, *arguments)

    def _execute_module(self, *args: t.Any, task_vars: t.Any = None, **options: t.Any) -> dict[str, t.Any]:
        variables = {} if task_vars is None else task_vars
        if self._task.delegate_to:
            variables = variables.get("ansible_delegated_vars", {}).get(self._task.delegate_to, {})
        if C.config.get_config_value("INTERPRETER_PYTHON", variables=variables) == "auto":
            variables["ansible_python_interpreter"] = "auto_silent"
        survey = self._survey(task_vars or {})
        if survey:
            name = _steps.name_of(self._task.register)
            if not self._is_pending(name, task_vars):
                return {**_steps.taken(name, task_vars), "changed": False}
        answer = super()._execute_module(*args, task_vars=task_vars, **options)
        return {**answer, _steps.PASS: survey[_steps.PASS]} if survey else answer


class Begins(OnHost):
    """Runs a module that locks the host (_run.py), and waits up to `cluster_lock_wait` for another run."""

    def _execute_module(self, *args: t.Any, task_vars: t.Any = None, **options: t.Any) -> dict[str, t.Any]:
        answer = super()._execute_module(*args, task_vars=task_vars, **options)
        told = False
        # Another run holds the lock, of another user or on another control node.
        while isinstance(answer.get("locked"), str) and _alone.patience() > 0:
            if not told:
                host, other = task_vars["inventory_hostname"], " ".join(answer["locked"].split())
                display.display(
                    f"Waiting up to {_alone.patience():.0f} s for another run that changes host {host}: {other}."
                )
                told = True
            time.sleep(_PAUSE)
            answer = super()._execute_module(*args, task_vars=task_vars, **options)
        return answer


class HostModule(OnHost, normal.ActionModule):
    """The task's module, run the way Ansible runs modules without an action plugin."""

    def run(self, tmp: t.Any = None, task_vars: t.Any = None) -> dict[str, t.Any]:
        if self._task.action == _COMPONENT:
            self._task.args.setdefault("replaced", _steps.replaced(task_vars))
        return super().run(tmp, task_vars)


class HostModuleThatBegins(Begins, normal.ActionModule):
    """The same, for a module that locks the host."""
