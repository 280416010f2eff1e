# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import base64
import socket

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.etcd import _etcdctl

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


class Module:
    """As much of AnsibleModule as etcdctl is run with."""

    check_mode = False

    def __init__(self, *answer):
        self.answer = answer

    def get_bin_path(self, name, **dummy):
        return name

    def run_command(self, command, **dummy):
        return self.answer


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ((0, '[{"Endpoint": "a"}]', ""), [{"Endpoint": "a"}]),
        (
            (1, '[{"Endpoint": "a"}]', "Failed to get the status of endpoint b (context deadline exceeded)\n"),
            [{"Endpoint": "a"}],
        ),
        ((0, "null\n", ""), []),
    ],
)
def test_of_each_that_answers(monkeypatch, answer, found):
    monkeypatch.setattr(_etcdctl, "dial", lambda endpoint: "")
    params = {"endpoints": ["https://a:2379", "https://b:2379"], "ca": "", "cert": "", "key": "", "wait": 0}
    assert _etcdctl.Etcdctl(Module(*answer), params).of_each("endpoint", "status") == found


def test_of_each_where_none_answers(monkeypatch):
    monkeypatch.setattr(_etcdctl, "dial", lambda endpoint: "")
    params = {"endpoints": ["https://a:2379"], "ca": "", "cert": "", "key": "", "wait": 0}
    etcd = _etcdctl.Etcdctl(Module(1, "null\n", f"{LOGGED}\nFailed to get the status\n"), params)
    with pytest.raises(_etcdctl.Unreachable, match="connection refused"):
        etcd.of_each("endpoint", "status")


@pytest.mark.parametrize(
    "said",
    [
        "Error: context deadline exceeded",
        "Error: rpc error: code = DeadlineExceeded desc = stream terminated by RST_STREAM with error code: CANCEL",
        "Error: etcdserver: no leader",
    ],
)
def test_an_etcd_that_does_not_answer_in_time_is_unreachable(monkeypatch, said):
    monkeypatch.setattr(_etcdctl, "dial", lambda endpoint: "")
    params = {"endpoints": ["https://a:2379"], "ca": "", "cert": "", "key": "", "wait": 0}
    with pytest.raises(_etcdctl.Unreachable):
        _etcdctl.Etcdctl(Module(1, "", f"{said}\n"), params).call("member", "promote", "1")


def test_a_timeout_means_that_etcd_is_unreachable(monkeypatch):
    monkeypatch.setattr(_etcdctl, "dial", lambda endpoint: "")
    params = {"endpoints": ["https://a:2379"], "ca": "", "cert": "", "key": "", "wait": 0}
    etcd = _etcdctl.Etcdctl(Module(124, "", ""), params)
    with pytest.raises(_etcdctl.Unreachable, match="no response within"):
        etcd.call("member", "list")
