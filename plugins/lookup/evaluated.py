# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: evaluated
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: The value of a variable, with the variables that it often refers to evaluated once
description:
  - Like P(ansible.builtin.vars#lookup), for the roles of this collection. Ansible compiles a template every time that another one refers to it, which
    was a third of the control node's work for module M(plainkube.cluster.survey).
options:
  _terms:
    description: Names of variables.
    type: list
    elements: str
    required: true
  shared:
    description:
      - Names of the variables to evaluate once, in this order. Each may refer to those before it.
      - One that cannot be evaluated, or is not defined, stays as it is, so that whatever refers to it reports why.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
steps: "{{ lookup('plainkube.cluster.evaluated', '__survey_steps', shared=['__cluster_facts']) }}"
"""

RETURN = r"""
_raw:
  description: The values.
  type: list
  elements: raw
"""

from ansible.errors import AnsibleError, AnsibleUndefinedVariable
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        known = {**variables}
        templar = self._templar.copy_with_new_env(available_variables=known)
        for name in self.get_option("shared"):
            try:
                known[name] = templar.template(known[name])
            except (KeyError, AnsibleError):
                continue
        missing = [name for name in terms if name not in known]
        if missing:
            raise AnsibleUndefinedVariable(f"there is no variable {missing[0]}: define it, or correct its name")
        return [templar.template(known[name]) for name in terms]
