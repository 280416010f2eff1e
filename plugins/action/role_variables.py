# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import typing as t

from ansible import context
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action.group_by import ActionModule as GroupBy
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _proxy
from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _facts
from ansible_collections.plainkube.cluster.plugins.plugin_utils.inputs import (
    _formats,
    _operator_flags,
    _preflight,
    _structured,
)
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _whole_run


class ActionModule(GroupBy):
    """Needs only the host's variables. Uses group_by, because adding a host to groups differs between releases of ansible-core."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        dummy, arguments = self.validate_argument_spec(
            {
                "foreign": {"type": "list", "elements": "str", "default": []},
                "group": {"type": "bool", "default": False},
            }
        )
        partial = _whole_run.tags_problem(self._task.tags, context.CLIARGS)
        if partial:
            return {"changed": False, "failed": True, "msg": partial}
        scope = _roles.Scope(self._templar, task_vars)
        kinds = self._kinds(scope)
        # Variables of a host outside the cluster do not matter to the cluster.
        if kinds == [] and scope.variable("__cluster_hosts"):
            return {"changed": False, "msg": "This host is in no group of the cluster."}
        by_role = _roles.options()
        known = {name for options in by_role.values() for name in options}
        values, failures = self._evaluated(known, task_vars)
        problems = [
            problem
            for role, options in by_role.items()
            for problem in self._wrong(role, options, {name: values[name] for name in options if name in values})
        ]
        problems += _operator_flags.problems(values) + _structured.problems(values) + _proxy.problems(values)
        host = str(task_vars.get("inventory_hostname", ""))
        by_facts = _facts.injected(task_vars.get("ansible_facts", {}), known, by_role)
        problems += [_facts.refusal(host, by_facts)] if by_facts else []
        problems += self._home_problems(values, task_vars)
        # A variable of the wrong type is reported above.
        listed = values.get("preflight_foreign_variables")
        foreign = [*arguments["foreign"], *(map(str, listed) if isinstance(listed, list) else ())]
        problems += _preflight.unknown_variables(task_vars, known, by_role, foreign)
        # A template that fails often depends on another, invalid variable.
        problems = problems or failures
        # All later plays would find no hosts, and the run would succeed.
        if not problems and not kinds and arguments["group"]:
            problems = [self._no_hosts(scope)]
        result = {} if problems or not arguments["group"] else self._grouped(kinds, task_vars)
        message = "\n".join(problems) or "All variables are valid."
        # With a fact cache, facts of an earlier run would be used for hosts that this run does not check.
        forgotten = {"ansible_facts": _facts.facts()} if _facts.NAMES & {*task_vars.get("ansible_facts", {})} else {}
        return {**result, **forgotten, "changed": False, "failed": bool(problems), "msg": message}

    def _home_problems(self, values: dict[str, t.Any], task_vars: dict[str, t.Any]) -> list[str]:
        """Whether the CA keys have a safe place. Next to a playbook of an installed collection, its next installation would delete them."""
        control_planes = task_vars.get("groups", {}).get(values.get("cluster_control_plane_group", "control_plane"), [])
        if not control_planes or "certificates_directory" in values:
            return []
        directory = task_vars["hostvars"][control_planes[0]].get("inventory_dir")
        # If there is none, Ansible returns a text.
        return [_preflight.NO_HOME] if str(directory) in ("None", "") else []

    def _kinds(self, scope: _roles.Scope) -> list[str] | None:
        """The host's roles in the cluster; None if an invalid variable prevents that, which is then reported."""
        try:
            return scope.variable("__cluster_kinds")
        except AnsibleError:
            return None

    def _no_hosts(self, scope: _roles.Scope) -> str:
        names = ("cluster_control_plane_group", "cluster_node_group")
        groups = " nor in ".join(f"{scope.variable(name)} ({name})" for name in names)
        return f"The inventory has no host in the group {groups}: add a control plane."

    def _grouped(self, kinds, task_vars):
        """One group for hosts with the same kinds, which is a child of each kind's group."""
        groups = [f"plainkube_{kind}" for kind in ("hosts", *kinds)]
        self._task.args = {"key": "__".join(groups), "parents": groups}
        return super().run(None, task_vars)

    def _evaluated(self, names: set[str], variables: dict[str, t.Any]) -> tuple[dict[str, t.Any], list[str]]:
        """The values of the variables that are set, and the problems with others."""
        values, failures = {}, []
        for name in sorted(names & variables.keys()):
            try:
                values[name] = self._templar.template(variables[name])
            except AnsibleError as error:
                reason = " ".join(str(error).split()).rstrip(".")
                failures.append(
                    f"{name} cannot be evaluated ({reason}): correct it, or the variables that it refers to."
                )
        return values, failures

    def _wrong(self, role: str, options: dict[str, dict[str, t.Any]], given: dict[str, t.Any]) -> list[str]:
        found = {name: _formats.problems(name, value, options[name]) for name, value in given.items()}
        # Choices, and required keys of elements.
        rest = {name: value for name, value in given.items() if not found[name]}
        errors = ArgumentSpecValidator(options).validate(rest).error_messages
        return [problem for some in found.values() for problem in some] + [
            f"{error.rstrip('.')}: see `ansible-doc -t role plainkube.cluster.{role}`." for error in errors
        ]
