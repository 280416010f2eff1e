# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import os

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.artifacts import _artifacts
from ansible_collections.plainkube.cluster.plugins.module_utils.artifacts._artifacts import State

URL = "https://dl.k8s.io/v1.37.2/bin/linux/amd64/kubelet"
KUBELET = {
    "component": "kubernetes",
    "version": "1.37.2",
    "url": URL,
    "sums_url": f"{URL}.sha256",
    "binaries": {"kubelet": ""},
    "kinds": ["node"],
}
IMAGE = {"component": "images", "url": "images/pause.tar", "sums_url": "images/SHA256SUMS", "kinds": ["node"]}


@pytest.mark.parametrize(
    ("mirror", "url", "found"),
    [
        ("", URL, URL),
        ("", "images/pause.tar", ""),
        ("http://m:8000/k/", URL, "http://m:8000/k/dl.k8s.io/v1.37.2/bin/linux/amd64/kubelet"),
        ("https://m", "images/pause.tar", "https://m/images/pause.tar"),
        ("file:///srv/mirror", URL, "/srv/mirror/dl.k8s.io/v1.37.2/bin/linux/amd64/kubelet"),
        ("/srv/mirror", "images/pause.tar", "/srv/mirror/images/pause.tar"),
    ],
)
def test_locate(mirror, url, found):
    assert _artifacts.locate(mirror, url) == found


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([], ""),
        (["kubelet"], "kubelet"),
        (["amd64/kubelet", "kubelet"], "amd64/kubelet"),
        (["let"], ""),
        (["v1.37.1/bin/linux/amd64/kubelet"], ""),
        (["dl.k8s.io/v1.37.2/bin/linux/amd64/kubelet"], "dl.k8s.io/v1.37.2/bin/linux/amd64/kubelet"),
    ],
)
def test_the_longest_name_pins(names, found):
    assert _artifacts.pin({name: name.upper() for name in names}, URL) == found.lower()


def test_wrong_pins():
    assert _artifacts.wrong_pins({"a": "A" * 64, "b": "a" * 63, "c": f"sha256:{'a' * 64}"}) == ["b", "c"]


@pytest.mark.parametrize(
    ("kinds", "found"), [([], [KUBELET, IMAGE]), (["node", "etcd"], [KUBELET, IMAGE]), (["control_plane"], [])]
)
def test_select(kinds, found):
    assert _artifacts.select([KUBELET, IMAGE], kinds) == found


def test_pieces_of_binaries_and_of_files_that_are_kept():
    kubelet, image = _artifacts.pieces([KUBELET, IMAGE], "/opt/plainkube", "/usr/local/bin")
    assert (kubelet.path, kubelet.link, kubelet.mode) == (
        "/opt/plainkube/kubernetes/1.37.2/kubelet",
        "/usr/local/bin/kubelet",
        0o755,
    )
    assert (image.path, image.link, image.mode) == ("/opt/plainkube/images/pause.tar", "", 0o644)


def test_links_may_be_somewhere_else():
    kubelet, bridge = _artifacts.pieces(
        [KUBELET, {**KUBELET, "binaries": {"bridge": "bridge"}, "bin_directory": "/opt/cni/bin"}],
        "/opt/plainkube",
        "/bin",
    )
    assert (kubelet.link, bridge.link) == ("/bin/kubelet", "/opt/cni/bin/bridge")


@pytest.mark.parametrize(
    ("target", "version"),
    [
        ("/opt/plainkube/kubernetes/1.36.3/kubelet", "1.36.3"),
        ("/opt/plainkube/kubernetes/kubelet", None),
        ("/opt/plainkube/kubernetes/../../../usr/bin/kubelet", None),
        ("/usr/bin/kubelet", None),
        ("../plainkube/kubernetes/1.36.3/kubelet", None),
        ("", None),
    ],
)
def test_current_version(target, version):
    assert _artifacts.current_version(target, "/opt/plainkube") == version


@pytest.mark.parametrize(
    ("state", "line", "ok"),
    [
        (State("intact", "1.37.2", True), "kubelet 1.37.2 → 1.37.2", True),
        (State("absent"), "kubelet absent → 1.37.2", False),
        (State("absent", "1.36.3"), "kubelet 1.36.3 → 1.37.2", False),
        (State("intact", "1.36.3"), "kubelet 1.36.3 → 1.37.2", False),
        (State("damaged", "1.37.2", True), "kubelet 1.37.2 (damaged) → 1.37.2", False),
        (State("absent", "1.37.2", True), "kubelet 1.37.2 (file is missing) → 1.37.2", False),
        (State("unpinned", "1.37.2", True), "kubelet 1.37.2 (differs from the pinned SHA-256) → 1.37.2", False),
    ],
)
def test_what_is_said_of_a_binary(state, line, ok):
    (kubelet,) = _artifacts.pieces([KUBELET], "/opt/plainkube", "/usr/local/bin")
    assert _artifacts.change(kubelet, state) == line
    assert state.ok(kubelet) is ok


@pytest.mark.parametrize(
    ("state", "line", "ok"),
    [
        (State("intact"), "pause.tar present → present", True),
        (State("absent"), "pause.tar absent → present", False),
        (State("damaged"), "pause.tar present (damaged) → present", False),
    ],
)
def test_what_is_said_of_a_kept_file(state, line, ok):
    (image,) = _artifacts.pieces([IMAGE], "/opt/plainkube", "/usr/local/bin")
    assert _artifacts.change(image, state) == line
    assert state.ok(image) is ok


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": []}', '{"files": {"a": 1}}', "null"])
def test_a_broken_manifest_is_none(text):
    assert _artifacts.parse_manifest(text) == {}


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    (tmp_path / "f").write_bytes(b"12345")
    status = os.stat(tmp_path / "f")
    entry = {"sha256": "a", "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    read = _artifacts.parse_manifest(_artifacts.render_manifest({"f": entry}))
    assert _artifacts.same_file(read["f"], status)
    assert not _artifacts.same_file({**entry, "size": 4}, status)
    assert not _artifacts.same_file({**entry, "mtime_ns": 4}, status)
    assert not _artifacts.same_file({}, status)
