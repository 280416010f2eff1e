# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: kubernetes_yaml
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: YAML that Kubernetes parses correctly
description:
  - Like P(ansible.builtin.to_nice_yaml#filter), but quotes strings that Kubernetes' parser (sigs.k8s.io/yaml), unlike Python's, would read as a boolean
    or number, such as V(n), V(1e3) and V(0o17).
options:
  _input:
    description: The value.
    type: raw
    required: true
  sort_keys:
    description: Whether to sort the keys of mappings.
    type: bool
    default: true
"""

EXAMPLES = r"""
config: "{{ {'hostnameOverride': inventory_hostname} | plainkube.cluster.kubernetes_yaml }}"
"""

RETURN = r"""
_value:
  description: The text.
  type: str
"""

from ansible_collections.plainkube.cluster.plugins.plugin_utils.inputs import _yaml


class FilterModule:
    def filters(self):
        return {"kubernetes_yaml": _yaml.kubernetes_yaml}
