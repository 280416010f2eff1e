# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: file
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: Read a role's file
description:
  - Like P(ansible.builtin.file#lookup), for the roles of this collection. The built-in lookup searches the directories of the role that is running, which
    is a different one when module M(plainkube.cluster.survey) evaluates the variables of all roles. It also removes whitespace at the end.
options:
  _terms:
    description: Files as C(ROLE/FILE), which is C(roles/ROLE/files/FILE) of this collection, regardless of the task's location.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
content: "{{ lookup('plainkube.cluster.file', 'etcd/etcd-stop.sh') }}"
"""

RETURN = r"""
_raw:
  description: The unchanged content of the files; templates in them are not evaluated.
  type: list
  elements: str
"""

from ansible.plugins.lookup import LookupBase
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _roles


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        return [_roles.file(term, "files").read_text(encoding="utf-8") for term in terms]
