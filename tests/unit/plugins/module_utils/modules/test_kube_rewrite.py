# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import kube_rewrite


@pytest.fixture
def rewrite(run_module, api_server, kubeconfig):
    for kind, name in (("secrets", "s1"), ("secrets", "s2"), ("configmaps", "c")):
        api_server.add(path(kind, name), data={"password": "hidden"})
    return lambda **arguments: run_module(kube_rewrite, kubeconfig=str(kubeconfig), **arguments)


def path(kind, name):
    return f"/api/v1/namespaces/a/{kind}/{name}"


def test_each_object_is_written_once_and_as_it_is(rewrite, api_server, monkeypatch):
    monkeypatch.setattr(kube_rewrite, "PAGE", 1)
    assert rewrite() == {"changed": False, "objects": {"secrets": 2, "configmaps": 1}}
    assert api_server.asked("PATCH") == [*api_server.objects]
    assert {str(request.body) for request in api_server.requests if request.method == "PATCH"} == {"{}"}
    # No content is requested.
    assert all("as=PartialObjectMetadata" in request.headers["Accept"] for request in api_server.requests)


def test_an_object_that_is_deleted_meanwhile(rewrite, api_server):
    api_server.first = [200, lambda: api_server.objects.pop(path("secrets", "s1"))]
    assert not rewrite().get("failed")
    assert api_server.asked("PATCH") == [path("secrets", "s1"), path("secrets", "s2"), path("configmaps", "c")]


def test_a_permanent_error_is_reported(rewrite, api_server):
    api_server.first = [200, 403]
    refused = f"{api_server.url}{path('secrets', 's1')} returns 403: problem 403"
    assert rewrite()["msg"] == f"Objects could not be rewritten: {refused}"
    assert len(api_server.asked("PATCH")) == 1


def test_check_mode_patches_nothing(rewrite, api_server):
    assert rewrite(_ansible_check_mode=True)["objects"] == {"secrets": 2, "configmaps": 1}
    assert api_server.asked("PATCH") == []


def test_a_host_without_a_kubeconfig(run_module, tmp_path):
    result = run_module(kube_rewrite, kubeconfig=str(tmp_path / "none"))
    assert f"{tmp_path}/none on this host does not exist" in result["msg"]
