# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Operators' component flags as arguments of a program and in its unit, and its complaints about them. No I/O.

The control node has the rules for refused flags, in plugin_utils/inputs/_operator_flags.py, so that hosts compile only what they need.
"""

from __future__ import annotations

import re
import typing as t

# Component -> the variable with the operator's flags for it.
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
# In these programs, a repeated flag replaces its first value, so several values are joined with commas. All others collect values.
_COMMAS = ("etcd",)

# Complaints of Cobra and of Go's own package flag about a command line.
_COMPLAINT = r"(unknown (shorthand )?flag: [^\n\"]+|flag provided but not defined: [^\n]+|invalid (argument|value|boolean value) [^\n]+)"


def normal(name: str) -> str:
    """The flag's name as Kubernetes' programs normalize it."""
    return name.replace("_", "-")


def texts(value: t.Any) -> list[str]:
    """The values of a flag as the program should read them."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return [str(one).lower() if isinstance(one, bool) else str(one) for one in values]


def arguments(component: str, flags: t.Mapping[str, t.Any]) -> list[tuple[str, str]]:
    """(name, argument) of all flags, sorted by name. A list repeats the flag; an empty list omits it."""
    found = []
    for name in sorted(flags):
        values = texts(flags[name])
        if component in _COMMAS and values:
            values = [",".join(values)]
        found += [(name, f"--{name}={value}") for value in values]
    return found


def quoted(argument: str) -> str:
    """An argument, escaped for systemd.service(5): no specifiers, variables or word ends."""
    text = argument.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    if re.search(r"[\s\"'\\]", text):
        return '"' + text.replace('"', '\\"') + '"'
    return text


def complaint(code: int, output: str) -> str:
    """The complaint of a program that ran with flags and --help; empty if it accepted the flags.

    flanneld always exits with 0, so its output counts."""
    found = re.search(_COMPLAINT, output)
    if found:
        return found.group().strip().rstrip('".').replace('\\"', "'")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return (lines[-1] if lines else f"it exits with code {code}") if code else ""
