# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import datetime
import http.server
import ssl
import threading

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _certificates
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _api, _kubeconfig

NODE = "/api/v1/nodes/n1"


@pytest.fixture
def api(api_server, kubeconfig):
    return _api.connect(str(kubeconfig))


def test_an_object_and_a_missing_one(api, api_server):
    assert api.read(NODE) is None
    api_server.add(NODE, spec={"a": 1})
    assert api.read(NODE)["spec"] == {"a": 1}
    assert len(api_server.requests) == 2


@pytest.mark.parametrize("problem", [409, 429, 500, 503, None])
def test_transient_errors_are_retried(api, api_server, problem):
    api_server.add(NODE)
    api_server.first = [200, problem, problem, problem]
    assert api.read(NODE)
    assert api.read(NODE, seconds=60)
    api_server.first = [problem, problem]
    with pytest.raises(_api.ApiError):
        api.read(NODE)


def test_permanent_errors_are_not_retried(api, api_server):
    api_server.first = [403]
    with pytest.raises(_api.ApiError, match=f"^{api_server.url}{NODE} returns 403: problem 403$") as error:
        api.read(NODE, seconds=60)
    assert not error.value.answer.unreachable


def test_no_response(reserved_port):
    url = f"http://127.0.0.1:{reserved_port()}"
    api = _api.Api(_kubeconfig.Access(url, "", "", "", embedded=False))
    with pytest.raises(_api.ApiError, match=f"^{url}{NODE} does not respond: .*refused") as error:
        api.read(NODE)
    assert error.value.answer.unreachable


def test_a_broken_connection_is_reopened(api, api_server):
    api_server.add(NODE)
    api_server.first = [200, None]
    assert api.read(NODE)
    assert api.read(NODE)


@pytest.mark.parametrize("size", [1, 2, 3, 500])
def test_a_list_is_read_in_pages_without_content(api, api_server, size):
    for name in ("a", "b", "c"):
        api_server.add(f"/api/v1/namespaces/x/secrets/{name}")
    pages = [*api.pages("/api/v1/secrets", size)]
    assert [metadata["name"] for page in pages for metadata in page] == ["a", "b", "c"]
    assert max(map(len, pages)) == min(size, 3)
    assert {request.headers["Accept"] for request in api_server.requests} == {
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    }
    assert [*api.pages("/api/v1/configmaps", size)] == [[]]


def test_a_list_that_expires_starts_again(api, api_server):
    for name in ("a", "b"):
        api_server.add(f"/api/v1/namespaces/x/secrets/{name}")
    api_server.first = [200, 410]
    assert [page[0]["name"] for page in api.pages("/api/v1/secrets", 1)] == ["a", "a", "b"]
    api_server.first = [410]
    with pytest.raises(_api.ApiError):
        next(api.pages("/api/v1/secrets", 1))


def test_a_patch(api, api_server):
    api_server.add(NODE, spec={"a": 1, "b": 2})
    api.patch(NODE, {"spec": {"a": None}})
    assert api_server.objects[NODE]["spec"] == {"b": 2}
    headers = api_server.requests[-1].headers
    assert headers["Content-Type"] == "application/merge-patch+json"
    assert headers["Accept"] == "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    api.patch("/api/v1/nodes/gone", {})


def count(node):
    metadata = {"resourceVersion": node["metadata"]["resourceVersion"]}
    return {"metadata": metadata, "spec": {"count": node.get("spec", {}).get("count", 0) + 1}}


def test_a_change_is_computed_again_after_a_concurrent_one(api, api_server):
    def other():
        api_server.add(NODE, metadata={"resourceVersion": "9"}, spec={"count": 5})

    api_server.add(NODE)
    api_server.first = [200, other]
    api.change(NODE, count, seconds=60)
    assert api_server.objects[NODE]["spec"] == {"count": 6}
    assert api_server.asked("PATCH") == [NODE, NODE]


def test_nothing_to_change(api, api_server):
    api_server.add(NODE)
    api.change(NODE, lambda node: None, seconds=0)
    assert api_server.asked("PATCH") == []


def test_waiting_for_an_object(api, api_server):
    api.change(NODE, count, seconds=0)
    with pytest.raises(_api.ApiError, match="returns 404: not found"):
        api.change(NODE, count, seconds=0, awaited=True)
    api_server.first = [200, lambda: api_server.add(NODE)]
    api.change(NODE, count, seconds=60, awaited=True)
    assert api_server.objects[NODE]["spec"] == {"count": 1}


def test_the_reason_that_blocks_an_eviction(api, api_server):
    assert api.eviction_refusal("default", "web") == ""
    api_server.budgets["/api/v1/namespaces/default/pods/web"] = "The disruption budget web needs 1 healthy pods"
    assert api.eviction_refusal("default", "web") == "The disruption budget web needs 1 healthy pods"
    assert api_server.requests[-1].headers["Content-Type"] == "application/json"
    # The API server itself is busy.
    api_server.first = [429]
    assert api.eviction_refusal("default", "web") == ""


@pytest.mark.parametrize(
    "text",
    [
        None,
        "junk",
        "kind: Config\n",
        '{"kind": "Config"}',
        _kubeconfig.render("c", "u", _kubeconfig.Access("https://x", "", "c", "k", False)),
    ],
)
def test_a_kubeconfig_without_access(tmp_path, text):
    path = tmp_path / "admin.conf"
    if text is not None:
        path.write_text(text)
    with pytest.raises(
        _api.ApiError, match=f"^{path} on this host does not exist, or is not a kubeconfig in JSON"
    ) as error:
        _api.connect(str(path))
    assert error.value.answer.unreachable


@pytest.mark.parametrize("embedded", [False, True])
def test_a_real_server_requires_the_certificate(tmp_path, embedded):
    """Server and client verify each other with their CAs."""
    now = datetime.datetime.now(datetime.timezone.utc)
    files = {}
    for name in ("ours", "other"):
        authority = _certificates.new_authority("kubernetes", name, _certificates.new_key(), now)
        files[f"{name}-ca"] = _certificates.certificate_text(authority.certificate)
        for kind, addresses in (("server", ("127.0.0.1",)), ("client", ())):
            key = _certificates.new_key()
            wanted = _certificates.Wanted("kubernetes", "x", "", addresses, (kind,))
            files[f"{name}-{kind}-key"] = _certificates.key_text(key)
            files[f"{name}-{kind}"] = _certificates.certificate_text(
                _certificates.issue(wanted, key.public_key(), authority, now, 365)
            )
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"kind": "Node"}')

        def log_message(self, *dummy):
            pass

    def read(ca, client):
        names = (f"{ca}-ca", f"{client}-client", f"{client}-client-key")
        values = (files[name] if embedded else str(tmp_path / name) for name in names)
        access = _kubeconfig.Access(f"https://127.0.0.1:{server.server_port}", *values, embedded=embedded)
        (tmp_path / "kubeconfig").write_text(_kubeconfig.render("c", "u", access))
        return _api.connect(str(tmp_path / "kubeconfig")).read(NODE)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ours-ca")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(tmp_path / "ours-server", tmp_path / "ours-server-key")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.handle_error = lambda request, address: None
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        assert read("ours", "ours") == {"kind": "Node"}
        for ca, client in (("other", "ours"), ("ours", "other")):
            with pytest.raises(_api.ApiError, match="does not respond"):
                read(ca, client)
        server.shutdown()
