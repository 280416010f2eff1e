# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import base64
import json

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.etcd import _etcdctl
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import encryption_usage


class Store:
    """Keys and values, and etcdctl's answer to `get FROM TO --limit=N`."""

    def __init__(self):
        self.values = {}
        self.asked = []

    def add(self, kind, count, value):
        for _number in range(count):
            self.values[f"/registry/{kind}/ns/o{len(self.values):04}"] = value

    def get(self, dummy_etcdctl, *arguments):
        verb, start, end, limit = arguments
        assert verb == "get"
        self.asked.append(start)
        keys = sorted(key for key in self.values if start <= key < end)[: int(limit.removeprefix("--limit="))]

        def encode(data):
            return base64.b64encode(data).decode()

        return (
            {"kvs": [{"key": encode(key.encode()), "value": encode(self.values[key])} for key in keys]} if keys else {}
        )


@pytest.fixture
def store(monkeypatch):
    made = Store()

    def get(*arguments):
        return made.get(*arguments)

    monkeypatch.setattr(_etcdctl.Etcdctl, "patiently", get)
    return made


def test_an_empty_store(store, run_module):
    assert run_module(encryption_usage) == {"changed": False, "in_use": {}}


@pytest.mark.parametrize("page", [2, 3, 4, 7, 50])
def test_every_value_is_counted_once_whatever_the_page(store, run_module, monkeypatch, page):
    monkeypatch.setattr(encryption_usage, "_PAGE", page)
    store.add("secrets", 7, b"k8s:enc:secretbox:v1:key-2:" + bytes(range(256)))
    store.add("configmaps", 2, b"k8s:enc:secretbox:v1:key-1:\xff")
    store.add("configmaps", 3, b"k8s\x00\n\x0f\n\x02v1\x12\tConfigMap")
    store.add("secretsofothers", 5, b"x")
    assert run_module(encryption_usage)["in_use"] == {"key-2": 7, "key-1": 2, "identity": 3}


def test_an_etcd_that_does_not_answer(run_module, monkeypatch):
    def refuse(*dummy):
        raise _etcdctl.EtcdError("etcd does not respond")

    monkeypatch.setattr(_etcdctl.Etcdctl, "patiently", refuse)
    result = run_module(encryption_usage)
    assert result["failed"]
    assert result["msg"] == "The encryption keys in use could not be determined: etcd does not respond"


def test_with_a_real_etcd(etcd, run_module, monkeypatch):
    monkeypatch.setattr(encryption_usage, "_PAGE", 2)
    values = {"a/1": "k8s:enc:secretbox:v1:key-1:", "a/2": "k8s:enc:secretbox:v1:key-2:", "b/3": "k8s plain"}
    for name, value in values.items():
        assert etcd.etcdctl("put", f"/registry/secrets/{name}", value).returncode == 0
    etcd.etcdctl("put", "/registry/secret", "x")
    result = run_module(encryption_usage, **etcd.options())
    assert result["in_use"] == {"key-1": 1, "key-2": 1, "identity": 1}
    assert json.dumps(result).count("k8s") == 0
