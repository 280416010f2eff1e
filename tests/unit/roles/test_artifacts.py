# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The upstream runtime that role artifacts installs; role build packs all that role artifacts extracts."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.plainkube.cluster.plugins.filter.mirror_files import mirror_files
from ansible_collections.plainkube.cluster.plugins.module_utils.artifacts import _artifacts
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles

ROLES = pathlib.Path(__file__).parents[3] / "roles"
PACKAGED = {"cluster_containerd_version": "", "cluster_cni_plugins_version": ""}


def template(text, **more):
    more = {"__cluster_architecture": "amd64", **more}
    return Templar(DataLoader(), variables={**_roles.variables(), **more}).template(trust_as_template(text))


def node(**more):
    """The files that a host has which is nothing but a node."""
    roles = {"__cluster_is_etcd_member": False, "__cluster_is_control_plane": False, "__cluster_is_node": True}
    wanted = template("{{ [__artifacts_catalogue, __cluster_artifact_kinds] }}", **roles, **more)
    return _artifacts.pieces(_artifacts.select(*wanted), "/opt/plainkube", "/usr/local/bin")


def test_upstreams_containerd_and_plugins():
    pieces = {piece.link: piece for piece in node(cluster_runtime="containerd")}
    releases = "https://github.com/{}/releases/download/{}"
    containerd = releases.format("containerd/containerd", "v2.2.9/containerd-2.2.9-linux-amd64.tar.gz")
    plugins = releases.format("containernetworking/plugins", "v1.9.1/cni-plugins-linux-amd64-v1.9.1.tgz")
    for name in ("containerd", "containerd-shim-runc-v2", "ctr"):
        piece = pieces[f"/usr/local/bin/{name}"]
        assert (piece.url, piece.sums_url, piece.member) == (containerd, f"{containerd}.sha256sum", f"bin/{name}")
        assert piece.path == f"/opt/plainkube/containerd/2.2.9/{name}"
    for name in ("bridge", "host-local", "loopback", "portmap"):
        piece = pieces[f"/opt/cni/bin/{name}"]
        assert (piece.url, piece.sums_url, piece.member) == (plugins, f"{plugins}.sha256", name)
        assert piece.path == f"/opt/plainkube/cni-plugins/1.9.1/{name}"


@pytest.mark.parametrize("more", [{"cluster_runtime": "containerd", **PACKAGED}, {"cluster_runtime": "docker"}])
def test_only_where_it_is_asked_for_and_used(more):
    components = {piece.directory.split("/")[3] for piece in node(**more)}
    assert not components & {"containerd", "cni-plugins"}
    assert "kubernetes" in components


@pytest.mark.parametrize(("more", "built"), [({}, True), (PACKAGED, False)])
def test_a_build_has_it_unless_it_is_the_distributions(more, built):
    components = {artifact["component"] for artifact in template("{{ __build_artifacts }}", **more)}
    assert ({"containerd", "cni-plugins"} <= components) is built


def test_archives_have_what_is_taken_out_of_them():
    archives = [one for one in template("{{ __artifacts_catalogue }}") if any(one.get("binaries", {}).values())]
    assert {one["component"] for one in archives} == {"etcd", "flannel", "cri-dockerd", "containerd", "cni-plugins"}
    for archive in archives:
        recipe = template(f"{{{{ __build_recipes['{archive['component']}'] }}}}")
        packed = {program["member"] for program in recipe["programs"]}
        assert {*archive["binaries"].values()} <= packed
        assert recipe["format"] == "archive"
        assert recipe["version"] == f"v{archive['version']}"


NODE = {"__cluster_is_etcd_member": False, "__cluster_is_control_plane": False, "__cluster_is_node": True}


def files_of_a_node(**more):
    more = {"artifacts_images": "archive", **NODE, **more}
    return mirror_files(*template("{{ [__artifacts_catalogue, __cluster_artifact_kinds] }}", **more))


def test_whatever_a_host_asks_for_it_gets_files_of_its_own_kind_only():
    files = files_of_a_node()
    kubernetes = "dl.k8s.io/v" + template("{{ cluster_version }}") + "/bin/linux/amd64"
    assert {f"{kubernetes}/kubelet", f"{kubernetes}/kubelet.sha256", "images/SHA256SUMS"} <= {*files}
    assert f"{kubernetes}/kube-apiserver" not in files
    asked = ["../ctl/pki/ca.key", f"{kubernetes}/kubelet", "/etc/shadow", f"{kubernetes}/kube-apiserver"]
    copy = yaml.safe_load((ROLES / "artifacts/tasks/copy.yml").read_text(encoding="utf-8"))
    strange = copy[0]["vars"]["__artifacts_strange"]
    found = template(strange, __artifacts_result={"missing": asked}, __artifacts_files=files)
    assert found == ["../ctl/pki/ca.key", "/etc/shadow", f"{kubernetes}/kube-apiserver"]
    assert template(strange, __artifacts_result={"missing": files}, __artifacts_files=files) == []


@pytest.mark.parametrize("architecture", ["../../../../ctl", "../x"])
def test_a_host_whose_architecture_is_a_path_gets_nothing(architecture):
    with pytest.raises(AnsibleFilterError, match="is not a path inside a mirror"):
        files_of_a_node(__cluster_architecture=architecture)


def run(program, *arguments, **environment):
    """Run a program of the role as its task does."""
    text = (ROLES / "artifacts" / "files" / f"{program}.sh").read_text(encoding="utf-8")
    command = ["sh", "-c", text, program, *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize(
    ("policy", "stays"),
    [("#!/bin/sh\nexit 101\n", False), ("#!/bin/sh\nexit 101\n# ours\n", True), ("", True), (None, False)],
)
def test_what_a_killed_apt_left_is_repaired(tmp_path, code, policy, stays):
    (tmp_path / "dpkg").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/done\nexit {code}\n', encoding="utf-8")
    (tmp_path / "dpkg").chmod(0o755)
    file = tmp_path / "policy-rc.d"
    if policy is not None:
        file.write_text(policy, encoding="utf-8")
    for _again in range(2):
        done = run("finish-apt", file, PATH=f"{tmp_path}:{os.environ['PATH']}")
        assert done.returncode == 0
        assert ("apt will report" in done.stdout) == bool(code)
        assert (tmp_path / "done").read_text() == "--configure -a\n"
        assert file.exists() == stays
    assert not stays or file.read_text() == policy


def test_services_are_kept_from_starting(tmp_path):
    """The drop-in's condition is the drop-in itself, so that removing it is enough."""
    for _again in range(2):
        assert run("hold-services", tmp_path, "haproxy", "keepalived").returncode == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == ["haproxy.service.d", "keepalived.service.d"]
        for path in tmp_path.iterdir():
            (file,) = path.iterdir()
            comment, *lines = file.read_text(encoding="utf-8").splitlines()
            assert file.name == "plainkube.conf"
            assert comment.startswith("# Written by plainkube.cluster")
            assert lines == ["[Unit]", f"ConditionPathExists=!{file}"]


def test_a_directory_that_cannot_be_made_fails(tmp_path):
    (tmp_path / "units").touch()
    assert run("hold-services", tmp_path / "units", "haproxy").returncode != 0
