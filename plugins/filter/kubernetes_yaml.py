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

import re
import typing as t
from collections.abc import Mapping

import yaml

# Written in C, if PyYAML was built with it.
_Base: t.Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class Dumper(_Base):
    """Quotes strings that the dumper's resolvers would read as another type."""


Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^[yYnN]$"), list("yYnN"))
Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0[oO][0-7_]+)$"),
    list("-+.0123456789"),
)


def plain(value):
    """The value with plain Python types instead of Ansible's subclasses."""
    if isinstance(value, Mapping):
        return {plain(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    for kind in (str, bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return value


def kubernetes_yaml(value, sort_keys: bool = True) -> str:
    return yaml.dump(
        plain(value), Dumper=Dumper, allow_unicode=True, default_flow_style=False, indent=4, sort_keys=sort_keys
    )


class FilterModule:
    def filters(self):
        return {"kubernetes_yaml": kubernetes_yaml}
