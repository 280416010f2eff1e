# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: file
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: Read a role's file, or render its template
description:
  - Like P(ansible.builtin.file#lookup) and P(ansible.builtin.template#lookup), for the roles of this collection. The built-in lookups search the
    directories of the role that is running, which is a different one when module M(plainkube.cluster.survey) evaluates the variables of all roles.
  - P(ansible.builtin.file#lookup) also removes whitespace at the end. P(ansible.builtin.template#lookup) copies all variables of the host for each
    file, including those of a run with 500 hosts, which was an eighth of the control node's work.
options:
  _terms:
    description:
      - Files as C(ROLE/FILE), regardless of the task's location.
      - C(ROLE/FILE.j2) is the template C(roles/ROLE/templates/FILE.j2) of this collection. Any other file is C(roles/ROLE/files/FILE) as it is; braces in
        it are no templates.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
unit: "{{ lookup('plainkube.cluster.file', 'etcd/etcd.service.j2') }}"
content: "{{ lookup('plainkube.cluster.file', 'etcd/etcd-stop.sh') }}"
"""

RETURN = r"""
_raw:
  description: The content of the files, and the rendered templates.
  type: list
  elements: str
"""

from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        return [self._content(term, variables) for term in terms]

    def _content(self, term, variables):
        text = self._loader.get_text_file_contents(str(_roles.file(term)))
        if not _roles.is_template(term):
            return text
        templar = self._templar.copy_with_new_env(available_variables=variables)
        # Escape sequences in literals are Jinja's, as in any template file. By default Ansible keeps backslashes as they are, which is right
        # for expressions in YAML.
        return templar.template(trust_as_template(text), escape_backslashes=False)
