# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: authorization_files
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: The API server's configuration files for authorization webhooks
description:
  - For role control_plane. Returns an AuthorizationConfiguration with the Node authorizer, the webhooks before RBAC, RBAC, and
    the other webhooks, in this order; and the kubeconfig of each webhook, as a secret.
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
  description: Files for O(plainkube.cluster.component#module:components[].files); none without webhooks.
  type: list
  elements: dict
"""

from ansible_collections.plainkube.cluster.plugins.plugin_utils.inputs import _structured


class FilterModule:
    def filters(self):
        return {"authorization_files": _structured.authorization_files}
