# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _certificates
from ansible_collections.plainkube.cluster.plugins.plugin_utils.keys import _authorities


def test_only_what_is_there_is_read(tmp_path):
    (tmp_path / "ca.crt").write_text("a")
    assert _authorities.read(str(tmp_path), ["ca.crt", "ca.key", "etcd/ca.crt"]) == {"ca.crt": "a"}


@pytest.mark.parametrize(
    ("name", "mode", "secret"),
    [
        ("ca.crt", "0644", False),
        ("etcd/ca.key", "0600", True),
        ("sa.next.key", "0600", True),
        ("encryption.yaml", "0600", True),
        ("ca.rotation", "0644", False),
    ],
)
def test_keys_are_the_owners_alone(tmp_path, name, mode, secret):
    found = _authorities.wanted(str(tmp_path), name, "x")
    assert (found["path"], found["content"]) == (str(tmp_path / name), "x")
    assert (found["mode"], found["secret"]) == (mode, secret)
    assert {"owner", "group"} <= found.keys()


def test_the_directory_is_for_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(_authorities, "LOCK_SECONDS", 0)
    refused = pytest.raises(_certificates.CertificateError, match=r"^Another run has held .*/\.lock for 0 seconds")
    with _authorities.locked(str(tmp_path)), refused, _authorities.locked(str(tmp_path)):
        pass
    with _authorities.locked(str(tmp_path)):
        assert (tmp_path / ".lock").stat().st_mode & 0o777 == 0o600
