# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pathlib
import subprocess

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.action import ActionBase
from ansible.template import Templar, trust_as_template
from ansible_collections.plainkube.cluster.plugins.action import survey

ROLE = pathlib.Path(__file__).parents[3] / "roles" / "node"
CLUSTER = ROLE.parent / "cluster"
TAINT = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]


@pytest.mark.parametrize(
    ("control_planes", "nodes", "is_control_plane", "taints"),
    [
        (["k1"], ["k1"], True, []),  # all that there is
        (["k1", "k2", "k3"], ["k1", "k2", "k3"], True, []),
        (["k1"], ["k1", "n1"], True, TAINT),
        (["k1"], ["k1", "n1"], False, []),  # n1
    ],
)
def test_a_control_plane_is_tainted_where_there_are_other_nodes(control_planes, nodes, is_control_plane, taints):
    text = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))["__node_taints"]
    overall = yaml.safe_load((CLUSTER / "vars" / "main" / "topology.yml").read_text(encoding="utf-8"))[
        "__cluster_overall"
    ]
    variables = {
        "__cluster_control_planes": control_planes,
        "__cluster_nodes": nodes,
        "__cluster_is_control_plane": is_control_plane,
        "__cluster_overall": {name: trust_as_template(value) for name, value in overall.items()},
    }
    assert Templar(DataLoader(), variables=variables).template(trust_as_template(text)) == taints


@pytest.fixture
def installed(monkeypatch, action_plugin, facts):
    """A function that returns the files of a node that is also a control plane, by name, and its units."""

    def files(memory_mb=16000, groups=("node",), docker_root="/var/lib/docker", **variables):
        host = {
            "inventory_hostname": "n1",
            "group_names": [*groups],
            "groups": {"control_plane": ["k1"], "node": ["n1"]},
            "ansible_facts": {
                "plainkube": {**facts, "installed": True, "memory_mb": memory_mb, "docker_root": docker_root},
                "plainkube_address": "192.0.2.21",
            },
            **dict.fromkeys(("ansible_play_hosts_all", "ansible_play_hosts", "ansible_play_batch"), ["k1", "n1"]),
            **variables,
        }
        host["hostvars"] = {"n1": host, "k1": {"ansible_facts": {"plainkube_address": "192.0.2.11"}}}
        asked = []
        monkeypatch.setattr(
            ActionBase,
            "_execute_module",
            lambda plugin, **options: asked.append(options["module_args"]) or {"answers": {}},
        )
        plugin = action_plugin(survey)
        plugin._task.action, plugin._task.delegate_to = "plainkube.cluster.survey", None
        plugin.run(task_vars=host)
        (node,) = [step["options"] for step in asked[0]["steps"] if step["name"] == "node"]
        found = {f"{one['name']}.service": one["unit"] for one in node["components"]}
        return {
            **found,
            **{pathlib.Path(file["path"]).name: file["content"] for one in node["components"] for file in one["files"]},
        }

    return files


@pytest.mark.parametrize(
    ("memory_mb", "groups", "kubernetes", "system"),
    [
        (64000, ("node",), {"cpu": "100m", "memory": "512Mi"}, "256Mi"),
        (64000, ("node", "control_plane"), {"cpu": "300m", "memory": "1536Mi"}, "256Mi"),
        (3900, ("node", "control_plane"), {"cpu": "300m", "memory": "960Mi"}, "256Mi"),
        # The smallest host that preflight accepts.
        (900, ("node",), {"cpu": "100m", "memory": "192Mi"}, "96Mi"),
    ],
)
def test_what_pods_do_not_get(installed, memory_mb, groups, kubernetes, system):
    config = yaml.safe_load(installed(memory_mb, groups)["kubelet.yaml"])
    assert config["kubeReserved"] == kubernetes
    assert config["systemReserved"] == {"cpu": "100m", "memory": system}
    assert config["mergeDefaultEvictionSettings"] is True


