# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Flags that operators give to components, as a program gets them, and what it says of them. No I/O.

What is refused before, the control node knows: plugin_utils/inputs/_operator_flags.py. Hosts compile no more than they need.
"""

from __future__ import annotations

import re
import typing as t

# Process -> the variable with the operator's flags for it.
VARIABLES = {
    "kube-apiserver": "control_plane_kube_apiserver_flags",
    "kube-controller-manager": "control_plane_kube_controller_manager_flags",
    "kube-scheduler": "control_plane_kube_scheduler_flags",
    "etcd": "etcd_etcd_flags",
    "flanneld": "flannel_flanneld_flags",
    "kubelet": "node_kubelet_flags",
    "kube-proxy": "node_kube_proxy_flags",
    "cri-dockerd": "node_cri_dockerd_flags",
}
# Given twice, a flag of these replaces its first value, so that several values are one with commas. All others collect values.
_COMMAS = ("etcd",)

# What Cobra and Go's own package flag say of a command line.
_COMPLAINT = r"(unknown (shorthand )?flag: [^\n\"]+|flag provided but not defined: [^\n]+|invalid (argument|value|boolean value) [^\n]+)"


def texts(value: t.Any) -> list[str]:
    """The values of a flag as the program is to read them."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return [str(one).lower() if isinstance(one, bool) else str(one) for one in values]


def arguments(component: str, flags: t.Mapping[str, t.Any]) -> list[tuple[str, str]]:
    """(name, argument) of all flags, sorted by name. A list gives the flag several times, or none where it is empty."""
    found = []
    for name in sorted(flags):
        values = texts(flags[name])
        if component in _COMMAS and values:
            values = [",".join(values)]
        found += [(name, f"--{name}={value}") for value in values]
    return found


def complaint(code: int, output: str) -> str:
    """What a program that was asked for --help, with flags before it, has against them; empty where it took them.

    flanneld ends well in any case, so what it says counts."""
    found = re.search(_COMPLAINT, output)
    if found:
        return found.group().strip().rstrip('".').replace('\\"', "'")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return (lines[-1] if lines else f"it ends with code {code}") if code else ""
