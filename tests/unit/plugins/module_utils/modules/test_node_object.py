# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import copy
import json

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _probe
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _node_object
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import node_object

DOWN = _probe.Answer(0, "Connection refused")
FORBIDDEN = _probe.Answer(403, json.dumps({"message": "nodes is forbidden"}))
ABSENT = _probe.Answer(404, json.dumps({"message": "not found"}))


class Api:
    """One Node, and answers that come before it is asked."""

    def __init__(self):
        self.node = {"metadata": {"name": "n1", "resourceVersion": "1", "labels": {"hand": "x"}}, "spec": {}}
        self.first = []
        self.patches = []

    def get(self, url, ca, timeout, client, limit):
        assert (url, client[0].rpartition("/")[2]) == ("https://127.0.0.1:6443/api/v1/nodes/n1", "admin.crt")
        return self.first.pop(0) if self.first else _probe.Answer(200, json.dumps(self.node))

    def patch(self, url, body, ca, client):
        body = json.loads(body)
        metadata = self.node["metadata"]
        if body["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
            return _probe.Answer(409, "{}")
        self.patches.append(body)
        metadata["resourceVersion"] += "1"
        for kind in ("labels", "annotations"):
            merged = {**metadata.get(kind, {}), **body["metadata"].get(kind, {})}
            metadata[kind] = {key: value for key, value in merged.items() if value is not None}
        self.node["spec"].update(body.get("spec", {}))
        return _probe.Answer(200, "{}")


@pytest.fixture
def api(monkeypatch):
    fake = Api()
    monkeypatch.setattr(_probe, "get", fake.get)
    monkeypatch.setattr(_probe, "patch", fake.patch)
    return fake


@pytest.fixture
def run(run_module, api, tmp_path):
    for name in ("admin.crt", "admin.key"):
        (tmp_path / name).write_text("")

    def apply(check=False, labels=None, taints=(), **more):
        options = {"name": "n1", "labels": {"a": "1"} if labels is None else labels, "taints": list(taints), "wait": 0}
        where = {"server": "https://127.0.0.1:6443", "pki": str(tmp_path)}
        return run_module(node_object, **{**options, **where, **more}, _ansible_check_mode=check)

    return apply


def test_check_do_check_again_do_again(run, api):
    planned = run(check=True)
    assert (planned["changed"], api.patches) == (True, [])
    done = run()
    assert done == planned
    assert done["actions"] == [("apply", "labels and taints of node n1", "")]
    assert api.node["metadata"]["labels"] == {"hand": "x", "a": "1"}
    for check in (True, False):
        again = run(check=check)
        assert (again["changed"], again["actions"]) == (False, [])
    assert len(api.patches) == 1


def test_what_is_not_wanted_any_more_goes_and_what_others_set_stays(run, api):
    taint = {"key": "gpu", "effect": "NoSchedule"}
    run(taints=[taint])
    assert api.node["spec"]["taints"] == [taint]
    assert run(labels={})["changed"]
    assert (api.node["metadata"]["labels"], api.node["spec"]["taints"]) == ({"hand": "x"}, [])
    assert _node_object.ANNOTATION not in api.node["metadata"]["annotations"]


def test_who_was_quicker_is_looked_at_again(run, api):
    old = copy.deepcopy(api.node)
    api.node["metadata"]["resourceVersion"] = "2"
    api.first = [_probe.Answer(200, json.dumps(old))]
    assert run(wait=1)["changed"]
    assert len(api.patches) == 1


def test_an_api_that_does_not_answer_yet_and_a_node_that_registers_later_are_waited_for(run, api):
    api.first = [DOWN, ABSENT]
    assert run(wait=2)["changed"]


def test_a_node_that_will_register_has_something_to_remember(run, api):
    api.first = [ABSENT]
    assert run(check=True)["changed"]
    api.first = [ABSENT]
    assert not run(check=True, labels={})["changed"]


def test_nothing_is_known_where_nobody_answers(run, api):
    api.first = [DOWN]
    result = run(check=True)
    assert (result["changed"], result["msg"]) == (False, "The state of the Node is unknown: Connection refused.")


def test_a_host_without_a_certificate_is_new(run, api, tmp_path, monkeypatch):
    monkeypatch.setattr(node_object, "KUBELET", str(tmp_path / "nowhere"))
    (tmp_path / "admin.key").unlink()
    assert run(check=True)["changed"]


@pytest.mark.parametrize("answer", [DOWN, FORBIDDEN])
def test_an_error_names_node_and_answer(run, api, answer):
    api.first = [answer] * 3
    result = run()
    assert result["failed"]
    assert result["msg"].startswith(
        "Node n1 did not get the labels and taints of the inventory within 0 s: https://127.0.0.1:6443/"
    )
    assert ("403 nodes is forbidden" if answer is FORBIDDEN else "Connection refused") in result["msg"]
    assert api.patches == []


def test_the_kubelets_own_certificate_is_good_for_a_look(tmp_path, monkeypatch):
    for name in ("kubelet-client.crt", "kubelet-client.key"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(node_object, "KUBELET", str(tmp_path / "current.pem"))
    assert node_object.identity(str(tmp_path)) == (f"{tmp_path}/kubelet-client.crt", f"{tmp_path}/kubelet-client.key")
    (tmp_path / "current.pem").write_text("")
    assert node_object.identity(str(tmp_path)) == (f"{tmp_path}/current.pem", f"{tmp_path}/current.pem")
