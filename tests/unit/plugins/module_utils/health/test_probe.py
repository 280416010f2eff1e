# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import http.server
import threading

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _probe


@pytest.fixture
def server():
    """A server that says what it was asked; `/status/N` with that status."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802 (the name that http.server calls)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            text = f"{self.command} {self.headers.get('Content-Type')} {body}".encode()
            status = int(self.path.rpartition("/")[2]) if self.path.startswith("/status/") else 200
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_PATCH = do_GET  # noqa: N815

        def log_message(self, *dummy):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_get(server):
    assert _probe.get(server) == (200, "GET None ")
    assert _probe.get(server, limit=3) == (200, "GET")


def test_a_patch_is_a_json_merge_patch(server):
    assert _probe.patch(server, '{"a": null}', "/nowhere", ("", "")) == (
        200,
        'PATCH application/merge-patch+json {"a": null}',
    )


@pytest.mark.parametrize("status", [404, 409, 503])
def test_a_refusal_is_an_answer(server, status):
    answer = _probe.patch(f"{server}/status/{status}", "{}", "/nowhere", ("", ""))
    assert (answer.status, answer.ok) == (status, False)


def test_nobody_there_is_an_answer_too():
    answer = _probe.get("http://127.0.0.1:9", timeout=1)
    assert (answer.status, answer.ok, bool(answer.text)) == (0, False, True)
