# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import hashlib
import http.server
import io
import os
import tarfile
import threading

import pytest

from lab import artifacts
from lab.base import LabError


class Answers(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200 if self.path == "/good" else 403)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def url():
    """A server that responds to /good."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def lab_cache(monkeypatch, tmp_path):
    """An empty cache, and the commands that fill it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("PLAINKUBE_LAB_BUILD", raising=False)
    runs = []
    monkeypatch.setattr(artifacts, "playbook", lambda name, *arguments: runs.append(name))
    monkeypatch.setattr(artifacts.machine, "install", lambda *packages: None)
    return runs


def test_upstream_is_used_when_all_of_it_answers(lab_cache, monkeypatch, url):
    monkeypatch.setattr(artifacts, "UPSTREAM", (f"{url}/good",))
    artifacts.ensure()
    assert (lab_cache, artifacts.built()) == ([], False)


@pytest.mark.parametrize("refused", ["/refused", "http://127.0.0.1:1/"])
def test_built_when_a_part_does_not_answer_and_from_then_on(lab_cache, monkeypatch, url, refused):
    refused = refused if refused.startswith("http") else url + refused
    monkeypatch.setattr(artifacts, "UPSTREAM", (f"{url}/good", refused))
    assert artifacts.unanswered(artifacts.UPSTREAM) == [refused]
    artifacts.ensure()
    monkeypatch.setattr(artifacts, "UPSTREAM", (f"{url}/good",))
    artifacts.ensure()
    assert (lab_cache, artifacts.built()) == (["build.yml", "build.yml"], True)


def test_built_when_asked_for(lab_cache, monkeypatch, url):
    monkeypatch.setattr(artifacts, "UPSTREAM", (f"{url}/good",))
    monkeypatch.setenv("PLAINKUBE_LAB_BUILD", "1")
    artifacts.ensure()
    assert lab_cache == ["build.yml"]


@pytest.fixture
def etcd_mirror(lab_cache, monkeypatch):
    """A mirror to which `build.yml` adds an etcd."""

    def build(name, *arguments):
        lab_cache.append(arguments)
        archive = artifacts.etcd_archive()
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive, "w:gz") as tar:
            for program in ("etcd", "etcdctl", "etcdutl"):
                entry = tarfile.TarInfo(f"{archive.name.removesuffix('.tar.gz')}/{program}")
                entry.mode, entry.size = 0o755, len(program)
                tar.addfile(entry, io.BytesIO(program.encode()))
        checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
        archive.with_name("SHA256SUMS").write_text(f"{checksum}  {archive.name}\n")

    monkeypatch.setattr(artifacts, "playbook", build)
    return lab_cache


def test_etcd_is_built_once_and_again_where_it_is_not_what_was_built(etcd_mirror, tmp_path):
    with pytest.raises(LabError, match=r"etcd-v[\d.]+-linux-\w+\.tar\.gz is missing, .*: run `make etcd`\."):
        artifacts.extract_etcd(tmp_path)
    artifacts.ensure_etcd()
    artifacts.ensure_etcd()
    assert len(etcd_mirror) == 1
    artifacts.extract_etcd(tmp_path)
    assert (tmp_path / "etcdctl").read_text() == "etcdctl"
    assert os.access(tmp_path / "etcd", os.X_OK)
    assert not (tmp_path / "etcdutl").exists()
    artifacts.etcd_archive().write_bytes(b"something else")
    with pytest.raises(LabError, match="does not match SHA256SUMS in its directory"):
        artifacts.extract_etcd(tmp_path)
    artifacts.ensure_etcd()
    assert len(etcd_mirror) == 2


def test_an_etcd_that_is_not_built_right_is_refused(etcd_mirror, monkeypatch):
    monkeypatch.setattr(artifacts, "playbook", lambda *arguments: None)
    with pytest.raises(LabError, match="was built and does not match SHA256SUMS"):
        artifacts.ensure_etcd()
