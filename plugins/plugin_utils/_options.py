# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The public variables of all roles, from meta/argument_specs.yml."""

from __future__ import annotations

import functools
import pathlib
import typing as t

import yaml

ROLES = pathlib.Path(__file__).parents[2] / "roles"

# Every host evaluates this: the C parser takes 1 ms a file, the other one 10.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@functools.cache
def read() -> dict[str, dict[str, dict[str, t.Any]]]:
    """Role -> its options, those of all entry points together; none of them required."""
    found = {}
    for path in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        entries = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)["argument_specs"].values()
        options = {name: option for entry in entries for name, option in entry.get("options", {}).items()}
        found[path.parent.parent.name] = {name: {**option, "required": False} for name, option in options.items()}
    return found
