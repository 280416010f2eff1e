# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import urllib.parse

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import kube_rewrite

KUBECONFIG = """\
clusters: [{cluster: {server: "https://127.0.0.1:6443", certificate-authority: /pki/ca.crt}}]
users: [{user: {client-certificate: /pki/admin.crt, client-key: /pki/admin.key}}]
"""


class Server:
    """What an API server does with lists and patches."""

    def __init__(self):
        self.objects = {"secrets": [], "configmaps": []}
        self.patched = []
        self.requests = []
        self.problems = []  # answers or errors that come before the right ones

    def answer(self, dummy_api, method, path, body, headers):
        self.requests.append((method, path, body, headers))
        if self.problems:
            problem = self.problems.pop(0)
            if isinstance(problem, Exception):
                raise problem
            if problem:
                return kube_rewrite.Answer(problem, {"message": f"trouble {problem}"})
        return self.patch(path) if method == "PATCH" else self.list(path)

    def list(self, path):
        url = urllib.parse.urlsplit(path)
        query = dict(urllib.parse.parse_qsl(url.query))
        start, limit = int(query.get("continue", 0)), int(query["limit"])
        found = self.objects[url.path.rpartition("/")[2]]
        page = [
            {"metadata": {"namespace": namespace, "name": name}} for namespace, name in found[start : start + limit]
        ]
        more = {"continue": str(start + limit)} if start + limit < len(found) else {}
        return kube_rewrite.Answer(200, {"items": page or None, "metadata": more})

    def patch(self, path):
        dummy, dummy, dummy, dummy, namespace, kind, name = path.split("/")
        self.patched.append((kind, namespace, name))
        gone = (namespace, name) not in self.objects[kind]
        return kube_rewrite.Answer(404 if gone else 200, {})


@pytest.fixture
def server(monkeypatch):
    made = Server()

    def answer(*arguments):
        return made.answer(*arguments)

    monkeypatch.setattr(kube_rewrite.Api, "_once", answer)
    monkeypatch.setattr(kube_rewrite, "_PAUSE", 0)
    return made


@pytest.fixture
def rewrite(run_module, tmp_path):
    (tmp_path / "admin.conf").write_text(KUBECONFIG)
    return lambda **arguments: run_module(kube_rewrite, kubeconfig=str(tmp_path / "admin.conf"), **arguments)


@pytest.mark.parametrize("page", [1, 2, 3, 500])
def test_each_object_is_written_once(server, rewrite, page):
    server.objects = {"secrets": [("a", "s1"), ("a", "s2"), ("b", "s1")], "configmaps": [("a", "c")]}
    result = rewrite(page=page)
    assert result == {"changed": False, "objects": {"secrets": 3, "configmaps": 1}}
    assert server.patched == [
        ("secrets", "a", "s1"),
        ("secrets", "a", "s2"),
        ("secrets", "b", "s1"),
        ("configmaps", "a", "c"),
    ]


def test_no_content_is_asked_for_or_sent(server, rewrite):
    server.objects["secrets"] = [("a", "s1")]
    rewrite()
    for method, _path, body, headers in server.requests:
        assert "as=PartialObjectMetadata" in headers["Accept"]
        assert body == ("{}" if method == "PATCH" else None)


def test_an_object_that_is_gone_meanwhile(server, rewrite):
    server.objects["secrets"] = [("a", "s1"), ("a", "s2")]
    patch = server.patch

    def patch_after_delete(path):
        server.objects["secrets"] = [("a", "s2")]
        return patch(path)

    server.patch = patch_after_delete
    assert not rewrite().get("failed")
    assert server.patched == [("secrets", "a", "s1"), ("secrets", "a", "s2")]


@pytest.mark.parametrize(
    "problem", [409, 429, 503, ConnectionResetError("reset"), kube_rewrite.http.client.BadStatusLine("")]
)
def test_what_may_pass_is_tried_again(server, rewrite, problem):
    server.objects["secrets"] = [("a", "s1")]
    server.problems = [None, problem, problem]
    assert rewrite()["objects"]["secrets"] == 1
    assert server.patched == [("secrets", "a", "s1")]


def test_what_does_not_pass_is_told(server, rewrite):
    server.objects["secrets"] = [("a", "s1")]
    server.problems = [None, 403]
    result = rewrite()
    assert result["failed"]
    assert result["msg"] == (
        "Objects could not be rewritten: PATCH https://127.0.0.1:6443/api/v1/namespaces/a/secrets/s1 failed: trouble 403"
    )
    assert server.patched == []


def test_an_api_server_that_stays_away(server, rewrite):
    server.problems = [ConnectionRefusedError("refused")] * 3
    assert rewrite(wait=0)["msg"].endswith("/api/v1/secrets?limit=500 failed: refused")


def test_a_list_that_took_too_long_begins_anew(server, rewrite):
    server.objects["secrets"] = [("a", "s1"), ("a", "s2")]
    server.problems = [None, None, 410]
    rewrite(page=1)
    assert server.patched == [("secrets", "a", "s1"), ("secrets", "a", "s1"), ("secrets", "a", "s2")]


def test_check_mode_patches_nothing(server, rewrite):
    server.objects["secrets"] = [("a", "s1")]
    assert rewrite(_ansible_check_mode=True)["objects"] == {"secrets": 1, "configmaps": 0}
    assert server.patched == []


def test_a_host_without_a_kubeconfig(run_module, tmp_path):
    result = run_module(kube_rewrite, kubeconfig=str(tmp_path / "none"))
    assert f"kubeconfig {tmp_path}/none on this host does not exist" in result["msg"]
