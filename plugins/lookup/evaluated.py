# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: evaluated
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: The value of a variable of any role
description:
  - Like P(ansible.builtin.vars#lookup), for the roles of this collection. Defaults and variables of all its roles are in scope, whether the play has
    imported them or not.
options:
  _terms:
    description: Names of variables.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
directory: "{{ lookup('plainkube.cluster.evaluated', 'certificates_directory') }}"
"""

RETURN = r"""
_raw:
  description: The values.
  type: list
  elements: raw
"""

from ansible.errors import AnsibleUndefinedVariable
from ansible.plugins.lookup import LookupBase
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        scope = _roles.Scope(self._templar, variables)
        missing = [name for name in terms if name not in scope]
        if missing:
            raise AnsibleUndefinedVariable(f"there is no variable {missing[0]}: define it, or correct its name")
        return [scope.variable(name) for name in terms]
