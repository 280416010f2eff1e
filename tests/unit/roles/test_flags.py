# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The flags in the units' templates, and whether operators may set them."""

from __future__ import annotations

import pathlib
import re

import jinja2
import pytest
import yaml
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import component as component_module
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
    "kube-controller-manager": {"terminated-pod-gc-threshold", "kube-api-qps", "kube-api-burst"},
    "etcd": {"auto-compaction-mode", "auto-compaction-retention", "quota-backend-bytes"},
}


def source(component):
    return (ROLES / UNITS[component] / "templates" / f"{component}.service.j2").read_text(encoding="utf-8")


def command(component):
    """The command line of a unit, with the template's own lines."""
    return re.search(r"^ExecStart=((?:.*\\\n|\{%.*\n)*.*\n)", source(component), re.MULTILINE)[1]


def definitions(value):
    """The components in the files of a role."""
    if isinstance(value, dict) and {"name", "unit", "binary"} <= value.keys():
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from definitions(one)


@pytest.mark.parametrize("component", UNITS)
def test_the_module_gets_the_operators_flags_for_each_unit_that_may_have_some(component):
    paths = [path for place in ("tasks/run.yml", "vars/main.yml") for path in ROLES.glob(f"{UNITS[component]}/{place}")]
    found = [one for path in paths for one in definitions(yaml.safe_load(path.read_text(encoding="utf-8")))]
    assert [one["flags"] for one in found if one["name"] == component] == [f"{{{{ {_flags.VARIABLES[component]} }}}}"]


@pytest.mark.parametrize("component", UNITS)
def test_a_unit_has_one_flag_a_line(component):
    program, *lines = [line for line in command(component).splitlines() if not line.startswith("{%")]
    assert program == f"{{{{ __cluster_binaries }}}}/{component} \\"
    assert all(re.fullmatch(r"  (--[a-z-]+=.*|\{\{ labels \}\}) \\", line) for line in lines[:-1])
    assert re.fullmatch(r"  --[a-z-]+=.*[^\\]", lines[-1])


@pytest.mark.parametrize("component", UNITS)
def test_of_each_flag_of_ours_it_is_decided_whether_the_operator_may_set_it(component):
    ours = set(re.findall(r"^  --([a-z-]+)=", command(component), re.MULTILINE))
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
    for setting in ("TLS_ECDHE_", "VersionTLS12", "TLS1.2"):
        assert [path.name for path in files if setting in path.read_text(encoding="utf-8")] == ["sandbox.yml"]
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
    return environment.from_string(source("kube-scheduler")).render(known)


def test_the_operators_flags_are_in_the_unit():
    flags = {"v": 4, "profiling": False, "vmodule": "a b=50%"}
    unit = component_module.with_flags("kube-scheduler", render(), flags)
    assert '  --profiling=false \\\n  --v=4 \\\n  "--vmodule=a b=50%%"\nRestart=always\n' in unit
    assert unit.count("--profiling") == 1
