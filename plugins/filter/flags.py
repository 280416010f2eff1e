# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: flags
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: Merge the operator's flags into a component's unit
description:
  - Wraps the lines of a unit's template that contain our own flags, one per line.
  - Removes those that the operator sets, and adds the operator's, sorted by name and quoted according to systemd.service(5) - specifiers
    (C(%)), variables (C($)), backslashes, quotes and spaces reach the program unchanged.
  - Without operator flags, the lines stay unchanged.
positional: _input, component, flags
options:
  _input:
    description: The lines with our own flags, in systemd's syntax.
    type: str
    required: true
  component:
    description: Name of the component. A list becomes one comma-separated value for V(etcd), and repeats the flag for all others.
    type: str
    choices: [kube-apiserver, kube-controller-manager, kube-scheduler, etcd, flanneld, kubelet, kube-proxy, cri-dockerd]
    required: true
  flags:
    description: The operator's flags, a mapping of name (without dashes) to a value or a list of values. An empty list removes the flag.
    type: dict
    required: true
"""

EXAMPLES = r"""
unit: |
  ExecStart=/usr/local/bin/kube-scheduler \
  {% filter plainkube.cluster.flags('kube-scheduler', {'v': 2, 'feature-gates': ['A=true', 'B=false']}) %}
    --bind-address=127.0.0.1 \
    --profiling=false
  {% endfilter %}
"""

RETURN = r"""
_value:
  description: The lines, each except the last with a trailing backslash.
  type: str
"""

import re
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.services._flags import arguments, normal

_OWN = re.compile(r"--([a-z][a-z0-9_-]*)(=|$)")


def quoted(argument: str) -> str:
    """An argument, escaped for systemd.service(5): no specifiers, variables or word ends."""
    text = argument.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    if re.search(r"[\s\"'\\]", text):
        return '"' + text.replace('"', '\\"') + '"'
    return text


def merged(lines: str, component: str, flags: t.Mapping[str, t.Any]) -> str:
    """The unit's lines with the role's flags, one per line, without those that the operator sets, followed by the operator's.

    The role's flags are already in systemd's syntax (%d, ${VARIABLE}). Without flags of the operator, the text does not change."""
    given = {normal(name) for name in flags}
    kept = []
    for line in lines.splitlines():
        text = line.strip().rstrip("\\").strip()
        own = _OWN.match(text.lstrip('"'))
        if text and not (own and normal(own.group(1)) in given):
            kept.append(text)
    kept += [quoted(argument) for dummy, argument in arguments(component, flags)]
    return " \\\n".join(f"  {one}" for one in kept) + "\n"


class FilterModule:
    def filters(self):
        return {"flags": merged}
