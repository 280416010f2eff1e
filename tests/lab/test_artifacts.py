# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import http.server
import threading

import pytest

from lab import artifacts


class Answers(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200 if self.path == "/good" else 403)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def url():
    """A server on which /good answers."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def lab_cache(monkeypatch, tmp_path):
    """An empty cache, and what was run to fill it."""
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
