# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: template
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: The text of a role's template
description:
  - What P(ansible.builtin.template#lookup) does, for the roles of this collection. That one copies all variables of the host for each file,
    those of a run with 500 hosts too, which was an eighth of the control node's work.
options:
  _terms:
    description: Files in the directory C(templates) of the role, or absolute paths.
    type: list
    elements: str
    required: true
  template_vars:
    description: Variables for these files, beside those of the host.
    type: dict
    default: {}
"""

EXAMPLES = r"""
unit: "{{ lookup('plainkube.cluster.template', 'etcd.service.j2') }}"
"""

RETURN = r"""
_raw:
  description: The texts.
  type: list
  elements: str
"""

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        templar = self._templar.copy_with_new_env(available_variables={**variables, **self.get_option("template_vars")})
        return [templar.template(self._source(term, variables)) for term in terms]

    def _source(self, term, variables):
        path = self.find_file_in_search_path(variables, "templates", term)
        if not path:
            raise AnsibleLookupError(f"there is no template {term}: it has to be in the role's directory templates")
        return trust_as_template(self._loader.get_text_file_contents(path))
