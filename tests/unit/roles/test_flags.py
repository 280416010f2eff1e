# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The flags in the units' templates, and whether operators may set them."""

from __future__ import annotations

import pathlib
import re

import jinja2
import pytest
from ansible_collections.plainkube.cluster.plugins.plugin_utils.inputs import _operator_flags as _flags
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles

ROLES = pathlib.Path(__file__).parents[3] / "roles"
UNITS = {
    "kube-apiserver": "control_plane",
    "kube-controller-manager": "control_plane",
    "kube-scheduler": "control_plane",
    "etcd": "etcd",
    "flanneld": "flannel",
    "kubelet": "node",
    "kube-proxy": "node",
    "cri-dockerd": "node",
}
# Flags of ours that an operator may well set to anything else; for all others there is a rule in _operator_flags.
OPEN = {
    "kube-apiserver": {
        *("allow-privileged", "audit-log-maxage", "audit-log-maxbackup", "audit-log-maxsize", "request-timeout"),
        *("kubelet-preferred-address-types", "enable-aggregator-routing", "goaway-chance"),
    },
    "kube-controller-manager": {"terminated-pod-gc-threshold"},
    "etcd": {"auto-compaction-mode", "auto-compaction-retention", "quota-backend-bytes"},
}


def source(component):
    return (ROLES / UNITS[component] / "templates" / f"{component}.service.j2").read_text(encoding="utf-8")


def block(component):
    """What stands between {% filter %} and {% endfilter %}."""
    (found,) = re.findall(r"\{% filter [^%]+%\}\n(.*?)\{% endfilter %\}", source(component), re.DOTALL)
    return found


@pytest.mark.parametrize("component", UNITS)
def test_all_flags_of_a_unit_go_through_the_filter(component):
    start = source(component).index("\nExecStart=")
    command = source(component)[start:].split("{% endfilter %}")[0]
    assert re.match(
        r"\nExecStart=\{\{ __cluster_binaries \}\}/[\w-]+ \\\n\{% filter plainkube\.cluster\.flags\(", command
    )
    assert f"flags('{component}'," in command
    assert _flags.VARIABLES[component] in command


@pytest.mark.parametrize("component", UNITS)
def test_of_each_flag_of_ours_it_is_decided_whether_the_operator_may_set_it(component):
    ours = set(re.findall(r"^  --([a-z-]+)=", block(component), re.MULTILINE))
    given = re.search(r"\{% filter .*?flags\('[a-z-]+', \{'([a-z-]+)':", source(component))
    ours |= {given.group(1)} if given else set()
    assert ours
    refused = {name for name in ours if _flags.component_problems(component, {name: "another value"}, ())}
    assert ours - refused == OPEN.get(component, set())
    assert not OPEN.get(component, set()) - ours


def test_the_settings_that_a_flag_must_not_undo_are_written_once():
    files = [
        path
        for kind in ("plugins", "roles")
        for path in (ROLES.parent / kind).rglob("*")
        if path.suffix in (".py", ".yml", ".j2")
    ]
    with_ciphers = [path.name for path in files if "TLS_ECDHE_" in path.read_text(encoding="utf-8")]
    assert with_ciphers == ["sandbox.yml"]
    plugins = _roles.variables()["__control_plane_own_admission_plugins"]
    assert len(plugins) > 2
    for plugin in ["PodSecurity", *plugins]:
        assert _flags.component_problems("kube-apiserver", {"disable-admission-plugins": plugin}, ())


def render(**variables):
    known = {
        "__cluster_binaries": "/usr/local/bin",
        "__cluster_pki": "/etc/kubernetes/pki",
        "__cluster_tls_ciphers": ["A", "B"],
        "__cluster_restart": "Restart=always\n",
        "__cluster_sandbox": "NoNewPrivileges=yes\n",
        **variables,
    }
    environment = jinja2.Environment(trim_blocks=True)
    environment.filters["plainkube.cluster.flags"] = _flags.merged
    return environment.from_string(source("kube-scheduler")).render(known)


def test_the_unit_has_one_flag_a_line():
    unit = render(control_plane_kube_scheduler_flags={})
    lines = unit[unit.index("ExecStart=") : unit.index("Restart=")].splitlines()
    assert lines[0] == "ExecStart=/usr/local/bin/kube-scheduler \\"
    assert lines[1:3] == ["  --bind-address=127.0.0.1 \\", "  --kubeconfig=%d/scheduler.conf \\"]
    assert lines[-1] == "  --profiling=false"
    assert all(line.endswith(" \\") for line in lines[:-1])


def test_the_operators_flags_are_in_the_unit():
    unit = render(control_plane_kube_scheduler_flags={"v": 4, "profiling": False, "vmodule": "a b=50%"})
    assert '  --profiling=false \\\n  --v=4 \\\n  "--vmodule=a b=50%%"\nRestart=always\n' in unit
    assert unit.count("--profiling") == 1
