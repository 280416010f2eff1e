# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""YAML that Kubernetes parses correctly."""

from __future__ import annotations

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
    """The value without the subclasses that Ansible has of Python's types."""
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
