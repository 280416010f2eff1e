# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: template
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: Render a role's template
description:
  - Like P(ansible.builtin.template#lookup), for the roles of this collection. The built-in lookup copies all variables of the host for each file,
    including those of a run with 500 hosts, which was an eighth of the control node's work.
options:
  _terms:
    description: Templates as C(ROLE/FILE), which is C(roles/ROLE/templates/FILE) of this collection, regardless of the task's location.
    type: list
    elements: str
    required: true
  template_vars:
    description: Variables for these files, in addition to those of the host.
    type: dict
    default: {}
"""

EXAMPLES = r"""
unit: "{{ lookup('plainkube.cluster.template', 'etcd/etcd.service.j2') }}"
"""

RETURN = r"""
_raw:
  description: The rendered templates.
  type: list
  elements: str
"""

from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _roles


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        templar = self._templar.copy_with_new_env(available_variables={**variables, **self.get_option("template_vars")})
        # Jinja processes escape sequences in literals, as in any template file. By default, Ansible keeps backslashes, which is right
        # for expressions in YAML.
        return [templar.template(self._source(term), escape_backslashes=False) for term in terms]

    def _source(self, term):
        path = _roles.file(term, "templates")
        return trust_as_template(self._loader.get_text_file_contents(str(path)))
