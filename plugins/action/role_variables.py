# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pathlib
import typing as t

import yaml
from ansible import context
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action.group_by import ActionModule as GroupBy
from ansible_collections.plainkube.cluster.plugins.module_utils import _preflight, _proxy
from ansible_collections.plainkube.cluster.plugins.plugin_utils import _facts, _whole_run

ROLES = pathlib.Path(__file__).parents[2] / "roles"

# Every host evaluates this: the C parser takes 1 ms a file, the other one 10.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Ansible would take a text for these and split it, but only here: the roles would see the text.
_SHAPES = {"list": "[a, b]", "dict": "{a: b}"}


def _as_text(name: str, value: str, shape: str) -> str:
    # The values of a dict may be secrets.
    shown = f" {value!r}" if shape == "list" else ""
    return f"{name} is the text{shown}, where a {shape} is needed: write it as YAML, {_SHAPES[shape]}, and as JSON behind -e."


def read_options() -> dict[str, dict[str, dict[str, t.Any]]]:
    """Role -> its options, those of all entry points together; none of them required."""
    found = {}
    for path in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        entries = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)["argument_specs"].values()
        options = {name: option for entry in entries for name, option in entry.get("options", {}).items()}
        found[path.parent.parent.name] = {name: {**option, "required": False} for name, option in options.items()}
    return found


class ActionModule(GroupBy):
    """Needs nothing of the host but its variables. How a host is put into groups differs between releases of ansible-core, so group_by does it."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        dummy, arguments = self.validate_argument_spec(
            {
                "foreign": {"type": "list", "elements": "str", "default": []},
                "groups": {"type": "list", "elements": "str", "default": []},
            }
        )
        partial = _whole_run.tags_trouble(self._task.tags, context.CLIARGS)
        if partial:
            return {"changed": False, "failed": True, "msg": partial}
        by_role = read_options()
        known = {name for options in by_role.values() for name in options}
        troubles = [trouble for role, some in by_role.items() for trouble in self._wrong(role, some, task_vars)]
        troubles += _preflight.unknown_variables(task_vars, known, by_role, arguments["foreign"])
        troubles += _proxy.troubles(
            {name: self._templar.template(task_vars[name]) for name in _proxy.SETTINGS if name in task_vars}
        )
        result = {} if troubles else self._grouped(arguments["groups"], task_vars)
        message = "\n".join(troubles) or "All variables are as they should be."
        # With a fact cache, what an earlier run found would stand in for what this one does not look at.
        forgotten = {"ansible_facts": _facts.facts()} if _facts.NAMES & {*task_vars.get("ansible_facts", {})} else {}
        return {**result, **forgotten, "changed": False, "failed": bool(troubles), "msg": message}

    def _grouped(self, groups, task_vars):
        """One group for hosts that are in the same groups, which is in each of these."""
        if not groups:
            return {}
        self._task.args = {"key": "__".join(groups), "parents": groups}
        return super().run(None, task_vars)

    def _wrong(self, role: str, options: dict[str, dict[str, t.Any]], variables: dict[str, t.Any]) -> list[str]:
        given = {name: self._templar.template(variables[name]) for name in options if name in variables}
        texts = {name for name, value in given.items() if isinstance(value, str) and options[name]["type"] in _SHAPES}
        rest = {name: value for name, value in given.items() if name not in texts}
        errors = ArgumentSpecValidator(options).validate(rest).error_messages
        return [_as_text(name, given[name], options[name]["type"]) for name in sorted(texts)] + [
            f"{error.rstrip('.')}: take what `ansible-doc -t role plainkube.cluster.{role}` says." for error in errors
        ]
