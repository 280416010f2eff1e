# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _pki
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _node_object
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import node_object

NODE = "/api/v1/nodes/n1"


class Api:
    """One Node, with labels and taints of others."""

    def __init__(self, server):
        self.server = server
        server.add(NODE, metadata={"labels": {"hand": "x"}}, spec={})

    @property
    def node(self):
        return self.server.objects[NODE]

    @property
    def patches(self):
        return self.server.asked("PATCH")


@pytest.fixture
def api(api_server):
    return Api(api_server)


@pytest.fixture
def run(run_module, api, tmp_path, monkeypatch):
    monkeypatch.setattr(_pki, "DIRECTORY", str(tmp_path))
    for name in ("admin.crt", "admin.key"):
        (tmp_path / name).write_text("")

    def apply(check=False, labels=None, taints=(), **more):
        options = {"name": "n1", "labels": {"a": "1"} if labels is None else labels, "taints": list(taints), "wait": 0}
        return run_module(node_object, **{**options, "server": api.server.url, **more}, _ansible_check_mode=check)

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


def test_unwanted_labels_are_removed_and_foreign_ones_stay(run, api):
    taint = {"key": "gpu", "effect": "NoSchedule"}
    run(taints=[taint])
    assert api.node["spec"]["taints"] == [taint]
    assert run(labels={})["changed"]
    assert (api.node["metadata"]["labels"], api.node["spec"]["taints"]) == ({"hand": "x"}, [])
    assert _node_object.ANNOTATION not in api.node["metadata"]["annotations"]


def test_a_concurrent_change_is_kept(run, api):
    def other():
        api.server.add(NODE, metadata={"resourceVersion": "9", "labels": {"other": "y"}}, spec={})

    api.server.first = [200, other]
    assert run(wait=60)["changed"]
    assert api.node["metadata"]["labels"] == {"other": "y", "a": "1"}
    assert len(api.patches) == 2


def test_an_api_server_and_a_node_that_come_later_are_waited_for(run, api):
    api.server.objects.clear()
    api.server.first = [503, 200, lambda: api.server.add(NODE)]
    assert run(wait=60)["changed"]


def test_a_new_node_has_something_to_record(run, api):
    api.server.objects.clear()
    assert run(check=True)["changed"]
    assert not run(check=True, labels={})["changed"]


def test_the_state_is_unknown_without_an_api_server(run, reserved_port):
    server = f"http://127.0.0.1:{reserved_port()}"
    result = run(check=True, server=server)
    assert not result["changed"]
    assert result["msg"].startswith(f"The state of the Node is unknown: {server}{NODE} does not respond: ")


def test_a_host_without_a_certificate_is_new(run, api, tmp_path, monkeypatch):
    monkeypatch.setattr(node_object, "KUBELET", str(tmp_path / "nowhere"))
    (tmp_path / "admin.key").unlink()
    assert run(check=True)["changed"]
    assert "has no certificate for the API; check that" in run()["msg"]
    assert api.server.requests == []


def test_an_error_names_node_and_answer(run, api):
    api.server.first = [403]
    result = run()
    assert result["failed"]
    assert result["msg"] == (
        f"Node n1 did not get the labels and taints of the inventory within 0 s: {api.server.url}{NODE} returns 403: problem 403; "
        "check that its kubelet and the API server are running (plainkube.cluster.status), and run this again."
    )
    assert api.patches == []


def test_the_kubelets_own_certificate_is_used_for_inspection(tmp_path, monkeypatch):
    for name in ("kubelet-client.crt", "kubelet-client.key"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(node_object, "KUBELET", str(tmp_path / "current.pem"))
    monkeypatch.setattr(_pki, "DIRECTORY", str(tmp_path))
    assert node_object.identity() == (f"{tmp_path}/kubelet-client.crt", f"{tmp_path}/kubelet-client.key")
    (tmp_path / "current.pem").write_text("")
    assert node_object.identity() == (f"{tmp_path}/current.pem", f"{tmp_path}/current.pem")
