# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: role_options
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: The options that argument specs of roles describe
description:
  - Merges the options of all entry points of all roles, so that one task can check the variables of all of them.
  - Options are never required together here, since no host uses all roles.
options:
  _input:
    description: Texts of C(meta/argument_specs.yml) files.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
options: "{{ query('ansible.builtin.file', 'roles/node/meta/argument_specs.yml') | plainkube.cluster.role_options }}"
"""

RETURN = r"""
_value:
  description: Option name to what is known of it, as M(ansible.builtin.validate_argument_spec) takes it.
  type: dict
"""

import yaml

# Every host evaluates this: the C parser takes 1 ms a file, the other one 10.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def role_options(texts: list[str]) -> dict[str, dict]:
    specs = [yaml.load(str(text), Loader=_LOADER)["argument_specs"] for text in texts]
    options = [entry.get("options", {}) for spec in specs for entry in spec.values()]
    return {name: {**option, "required": False} for entry in options for name, option in entry.items()}


class FilterModule:
    def filters(self):
        return {"role_options": role_options}