def test_logs_are_rotated_once(installed):
    docker = yaml.safe_load(installed()["kubelet.yaml"])
    containerd = yaml.safe_load(installed(cluster_runtime="containerd")["kubelet.yaml"])
    assert docker["containerLogMaxSize"] == "-1"
    assert "containerLogMaxSize" not in containerd


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, ["InhibitDelayMaxSec=60s"]),
        ({"shutdownGracePeriod": "2m30s"}, ["InhibitDelayMaxSec=2m30s"]),
        ({"shutdownGracePeriod": "0s"}, []),
        # The kubelet tells logind.
        ({"shutdownGracePeriodByPodPriority": [{"priority": 0, "shutdownGracePeriodSeconds": 90}]}, []),
    ],
)
def test_logind_waits_as_long_as_the_kubelet_needs(installed, settings, line):
    files = installed(node_kubelet_config=settings)
    text = files["zz-plainkube.conf"]
    # The kubelet refuses to start with some combinations.
    default = {"shutdownGracePeriod": "60s", "shutdownGracePeriodCriticalPods": "20s"}
    config = yaml.safe_load(files["kubelet.yaml"])
    assert {name: value for name, value in config.items() if name.startswith("shutdown")} == (settings or default)
    assert [one for one in text.splitlines() if one and not one.startswith("#")] == ["[Login]", *line]


def test_cri_dockerd_may_write_where_docker_keeps_its_data(installed):
    unit = installed(docker_root="/home/docker")["cri-dockerd.service"]
    assert "ProtectHome=read-only\nReadWritePaths=-/home/docker\n" in unit


@pytest.fixture(scope="module")
def authorities(tmp_path_factory):
    """Certificates of the CAs `old` and `new`, each with a client's; also an intermediate one, as `signer`, of an unknown root."""
    directory = tmp_path_factory.mktemp("authorities")

    def make(name, *arguments):
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]
        command = ["openssl", "req", "-x509", *key, "-out", f"{name}.crt", "-subj", f"/CN={name}", *arguments]
        subprocess.run(command, cwd=directory, check=True, capture_output=True)

    authority = ["-addext", "basicConstraints=critical,CA:TRUE"]
    for name in ("old", "new", "root"):
        make(name, *authority)
    make("signer", *authority, "-CA", "root.crt", "-CAkey", "root.key")
    for name in ("old", "new", "signer"):
        make(f"of-{name}", "-addext", "basicConstraints=CA:FALSE", "-CA", f"{name}.crt", "-CAkey", f"{name}.key")
    return directory


def check_certificate(authorities, known, directory):
    bundle = directory.parent / "ca-signer.crt"
    bundle.write_text("".join((authorities / f"{name}.crt").read_text() for name in known), encoding="utf-8")
    program = ROLE / "files" / "kubelet-certificate-check.sh"
    done = subprocess.run([program, str(bundle), str(directory)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("known", "has", "stays"),
    [
        (["new"], "new", True),
        (["new"], "old", False),
        (["old", "new"], "old", True),
        (["signer"], "signer", True),  # its root is not here
        (["new"], None, False),
    ],
)
def test_a_client_certificate_of_a_ca_that_signs_no_more_is_removed(authorities, tmp_path, known, has, stays):
    """As the kubelet has it: a link to a file with certificate and key."""
    directory = tmp_path / "pki"
    directory.mkdir()
    texts = [(authorities / f"of-{has}.{kind}").read_text() for kind in ("crt", "key")] if has else ["broken"]
    (directory / "kubelet-client-2030-01-01-00-00-00.pem").write_text("".join(texts), encoding="utf-8")
    (directory / "kubelet-client-current.pem").symlink_to("kubelet-client-2030-01-01-00-00-00.pem")
    (directory / "kubelet.crt").touch()
    check_certificate(authorities, known, directory)
    left = ["kubelet-client-2030-01-01-00-00-00.pem", *(["kubelet-client-current.pem"] if stays else []), "kubelet.crt"]
    assert sorted(path.name for path in directory.iterdir()) == left
    # At the next start, too.
    check_certificate(authorities, known, directory)


def test_a_kubelet_that_has_never_run_has_nothing_to_check(authorities, tmp_path):
    check_certificate(authorities, ["new"], tmp_path / "pki")
    assert not (tmp_path / "pki").exists()
