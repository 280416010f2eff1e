# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.utils.display import Display
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _host
from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _connected, _untrusted
from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts._facts import checked, facts
from ansible_collections.plainkube.cluster.plugins.plugin_utils.inputs import _preflight
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles

display = Display()

# How often to reread a clock if the connection is too slow to determine whether the clock is wrong.
_READINGS = 3


def _confirmed(connected: t.Sequence[str], found: t.Mapping[str, t.Any]) -> str:
    """The first of the addresses that the host has. If it has none of them, role preflight refuses it with the first one."""
    there = {one["address"] for one in found["addresses"]}
    return next((address for address in connected if address in there), next(iter(connected), ""))


class ActionModule(_untrusted.Begins):
    """Runs the module with role docker's variables, and adds what only the control node knows: the host's clock offset, its problems, and why it is
    unreachable."""

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = {**self._task.args}
        needs, address = arguments.pop("needs", None), arguments.pop("address", "")
        if address:
            return {**result, "changed": False, "ansible_facts": facts()}
        # Of a delegated task, these would be another host's.
        if "docker" not in arguments and not self._task.delegate_to:
            arguments["docker"] = _roles.Scope(self._templar, task_vars).variable("__cluster_docker")
        connected = _connected.addresses(self._connection, self._who(task_vars)[1])
        try:
            answer = self._inspect(arguments, needs, task_vars, connected)
        except AnsibleConnectionFailure as error:
            answer = self._unreached(str(error), task_vars, connected)
        return {**result, **answer}

    def _inspect(
        self, arguments: dict[str, t.Any], needs: t.Any, task_vars: dict[str, t.Any], connected: t.Sequence[str]
    ) -> dict[str, t.Any]:
        before = time.time()
        answer = self._execute_module(
            module_name="plainkube.cluster.host_facts", module_args=arguments, task_vars=task_vars
        )
        after = time.time()
        if answer.get("failed"):
            # Includes the module's own error, which ansible-core does not put in `msg` after an exception. Nothing in it
            # is a fact; Ansible adds its own facts, such as the interpreter that it found.
            return {**answer, "ansible_facts": facts()}
        found, mismatch = checked(self._who(task_vars)[0], answer.pop("found", None))
        told_time = answer.pop("time", before)
        if mismatch or not isinstance(told_time, float):
            message = mismatch or checked(self._who(task_vars)[0], None)[1]
            return {**answer, "failed": True, "msg": message, "ansible_facts": facts()}
        found["clock_offset"] = round(self._offset(_host.clock_interval(before, told_time, after)), 1)
        answer["ansible_facts"] = {
            **answer.get("ansible_facts", {}),
            **facts(found, address=_confirmed(connected, found)),
        }
        problems = []
        if needs:
            given = needs.get("address", "")
            address = {"address": given or answer["ansible_facts"]["plainkube_address"], "given": bool(given)}
            host, components = self._who(task_vars)[0], arguments.get("components", [])
            needs = {**needs, "address": address, "components": components}
            problems = _preflight.host_problems(found, host, needs)
            for warning in [] if problems else _preflight.host_warnings(found, host, needs):
                display.warning(warning)
        return {**answer, **({"failed": True, "msg": "\n".join(problems)} if problems else {})}

    def _current_run(self) -> t.Any:
        """With needs, role preflight starts to change the host. A host outside --limit, which is only read, does not belong to the run."""
        return None if self._task.delegate_to or not self._task.args.get("needs") else super()._current_run()

    def _unreached(self, error: str, task_vars: dict[str, t.Any], connected: t.Sequence[str]) -> dict[str, t.Any]:
        message = _preflight.unreachable(*self._who(task_vars), error)
        if not self._task.ignore_unreachable:
            return {"unreachable": True, "msg": message}
        # Ansible still ends a run_once or any_errors_fatal task at an unreachable host.
        display.warning(message)
        found = facts(unreached=True, address=connected[0] if len(connected) == 1 else "")
        return {"unreachable": False, "msg": message, "ansible_facts": found}

    def _offset(self, interval: tuple[float, float]) -> float:
        """The minimum offset of the host's clock; reread while the interval contains both acceptable and unacceptable offsets."""
        low, high = interval
        for _reading in range(_READINGS):
            if (
                max(-low, high) <= _preflight.CLOCK_SECONDS
                or abs(_host.least_offset(low, high)) > _preflight.CLOCK_SECONDS
            ):
                break
            again = _host.clock_interval(*self._reading())
            low, high = max(low, again[0]), min(high, again[1])
        return _host.least_offset(low, high)

    def _reading(self) -> tuple[float, float, float]:
        before = time.time()
        answer = self._low_level_execute_command("date +%s.%N", sudoable=False)
        after = time.time()
        try:
            return before, float(answer["stdout"]), after
        except ValueError:
            raise AnsibleActionFail(
                f"`date` did not print the time ({answer['stdout'] or answer['stderr']!r}): inspect that host."
            ) from None

    def _who(self, task_vars: dict[str, t.Any]) -> tuple[str, str]:
        """Name and address of the task's host."""
        host = self._task.delegate_to or task_vars["inventory_hostname"]
        return host, self._play_context.remote_addr or host
