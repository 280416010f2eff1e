# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import hashlib
import os
import stat

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _certificates
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import certificate_request


@pytest.fixture
def ask(run_module, tmp_path):
    def run(*names, files=(), **arguments):
        return run_module(
            certificate_request,
            directory=str(tmp_path / "pki"),
            certificates=list(names) or ["apiserver", "etcd/flannel"],
            files=list(files),
            _ansible_diff=True,
            **arguments,
        )

    return run


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def key_of(result, name):
    return _certificates.requested_key(result["certificates"][name]["request"], "k1")


def test_keys_are_made_and_asked_for(ask, tmp_path):
    result = ask()
    assert result["changed"]
    for name in ("apiserver", "etcd/flannel"):
        path = tmp_path / "pki" / f"{name}.key"
        key = _certificates.load_key(path.read_text(), str(path))
        assert _certificates.same_key(key.public_key(), key_of(result, name))
        assert mode(path) == 0o600
        assert result["certificates"][name]["certificate"] is None
    assert mode(tmp_path / "pki") == mode(tmp_path / "pki/etcd") == 0o755


def test_the_umask_of_root_does_not_matter(run_module, tmp_path):
    before = os.umask(0o077)
    try:
        run_module(certificate_request, directory=str(tmp_path / "kubernetes/pki"), certificates=["etcd/flannel"])
    finally:
        os.umask(before)
    assert {mode(tmp_path / path) for path in ("kubernetes", "kubernetes/pki", "kubernetes/pki/etcd")} == {0o755}


def test_keys_are_kept(ask, tmp_path):
    first, second = ask(), ask()
    assert not second["changed"]
    assert second["diff"] == []
    assert _certificates.same_key(key_of(first, "apiserver"), key_of(second, "apiserver"))
    assert not list((tmp_path / "pki").rglob(".plainkube-*"))


def test_no_key_is_ever_in_the_answer(ask, tmp_path):
    ask()
    (tmp_path / "pki/apiserver.key").chmod(0o644)
    (tmp_path / "pki/sa.key").write_text("SECRET")
    text = str(ask(files=["sa.key"]))
    keys = [*(tmp_path / "pki").rglob("*.key")]
    assert len(keys) > 2
    for path in keys:
        for line in path.read_text().splitlines():
            assert line.startswith("-----") or line not in text


def test_check_mode_makes_nothing(ask, tmp_path):
    result = ask(_ansible_check_mode=True)
    assert result["changed"]
    assert result["certificates"]["apiserver"] == {"certificate": None, "has_key": False, "request": None}
    assert {part["after_header"] for part in result["diff"]} >= {str(tmp_path / "pki/apiserver.key")}
    assert not (tmp_path / "pki").exists()


def test_check_mode_changes_nothing_where_all_is_there(ask):
    ask()
    result = ask(_ansible_check_mode=True)
    assert not result["changed"]
    assert result["certificates"]["apiserver"]["request"]


def test_owner_and_mode_are_corrected(ask, tmp_path):
    ask()
    for name, wrong in (("apiserver.key", 0o644), ("apiserver.crt", 0o600), ("ca.key", 0o640), ("ca.crt", 0o600)):
        path = tmp_path / "pki" / name
        path.touch()
        if name != "apiserver.key":
            path.write_text("x")
        path.chmod(wrong)
    (tmp_path / "pki/etcd").chmod(0o700)
    kept = (tmp_path / "pki/apiserver.key").read_text()
    files = ["ca.key", "ca.crt"]
    check = ask(files=files, _ansible_check_mode=True)
    result = ask(files=files)
    assert result["changed"]
    assert check["diff"] == result["diff"]
    assert result["actions"] == [("write", part["after_header"], "") for part in result["diff"]] == check["actions"]
    assert [
        mode(tmp_path / "pki" / name) for name in ("apiserver.key", "apiserver.crt", "ca.key", "ca.crt", "etcd")
    ] == [
        0o600,
        0o644,
        0o600,
        0o644,
        0o755,
    ]
    assert (tmp_path / "pki/apiserver.key").read_text() == kept
    assert not ask(files=files)["changed"]


def test_what_is_there_is_returned(ask, tmp_path):
    ask()
    (tmp_path / "pki/apiserver.crt").write_text("CERTIFICATE\n")
    (tmp_path / "pki/ca.crt").write_bytes(b"\xff\x00CA\n")
    (tmp_path / "pki/sa.key").write_text("SECRET")
    result = ask(files=["ca.crt", "sa.key", "origin"])
    assert result["certificates"]["apiserver"]["certificate"] == "CERTIFICATE\n"
    assert result["public"] == {"ca.crt": "?\x00CA\n"}
    assert result["secret"] == {"sa.key": hashlib.sha256(b"SECRET").hexdigest()}


@pytest.mark.parametrize("content", ["", "junk"])
def test_a_key_that_cannot_be_used_stays_and_is_named(ask, tmp_path, content):
    ask("apiserver")
    (tmp_path / "pki/apiserver.key").write_text(content)
    for check_mode in (False, True):
        result = ask("apiserver", "scheduler", _ansible_check_mode=check_mode)
        assert result["failed"]
        assert result["msg"].startswith(f"{tmp_path}/pki/apiserver.key is not a readable private key")
    assert (tmp_path / "pki/apiserver.key").read_text() == content
    assert not (tmp_path / "pki/scheduler.key").exists()


def test_without_cryptography(ask, monkeypatch, tmp_path):
    warnings = []
    monkeypatch.setattr(certificate_request.AnsibleModule, "warn", lambda module, text: warnings.append(text))
    monkeypatch.setattr(_certificates, "MISSING", "ImportError")
    result = ask()
    assert result["failed"]
    assert "install the package python3-cryptography" in result["msg"]
    planned = ask(_ansible_check_mode=True)
    assert not planned.get("failed")
    assert warnings == [result["msg"]]
    assert planned["actions"][-1] == ("wait", "the Python library cryptography", "it is missing on this host")
    assert not (tmp_path / "pki").exists()
