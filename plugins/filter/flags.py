# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: flags
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: The flags of a component as its unit has them
description:
  - Goes around the lines of a unit's template that hold our own flags, one a line.
  - Leaves out those that the operator sets, and adds the operator's, sorted by name and quoted as systemd.service(5) wants it - specifiers
    (C(%)), variables (C($)), backslashes, quotes and spaces reach the program as they are.
  - With no flags of the operator, the lines stay as they are.
positional: _input, component, flags
options:
  _input:
    description: The lines with our own flags, in systemd's syntax.
    type: str
    required: true
  component:
    description: Name of the component. A list is one value with commas for V(etcd), and repeats the flag for all others.
    type: str
    choices: [kube-apiserver, kube-controller-manager, kube-scheduler, etcd, flanneld, kubelet, kube-proxy, cri-dockerd]
    required: true
  flags:
    description: The operator's flags, a mapping of name (without dashes) to a value or a list of values. An empty list leaves the flag out.
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
  description: The lines, with a backslash at the end of all but the last.
  type: str
"""

from ansible_collections.plainkube.cluster.plugins.plugin_utils import _operator_flags


class FilterModule:
    def filters(self):
        return {"flags": _operator_flags.merged}
