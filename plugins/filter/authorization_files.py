# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: authorization_files
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: The files by which the API server asks webhooks who may do what
description:
  - For role control_plane. An AuthorizationConfiguration in which the Node authorizer comes first, then the webhooks that decide before RBAC, RBAC, and
    the others; and the kubeconfig of each webhook, as a secret.
options:
  _input:
    description: The value of C(control_plane_authorization_webhooks).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
files: "{{ control_plane_authorization_webhooks | plainkube.cluster.authorization_files }}"
"""

RETURN = r"""
_value:
  description: Files, as O(plainkube.cluster.component#module:components[].files) takes them; none without webhooks.
  type: list
  elements: dict
"""

from ansible_collections.plainkube.cluster.plugins.plugin_utils import _structured


class FilterModule:
    def filters(self):
        return {"authorization_files": _structured.authorization_files}
