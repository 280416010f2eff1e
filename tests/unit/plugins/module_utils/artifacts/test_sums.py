# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import hashlib
import io
import json

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.artifacts import _sums

A, B = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        (A, "kubelet", A),
        (A.upper() + "\n", "kubelet", A),
        (f"{A}  etcd.tar.gz\n{B}  other.tar.gz\n", "other.tar.gz", B),
        (f"{A} *etcd.tar.gz\n", "etcd.tar.gz", A),
        (f"{A}  ./release/etcd.tar.gz\n", "etcd.tar.gz", A),
        (f"{A}  etcd.tar.gz.asc\n", "etcd.tar.gz", ""),
        (
            json.dumps({"assets": [{"name": "x", "digest": f"sha256:{A}"}, {"name": "y", "digest": f"sha256:{B}"}]}),
            "y",
            B,
        ),
        (json.dumps({"assets": [{"name": "x", "digest": None}]}), "x", ""),
        (json.dumps({"assets": [{"name": "x", "digest": f"sha512:{A}"}]}), "x", ""),
        (json.dumps({"message": "API rate limit exceeded"}), "x", ""),
        ("{not json", "x", ""),
        ("<html>not found</html>", "x", ""),
        ("", "x", ""),
    ],
)
def test_find(text, name, found):
    assert _sums.find(text, name) == found


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("dl.k8s.io/v1.37.2/bin/linux/amd64/kubelet.sha256", ""),
        ("github.com/etcd-io/etcd/releases/download/v3.7.3/SHA256SUMS", f"{A}  kubelet\n{B}  zebra\n"),
        ("api.github.com/repos/o/r/releases/tags/v1", ""),
        (
            "api.github.com/repos/o/r/releases/tags/v1",
            json.dumps({"tag_name": "v1", "assets": [{"name": "zebra", "digest": f"sha256:{B}", "size": 5}]}),
        ),
    ],
)
def test_what_is_added_is_found_and_the_rest_is_kept(path, text):
    added = _sums.add(text, path, "kubelet", B)
    assert _sums.find(added, "kubelet") == B
    assert _sums.find(added, "zebra") == _sums.find(text, "zebra") or path.endswith(".sha256")
    assert ("tag_name" in text) == ("tag_name" in added)
    assert _sums.add(added, path, "kubelet", B) == added


def test_sums_of_a_stream_and_a_file(tmp_path):
    (tmp_path / "f").write_bytes(b"x" * 3_000_000)
    wanted = hashlib.sha256(b"x" * 3_000_000).hexdigest()
    assert _sums.of_stream(io.BytesIO(b"x" * 3_000_000)) == wanted
    assert _sums.of_file(str(tmp_path / "f")) == wanted
    assert _sums.of_file(str(tmp_path / "absent")) == ""
