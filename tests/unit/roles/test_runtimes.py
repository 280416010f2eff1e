# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""When a node changes its runtime, and containerd's configuration."""

from __future__ import annotations

import pytest
import tomllib
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles

PACKAGED = {"cluster_containerd_version": "", "cluster_cni_plugins_version": ""}
RUNS = {"runtime": "containerd", "pod_bridge": "cni0"}


@pytest.fixture
def template(facts):
    def template(text, others, **more):
        more = {
            "__cluster_is_node": True,
            "__cluster_is_control_plane": False,
            "__cluster_has_docker": False,
            "__cluster_architecture": "amd64",
            "__cluster_facts": {**facts, **others},
            "cluster_runtime": "containerd",
            **more,
        }
        return Templar(DataLoader(), variables={**_roles.variables(), **more}).template(trust_as_template(text))

    return template


@pytest.mark.parametrize(
    ("found", "more", "changes"),
    [
        ({}, {}, False),
        ({**RUNS, "runtime_version": "2.2.9"}, {}, False),
        ({**RUNS, "runtime_version": "2.1.0"}, {}, False),
        ({**RUNS, "runtime_version": "1.7.24"}, {}, True),
        ({**RUNS, "runtime_version": "2.2.9"}, {"cluster_containerd_version": "3.0.0"}, True),
        # The distribution's, and its version, if it is installed.
        ({**RUNS, "runtime_version": "1.7.24", "containerd": "1.7.24"}, PACKAGED, False),
        ({**RUNS, "runtime_version": "2.2.9", "containerd": "1.7.24"}, PACKAGED, True),
        ({**RUNS, "runtime_version": "2.2.9", "containerd": "2.1.5"}, PACKAGED, False),
        ({**RUNS, "runtime_version": "2.2.9"}, PACKAGED, True),
        ({**RUNS, "runtime_version": "2.2.9"}, {"cluster_runtime": "docker"}, True),
        (
            {"runtime": "docker", "pod_bridge": "docker0"},
            {"cluster_runtime": "docker", "__cluster_has_docker": True},
            False,
        ),
        ({**RUNS, "runtime_version": "2.2.9", "runtime_change": True}, {}, True),
        # Not running yet.
        ({**RUNS, "runtime_version": ""}, {}, False),
        ({**RUNS, "runtime_version": "1.7.24"}, {"__cluster_is_node": False}, False),
    ],
)
def test_a_node_changes_its_runtime(template, found, more, changes):
    assert template("{{ __cluster_changes_runtime | bool }}", found, **more) is changes


@pytest.fixture
def configuration(template):
    text = "{{ lookup('plainkube.cluster.file', 'containerd/plainkube.toml.j2') }}"
    return lambda found, **more: tomllib.loads(template(text, found, **more))


@pytest.mark.parametrize("bounded", [False, True])
def test_the_configuration_of_each_containerd(template, configuration, bounded):
    """The same settings, where each version has them."""
    pause = template("{{ __cluster_images.pause }}", {})
    more = {"containerd_runc_path": "/usr/local/sbin/runc"}
    old = configuration({"bounded": bounded}, **more, **PACKAGED)
    cri = old["plugins"]["io.containerd.grpc.v1.cri"]
    assert old["version"] == 2
    assert (cri["sandbox_image"], cri["cni"]["bin_dir"]) == (pause, "/usr/lib/cni")
    new = configuration({"bounded": bounded}, **more)
    images, runtime = (new["plugins"][f"io.containerd.cri.v1.{name}"] for name in ("images", "runtime"))
    assert new["version"] == 3
    assert (images["pinned_images"], runtime["cni"]["bin_dirs"]) == ({"sandbox": pause}, ["/opt/cni/bin"])
    assert images["registry"] == cri["registry"] == {"config_path": "/etc/containerd/certs.d"}
    assert runtime["containerd"] == cri["containerd"]
    assert runtime["containerd"]["runtimes"]["runc"]["options"] == {
        "SystemdCgroup": True,
        "BinaryName": "/usr/local/sbin/runc",
    }
    assert runtime["cni"]["conf_dir"] == cri["cni"]["conf_dir"]
    assert runtime.get("restrict_oom_score_adj", False) is cri.get("restrict_oom_score_adj", False) is bounded
    assert "io.containerd.grpc.v1.cri" not in new["plugins"]
