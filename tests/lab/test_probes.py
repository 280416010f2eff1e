# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import http.client
import http.server
import importlib.util
import json
import threading
import time

import pytest

from lab import probes
from lab.base import FILES


def load():
    spec = importlib.util.spec_from_file_location("prober", FILES / "prober.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


prober = load()


class Handler(http.server.BaseHTTPRequestHandler):
    """Responds as the test specifies: with a status, a status and Retry-After, or not at all."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        answers, store = self.server.answers, self.server.store
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.server.connections.add(self.client_address)
        answer = answers.pop(0) if answers else 200
        if answer is None:
            self.close_connection = True
            return
        status, after = answer if isinstance(answer, tuple) else (answer, None)
        if self.command == "POST" and status in (200, "acknowledged and lost"):
            made = json.loads(body)
            name = made["metadata"]["name"]
            if status == 200:
                status = 409 if name in store else 201
                store[name] = made
            else:
                status = 201
        content = json.dumps({"items": list(store.values())}).encode()
        if self.command == "DELETE":
            store.clear()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if after is not None:
            self.send_header("Retry-After", after)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_DELETE = do_GET

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.answers, running.store, running.connections = [], {}, set()
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def ask(server, monkeypatch):
    """Run one prober until its requests are complete."""
    monkeypatch.setattr(
        prober.Prober, "connect", lambda self: http.client.HTTPConnection(*server.server_address, timeout=2)
    )

    def run(kind, answers=(), count=3):
        server.answers[:] = answers
        options = {"interval": 0.01, "seconds": 5, "count": count, "path": "/x", "collection": "/c", "run": "r"}
        one = kind("one", options, threading.Event())
        one.run()
        return one

    return run


@pytest.mark.parametrize(("kind", "connections"), [(prober.Prober, 1), (prober.NewConnections, 3)])
def test_connections_are_kept_or_new(ask, server, kind, connections):
    one = ask(kind)
    assert (one.sent, one.failed, one.retries) == (3, 0, 0)
    assert len(server.connections) == connections


@pytest.mark.parametrize("answer", [None, (429, "0"), (503, "0"), (500, "0")])
def test_tried_again_where_client_go_does(ask, server, answer):
    one = ask(prober.Prober, [200, answer])
    assert (one.sent, one.failed, one.retries) == (3, 0, 1)
    assert len(server.connections) == 2


@pytest.mark.parametrize("answer", [401, 403, 404, 500, 503, 429])
def test_any_other_answer_is_a_failure(ask, answer):
    one = ask(prober.Prober, [answer])
    assert (one.sent, one.failed, one.retries) == (3, 1, 0)
    assert f"status {answer}" in one.errors[0]


def test_no_answer_for_too_long_is_a_failure(ask, monkeypatch):
    monkeypatch.setattr(prober, "GIVE_UP", 0.2)
    one = ask(prober.Prober, [None] * 30, count=1)
    assert (one.sent, one.failed) == (1, 1)
    assert one.longest_gap > 0.15


def test_the_longest_gap_is_from_answer_to_answer(ask):
    began = time.monotonic()
    one = ask(prober.Prober, [200, None, None, None, None])
    assert 0.2 <= one.longest_gap <= time.monotonic() - began


def test_writes_are_read_back_and_removed(ask, server):
    one = ask(prober.Writes)
    assert len(server.store) == 3
    assert one.result()["lost"] == []
    assert server.store == {}


def test_a_write_whose_acknowledgement_was_lost_is_none_twice(ask, server):
    one = ask(prober.Writes)
    again = ask(prober.Writes)
    assert (one.failed, again.failed, len(again.acknowledged)) == (0, 0, 3)


def test_an_acknowledged_write_that_is_not_there_is_lost(ask):
    one = ask(prober.Writes, [200, ("acknowledged and lost", None)])
    assert one.result()["lost"] == ["r-1"]


def test_ends_in_time_whatever_is_left_to_do(ask, server):
    options = {"interval": 0.01, "seconds": 0.2, "count": 1000, "path": "/x"}
    one = prober.Prober("one", options, threading.Event())
    one.run()
    assert 0 < one.sent < 1000


LINE = json.dumps(
    [
        {
            "name": "API, writes",
            "sent": 9,
            "failed": 1,
            "retries": 2,
            "longest_gap": 0.72,
            "errors": ["e"],
            "lost": ["w"],
        },
        {"name": "Service", "sent": 1234, "failed": 0, "retries": 0, "longest_gap": 9.0, "errors": []},
    ]
)


def test_outcomes_are_printed_with_every_figure(capsys):
    outcomes = probes.parse(LINE)
    outcomes.show("what happened")
    assert capsys.readouterr().out.splitlines() == [
        "what happened",
        "  API, writes: sent 9, failed 1, longest gap 0.7 s, retries 2, lost 1",
        "  Service: sent 1234, failed 0, longest gap 9.0 s, retries 0",
    ]
    assert outcomes.problems == ["API, writes: e", "API, writes: w was acknowledged and is lost"]
    assert outcomes.lost == ["w"]
    assert outcomes.gaps == {"API, writes": 0.72, "Service": 9.0}


def test_what_is_asked_for_is_in_a_namespace_of_its_own():
    objects = json.loads(probes.manifest("registry/image:1"))["items"]
    assert objects[0]["kind"] == "Namespace"
    assert {one["metadata"]["namespace"] for one in objects[1:]} == {probes.NAMESPACE}
