# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""How a reset handles mounts, with real mounts of the kernel. The tests need root, and run in a mount namespace of their own."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command, _mounts, _trees
from ansible_collections.plainkube.cluster.plugins.module_utils.removal import _parts


def run(*command):
    subprocess.run([*map(str, command)], check=True, capture_output=True)


@pytest.fixture
def top(tmp_path):
    """A directory; all mounts in it disappear after the test."""
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    os.unshare(os.CLONE_NEWNS)
    try:
        run("mount", "--make-rprivate", "/")
        yield pathlib.Path(os.path.realpath(tmp_path))
    finally:
        os.setns(own, os.CLONE_NEWNS)
        os.close(own)
        os.chdir("/")


@pytest.fixture
def host(monkeypatch):
    """A host that can only unmount."""

    def run_command(module, command, **dummy):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    monkeypatch.setattr(_command, "run", run_command)
    host = object.__new__(_parts.Host)
    host.module = None
    return host


@pytest.fixture
def kubelet(top):
    """A kubelet's directory behind a link in the path, with pods' volumes: a token on a tmpfs, and the user's directory with subPath."""
    disk = top / "disk"
    (disk / "kubelet/pods/p/volumes/to ken").mkdir(parents=True)
    (disk / "kubelet/pods/p/volume-subpaths/v/c/0").mkdir(parents=True)
    (disk / "kubelet/pods/p/volume-subpaths/v/f").touch()
    (disk / "kubelet/pods/p/file").touch()
    (top / "data/sub").mkdir(parents=True)
    (top / "data/sub/canary").write_text("mine", encoding="utf-8")
    (top / "lib").symlink_to(disk)
    pod = top / "lib/kubelet/pods/p"
    run("mount", "-t", "tmpfs", "tmpfs", pod / "volumes/to ken")
    (pod / "volumes/to ken/token").write_text("secret", encoding="utf-8")
    # On the same file system: the device number is the same.
    run("mount", "--bind", top / "data/sub", pod / "volume-subpaths/v/c/0")
    run("mount", "--bind", top / "data/sub/canary", pod / "volume-subpaths/v/f")
    return top / "lib/kubelet"


def mount_points(top):
    return [
        mount.point
        for mount in _mounts.parse(pathlib.Path("/proc/self/mountinfo").read_text())
        if mount.point.startswith(str(top))
    ]


def test_a_bind_mount_is_not_crossed(top, kubelet):
    assert os.stat(top / "data/sub").st_dev == os.stat(kubelet).st_dev
    run("umount", kubelet / "pods/p/volume-subpaths/v/f")
    with pytest.raises(OSError, match="v/c/0 is a mount point, behind which nothing is removed"):
        _trees.remove(os.path.realpath(kubelet / "pods/p/volume-subpaths"))
    assert (top / "data/sub/canary").read_text() == "mine"


@pytest.mark.parametrize("content_only", [False, True])
def test_a_mount_is_crossed_only_where_its_content_is_asked_for(top, kubelet, content_only):
    place = os.path.realpath(kubelet / "pods/p/volumes/to ken")
    if content_only:
        _trees.remove(place, content_only=True)
        assert os.listdir(place) == []
    else:
        with pytest.raises(OSError, match="is a mount point"):
            _trees.remove(place)
        assert (pathlib.Path(place) / "token").exists()
    assert place in mount_points(top)


def test_a_mounted_file_is_neither_unmounted_nor_removed(top, kubelet):
    run("umount", kubelet / "pods/p/volume-subpaths/v/c/0")
    with pytest.raises(OSError, match="v/f is a mount point, behind which nothing is removed"):
        _trees.remove(os.path.realpath(kubelet / "pods/p/volume-subpaths"))
    assert (top / "data/sub/canary").read_text() == "mine"


def test_a_link_above_hides_no_mount(top, kubelet, host):
    trees = _parts.Trees([str(kubelet)])
    assert trees.names() == [str(kubelet)]
    assert sorted(trees.mount_points()) == sorted(mount_points(top))
    assert len(trees.mount_points()) == 3
    assert trees.refusals() == []
    host.unmount(trees.mount_points())
    assert mount_points(top) == []
    _parts.Trees([str(kubelet)]).remove()
    assert not kubelet.exists()
    assert (top / "lib").is_symlink()
    assert os.listdir(top / "disk") == []
    assert (top / "data/sub/canary").read_text() == "mine"
    assert _parts.Trees([str(kubelet)]).names() == []


