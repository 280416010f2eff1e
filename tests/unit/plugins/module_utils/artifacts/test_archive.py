# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import hashlib
import io
import json
import tarfile

from ansible_collections.plainkube.cluster.plugins.module_utils.artifacts import _archive
from ansible_collections.plainkube.cluster.plugins.module_utils.artifacts._archive import Entry

ENTRIES = [Entry("tmp", None, 0o1777), Entry("pause", b"program")]


def read(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {info.name: archive.extractfile(info).read() for info in archive if info.isfile()}


def test_nothing_of_the_machine_is_in_an_archive():
    with tarfile.open(fileobj=io.BytesIO(_archive.tar(ENTRIES))) as archive:
        found = [(i.name, i.mode, i.mtime, i.uid, i.gid, i.uname, i.gname, i.isdir()) for i in archive]
    assert found == [("tmp", 0o1777, 0, 0, 0, "", "", True), ("pause", 0o755, 0, 0, 0, "", "", False)]


def test_compressed_archives_are_equal_byte_by_byte(monkeypatch):
    first = _archive.tar_gz(ENTRIES)
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    assert _archive.tar_gz(ENTRIES) == first
    assert read(first) == {"pause": b"program"}


def test_an_image_is_what_docker_load_reads():
    arguments = ("registry.k8s.io/pause:3.10.2", ENTRIES, "amd64", "1970-01-01T00:00:00Z", {"Entrypoint": ["/pause"]})
    content = _archive.image(*arguments)
    assert content == _archive.image(*arguments)
    files = read(content)
    (manifest,) = json.loads(files["manifest.json"])
    assert manifest["RepoTags"] == ["registry.k8s.io/pause:3.10.2"]
    config = json.loads(files[manifest["Config"]])
    assert (config["architecture"], config["os"], config["config"]) == ("amd64", "linux", {"Entrypoint": ["/pause"]})
    (layer,) = manifest["Layers"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(files[layer]).hexdigest()}"]
    assert manifest["Config"] == f"{hashlib.sha256(files[manifest['Config']]).hexdigest()}.json"
    assert read(files[layer]) == {"pause": b"program"}
