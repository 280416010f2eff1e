# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The public variables of all roles, from meta/argument_specs.yml."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles


@functools.cache
def read() -> dict[str, dict[str, dict[str, t.Any]]]:
    """Role -> the options of all its entry points, none of them required."""
    found = {}
    for path in sorted(_roles.ROLES.glob("*/meta/argument_specs.yml")):
        entries = _roles.parse(path)["argument_specs"].values()
        options = {name: option for entry in entries for name, option in entry.get("options", {}).items()}
        found[path.parent.parent.name] = {name: {**option, "required": False} for name, option in options.items()}
    return found
