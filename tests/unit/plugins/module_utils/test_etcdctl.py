# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import base64
import socket

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils import _etcdctl

LOGGED = '{"level":"warn","msg":"retrying","error":"transport: connection refused"}'


@pytest.mark.parametrize(
    ("err", "reason"),
    [
        ("Error: etcdserver: permission denied\n", "etcdserver: permission denied"),
        (f"{LOGGED}\nError: context deadline exceeded\n", "transport: connection refused"),
        (f"{LOGGED}\nError: etcdserver: role name not found\n", "etcdserver: role name not found"),
        ("{half a line\nError: context deadline exceeded\n", "context deadline exceeded"),
        ("open /nowhere: no such file\n", "open /nowhere: no such file"),
        ("", ""),
    ],
)
def test_reason(err, reason):
    assert _etcdctl.reason(err) == reason


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def test_pairs():
    kvs = [{"key": encoded("/a"), "value": encoded('{"b": "é"}')}, {"key": encoded("/c")}]
    assert _etcdctl.pairs({"kvs": kvs}) == {"/a": '{"b": "é"}', "/c": ""}
    assert _etcdctl.pairs({"header": {}}) == {}


@pytest.mark.parametrize("name", ["response_range", "ResponseRange"])
def test_txn_pairs(name):
    answer = {"responses": [{"Response": {name: {"kvs": [{"key": encoded("/a"), "value": encoded("1")}]}}}]}
    assert _etcdctl.txn_pairs(answer) == {"/a": "1"}
    assert _etcdctl.txn_pairs({"succeeded": True, "responses": [{"Response": {"response_put": {}}}]}) == {}


def test_put_if_absent_quotes_the_value():
    text = _etcdctl.put_if_absent("/k", '{"a":"b c"}')
    assert text == 'create("/k") = "0"\n\nput "/k" "{\\"a\\":\\"b c\\"}"\n\nget "/k"\n\n'


def test_dial():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        endpoint = f"https://127.0.0.1:{server.getsockname()[1]}"
        assert "refused" in _etcdctl.dial(endpoint)
        server.listen()
        assert _etcdctl.dial(endpoint) == ""
