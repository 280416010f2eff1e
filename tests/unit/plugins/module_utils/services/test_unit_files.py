# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _stamp, _unit_files

STAMPED = _stamp.append("[Service]\nExecStart=/bin/x\n", [], _stamp.Stamp("0" * 64, "1"))


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A function that writes files of a host, whose directories of systemd are etc, run and lib."""
    monkeypatch.setattr(_unit_files, "DIRECTORIES", tuple(str(tmp_path / name) for name in ("etc", "run", "lib")))
    monkeypatch.setattr(_unit_files._places, "UNITS", str(tmp_path / "etc"))
    monkeypatch.setattr(_unit_files._places, "BINARIES", str(tmp_path / "bin"))
    monkeypatch.setattr(_unit_files._places, "RELEASES", str(tmp_path / "opt"))

    def write(path, text=""):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        return str(tmp_path / path)

    return write


def test_drop_ins_are_those_of_systemd_in_its_order(host):
    """systemd.unit(5); compared with DropInPaths of `systemctl show` once, on Debian 12."""
    assert _unit_files.drop_ins("kube-apiserver") == []
    last = host("lib/service.d/90-all.conf")
    first = host("lib/kube-.service.d/05-kube.conf")
    hiding = host("etc/kube-apiserver.service.d/50-own.conf")
    runtime = host("run/kube-apiserver.service.d/60-runtime.conf")
    for hidden in (
        "run/kube-apiserver.service.d/50-own.conf",
        "lib/service.d/50-own.conf",
        "etc/kube-.service.d/50-own.conf",
    ):
        host(hidden)
    for other in (
        "etc/kubelet.service.d/a.conf",
        "etc/kube.service.d/a.conf",
        "etc/kube-apiserver.service.d/a.conf.bak",
    ):
        host(other)
    assert _unit_files.drop_ins("kube-apiserver") == [first, hiding, runtime, last]
    assert _unit_files.drop_ins("flanneld") == [host("lib/service.d/50-own.conf"), last]


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("[Service]\nExecStart=\nExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS\n", True),
        ("[Service]\n  ExecStart = /usr/bin/kubelet\n", True),
        ("[Service]\nExecStartPre=/bin/true\n#ExecStart=/usr/bin/kubelet\nNice=5\n", False),
        ("[Unit]\nAfter=nfs.service\n[Service]\nReadWritePaths=/srv\n", False),
    ],
)
def test_drop_ins_that_replace_a_command(host, text, replaced):
    path = host("lib/kubelet.service.d/10-kubeadm.conf", text)
    assert _unit_files.replaced_commands(["etcd", "kubelet"]) == ({path: ["kubelet"]} if replaced else {})


def test_a_drop_in_for_several_services(host):
    path = host("etc/kube-.service.d/a.conf", "[Service]\nExecStart=/bin/false\n")
    assert _unit_files.replaced_commands(["kube-proxy", "kubelet", "kube-scheduler"]) == {
        path: ["kube-proxy", "kube-scheduler"]
    }


@pytest.mark.parametrize("directory", ["etc", "run", "lib"])
def test_a_unit_of_others(host, directory):
    path = host(f"{directory}/etcd.service", "[Service]\nExecStart=/usr/bin/etcd\n")
    assert _unit_files.foreign("etcd") == path
    assert _unit_files.foreign("kubelet") == ""
    assert _unit_files.has_unit("etcd") is False


def test_a_masked_unit(host, tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/kubelet.service").symlink_to("/dev/null")
    assert _unit_files.foreign("kubelet") == str(tmp_path / "etc/kubelet.service")


def test_a_unit_of_ours(host, tmp_path):
    host("etc/etcd.service", STAMPED)
    host("lib/etcd.service", "[Service]\nExecStart=/usr/bin/etcd\n")
    assert (_unit_files.foreign("etcd"), _unit_files.has_unit("etcd")) == ("", True)
    assert (_unit_files.foreign("kubelet"), _unit_files.has_unit("kubelet")) == ("", False)


def test_a_unit_of_ours_that_lost_its_stamp(host, tmp_path):
    host("etc/kubelet.service", "[Service]\nExecStart=/usr/local/bin/kubelet\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/kubelet").symlink_to(host("opt/kubernetes/1.37.2/kubelet"))
    assert (_unit_files.foreign("kubelet"), _unit_files.has_unit("kubelet")) == ("", True)
    host("etc/plainkube-load-balancer.service", "")
    assert _unit_files.foreign("plainkube-load-balancer") == ""


def test_containerds_package_has_a_unit_that_ours_overrides(host):
    host("lib/containerd.service", "[Service]\nExecStart=/usr/bin/containerd\n")
    assert _unit_files.foreign("containerd") == ""
    path = host("etc/containerd.service", "[Service]\nExecStart=/usr/local/bin/containerd\n")
    assert _unit_files.foreign("containerd") == path


def test_a_file_that_only_root_may_read_tells_nothing(host, monkeypatch):
    path = host("etc/etcd.service", STAMPED)

    def denied(path):
        raise PermissionError(path)

    monkeypatch.setattr(_unit_files._files, "read", denied)
    assert _unit_files.foreign("etcd") == path
