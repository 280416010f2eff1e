# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The variables of all roles, as their files declare them, and their values for a host.

A play has only the variables of the roles that it imports; comparing a host with the desired state needs all of them."""

from __future__ import annotations

import contextlib
import functools
import pathlib
import typing as t

import yaml
from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.template import Templar, trust_as_template

ROLES = pathlib.Path(__file__).parents[3] / "roles"
# In this file, each variable refers only to those above it. Many others refer to them, and Ansible compiles a template every time.
SHARED = ROLES / "cluster" / "vars" / "main" / "host.yml"

# The C parser takes 1 ms per file, the Python parser 10 ms.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse(path: pathlib.Path) -> t.Any:
    """The content of a YAML file of this collection."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)


def load(path: pathlib.Path) -> t.Any:
    """The same, with strings that may be templates."""
    return _trusted(parse(path))


def _trusted(value: t.Any) -> t.Any:
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, dict):
        return {key: _trusted(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_trusted(one) for one in value]
    return value


def is_template(term: str) -> bool:
    return term.endswith(".j2")


def file(term: str) -> pathlib.Path:
    """The file or template of a role that ROLE/FILE names."""
    role, dummy, name = term.partition("/")
    kind = "templates" if is_template(term) else "files"
    path = ROLES / role / kind / name
    if not path.is_file():
        raise AnsibleLookupError(f"there is no file roles/{role}/{kind}/{name}: give ROLE/FILE")
    return path


@functools.cache
def options() -> dict[str, dict[str, dict[str, t.Any]]]:
    """The public variables in meta/argument_specs.yml: role -> the options of all its entry points, none of them required."""
    found = {}
    for path in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        entries = parse(path)["argument_specs"].values()
        declared = {name: option for entry in entries for name, option in entry.get("options", {}).items()}
        found[path.parent.parent.name] = {name: {**option, "required": False} for name, option in declared.items()}
    return found


@functools.cache
def variables() -> dict[str, t.Any]:
    """Defaults and variables of all roles, by name. Names are unique, because each begins with the name of its role."""
    found: dict[str, t.Any] = {}
    for place in ("defaults/main.yml", "vars/main.yml", "vars/main/*.yml"):
        for path in sorted(ROLES.glob(f"*/{place}")):
            found.update(load(path) or {})
    return found


@functools.cache
def shared() -> tuple[str, ...]:
    """The variables to evaluate once, in this order."""
    return tuple(load(SHARED))


class Scope:
    """A host's variables, and with lower precedence those of all roles.

    If the play has a role's variable, its value wins: it is the same, or an extra variable or the inventory overrides it."""

    def __init__(self, templar: Templar, host: t.Mapping[str, t.Any], share: bool = False) -> None:
        """With `share`, evaluates the variables that many others refer to once, in advance, which pays off for hundreds of templates."""
        self._known = {**variables(), **host}
        self._templar = templar.copy_with_new_env(available_variables=self._known)
        for name in shared() if share else ():
            # A variable that cannot be evaluated stays a template, so that whatever refers to it reports the reason.
            with contextlib.suppress(AnsibleError):
                self._known[name] = self.variable(name)

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def variable(self, name: str) -> t.Any:
        return self.evaluate(self._known[name])

    def evaluate(self, value: t.Any) -> t.Any:
        """The value of templates at any depth."""
        return self._templar.template(value)

    def hold(self, conditions: t.Mapping[str, t.Sequence[str]]) -> dict[str, bool]:
        """Which lists of conditions are true, by name. All of them form one template, because each template costs a millisecond."""
        entries = (
            f"'{name}': {' and '.join(f'({one})' for one in every) or 'true'}" for name, every in conditions.items()
        )
        return self.evaluate(trust_as_template("{{ {" + ", ".join(entries) + "} }}"))
