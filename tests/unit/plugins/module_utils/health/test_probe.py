# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _probe


def test_get(api_server):
    api_server.add("/api/v1/nodes/n1")
    answer = _probe.get(f"{api_server.url}/api/v1/nodes/n1")
    assert (answer.status, answer.ok, '"name": "n1"' in answer.text) == (200, True, True)
    assert [answer.status for answer in map(_probe.get, (api_server.url, f"{api_server.url}/?x=1"))] == [404, 404]
    assert api_server.asked("GET")[1:] == ["/", "/?x=1"]


def test_no_proxy_is_used(api_server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert _probe.get(f"{api_server.url}/healthz").status == 404


@pytest.mark.parametrize(
    ("status", "early"), [(404, False), (403, False), (409, True), (429, True), (500, True), (503, True)]
)
def test_an_error_is_a_response(api_server, status, early):
    api_server.first = [status]
    answer = _probe.get(f"{api_server.url}/healthz")
    assert (answer.status, answer.ok, answer.unreachable, answer.early) == (status, False, False, early)
    assert answer.said == f"{api_server.url}/healthz returns {status}: problem {status}"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x", "http://127.0.0.1:99999/x", "127.0.0.1:9/x/y/z", "http:///x", "ftp://x/y"]
)
def test_no_response_is_a_result_too(url):
    answer = _probe.get(url, timeout=1)
    assert (answer.ok, answer.unreachable, answer.early, bool(answer.text)) == (False, True, True, True)
    assert answer.said == f"{url} does not respond: {answer.text}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[+]ping ok\n[-]etcd failed: reason withheld\n[-]log failed\n",
            "[-]etcd failed: reason withheld; [-]log failed",
        ),
        ("not\nyet", "not"),
        ("x" * 300, "x" * 199 + "…"),
        ('{"kind": "Status", "message": "not you"}', "not you"),
        ("[1]", "[1]"),
        ("", ""),
    ],
)
def test_message(text, message):
    assert _probe.message(text) == message
