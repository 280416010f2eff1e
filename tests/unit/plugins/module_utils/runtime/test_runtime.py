# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _runtime

CONFLIST = json.dumps({"plugins": [{"type": "bridge", "bridge": "cni0"}, {"type": "portmap"}]})


@pytest.mark.parametrize(
    ("text", "runtime"),
    [
        ("", ""),
        ("containerRuntimeEndpoint: unix:///run/cri-dockerd.sock\n", "docker"),
        ("a: b\ncontainerRuntimeEndpoint: unix:///run/containerd/containerd.sock\nc: d\n", "containerd"),
        ('containerRuntimeEndpoint: "unix:///run/containerd/containerd.sock"\n', "containerd"),
        ("containerRuntimeEndpoint: unix:///run/crio.sock\n", ""),
        ("  containerRuntimeEndpoint: unix:///run/cri-dockerd.sock\n", ""),
    ],
)
def test_the_runtime_of_a_kubelet(text, runtime):
    assert _runtime.of_kubelet(text) == runtime


@pytest.mark.parametrize(
    ("unit", "program"),
    [
        ("", ""),
        (
            "[Service]\nExecStartPre=-/sbin/modprobe overlay\nExecStart=/usr/bin/containerd --config=/x\n",
            "/usr/bin/containerd",
        ),
        ("ExecStart=/usr/local/bin/containerd --config=/x\n", "/usr/local/bin/containerd"),
        ("ExecStart=/usr/bin/containerd\n", "/usr/bin/containerd"),
        ("ExecStart=/usr/bin/other --with=/usr/bin/containerd\n", ""),
        ("# ExecStart=/usr/bin/containerd\n", ""),
    ],
)
def test_the_program_of_containerd(unit, program):
    assert _runtime.containerd_of(unit) == program


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("", 0),
        ("version = 3\n", 3),
        ("# for GPUs\nversion=2 # old\nroot = '/x'\n[plugins]\n", 2),
        ("[plugins.x]\nversion = 4\n", 0),
        ("root = '/x'\n[plugins.x]\nversion = 4\n", 0),
        ("versions = 3\nother_version = 4\n", 0),
    ],
)
def test_the_version_of_a_configuration(text, version):
    assert _runtime.config_version(text) == version


@pytest.mark.parametrize(
    ("runtime", "conflist", "bridge"),
    [
        ("docker", CONFLIST, "docker0"),
        ("containerd", CONFLIST, "cni0"),
        ("containerd", "", ""),
        ("containerd", "{", ""),
        ("containerd", "[]", ""),
        ("", CONFLIST, ""),
    ],
)
def test_the_bridge_of_pods(runtime, conflist, bridge):
    assert _runtime.pod_bridge(runtime, conflist) == bridge
