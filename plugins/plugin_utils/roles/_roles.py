# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The variables of all roles. A play has only those of the roles that it imports; comparing a host with the desired state needs all of them."""

from __future__ import annotations

import functools
import pathlib
import typing as t

import yaml
from ansible.errors import AnsibleLookupError
from ansible.template import trust_as_template

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