def test_a_stack_of_mounts_is_unmounted_whole(top, kubelet, host):
    pod = kubelet / "pods/p"
    for _second in range(2):
        run("mount", "-t", "tmpfs", "tmpfs", pod / "volumes")
    (pod / "volumes/x").mkdir()
    run("mount", "--bind", top / "data", pod / "volumes/x")
    run("mount", "-t", "tmpfs", "tmpfs", pod / "volumes/x/sub")
    trees = _parts.Trees([str(kubelet)])
    assert len(trees.mount_points()) == 7
    host.unmount(trees.mount_points())
    assert mount_points(top) == []


def test_copies_of_a_mount_go_with_it(top, host):
    """With shared mounts, a mount appears in several places, and is unmounted in all of them."""
    place = top / "kubelet"
    for name in ("pods/p", "plugins"):
        (place / name).mkdir(parents=True)
    run("mount", "--bind", place, place)
    run("mount", "--make-shared", place)
    run("mount", "--bind", place / "pods", place / "plugins")
    run("mount", "-t", "tmpfs", "tmpfs", place / "pods/p")
    assert mount_points(top) == [str(place), *(f"{place}/{name}" for name in ("plugins", "pods/p", "plugins/p"))]
    host.unmount(_parts.Trees([str(place)]).mount_points())
    assert mount_points(top) == [str(place)]


def test_a_disk_in_the_place_of_the_directory_stays_mounted(top, host):
    place = top / "kubelet"
    place.mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", place)
    for name in ("pods/p", "lost+found/1"):
        (place / name).mkdir(parents=True)
    run("mount", "-t", "tmpfs", "tmpfs", place / "pods/p")
    trees = _parts.Trees([str(place)])
    assert trees.names() == [f"{place}/"]
    host.unmount(trees.mount_points())
    _parts.Trees([str(place)]).remove()
    assert os.listdir(place) == ["lost+found"]
    assert mount_points(top) == [str(place)]
    assert _parts.Trees([str(place)]).names() == []


def test_a_bind_mount_in_the_place_of_the_directory_is_a_mount_point_too(top):
    """Its device number is that of its parent directory."""
    (top / "data").mkdir()
    (top / "kubelet").mkdir()
    run("mount", "--bind", top / "data", top / "kubelet")
    assert not os.path.ismount(top / "kubelet")
    assert [tree.stays for tree in _parts.Trees([str(top / "kubelet")]).trees] == [True]


def test_pods_on_a_disk_of_their_own_go_and_the_disk_stays(top, host):
    place = top / "kubelet"
    (place / "pods").mkdir(parents=True)
    (place / "pki").mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", place / "pods")
    (place / "pods/p").mkdir()
    paths = [str(place / "pods"), str(place)]
    trees = _parts.Trees(paths)
    assert trees.names() == [f"{place}/pods/", f"{place}/"]
    assert trees.mount_points() == []
    trees.remove()
    assert os.listdir(place) == ["pods"]
    assert os.listdir(place / "pods") == []
    assert mount_points(top) == [str(place / "pods")]
    assert _parts.Trees(paths).names() == []


def test_mounts_below_another_one_are_told_of(top, kubelet):
    run("mount", "-t", "tmpfs", "tmpfs", top / "disk/kubelet")
    (refusal,) = _parts.Trees([str(kubelet)]).refusals()
    assert f"another file system was mounted at {top}/disk/kubelet later: unmount that one" in refusal


def test_a_busy_mount_is_told_with_who_uses_it(top, kubelet, host):
    token = os.path.realpath(kubelet / "pods/p/volumes/to ken")
    shutil.copy("/bin/sleep", f"{token}/sleeper")
    for command, directory in (
        (["sleep", "60"], token),
        ([f"{token}/sleeper", "60"], "/"),
        (["sh", "-c", f"exec 3<'{token}/token'; sleep 60; true"], "/"),
        (
            [
                sys.executable,
                "-c",
                f"import mmap, time; f = open({token + '/token'!r}); m = mmap.mmap(f.fileno(), 0, prot=1); f.close(); print(1, flush=True); time.sleep(60)",
            ],
            "/",
        ),
    ):
        with subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, start_new_session=True) as process:
            try:
                if command[0] == sys.executable:
                    process.stdout.readline()
                _parts.poll(lambda process=process: _trees.holders(token), bool, 10)
                with pytest.raises(_command.Failed) as caught:
                    host.unmount([token])
            finally:
                os.killpg(process.pid, 9)
        assert str(caught.value).startswith(f"{token} cannot be unmounted, because it is used by ")
        assert f"(process {process.pid})" in str(caught.value)
        assert (pathlib.Path(token) / "token").exists()
    host.unmount([token])
    assert token not in mount_points(top)
