# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import http.server
import json
import threading
import typing as t
import urllib.parse

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _api, _kubeconfig

KINDS = ("nodes", "pods", "secrets", "configmaps", "leases", "deployments")


def merge(found: t.Any, patch: t.Any) -> t.Any:
    """A JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(found) if isinstance(found, dict) else {}
    for key, value in patch.items():
        merged[key] = merge(merged.get(key), value)
        if value is None:
            del merged[key]
    return merged


class Request(t.NamedTuple):
    method: str
    path: str
    headers: t.Mapping[str, str]
    body: t.Any


class ApiServer:
    """An API server with a few objects, over HTTP. Its first responses can be set."""

    def __init__(self) -> None:
        self.objects: dict[str, dict] = {}  # by path
        self.budgets: dict[str, str] = {}  # path of a pod -> what a PodDisruptionBudget says to its eviction
        self.requests: list[Request] = []
        # For the next requests, one each: a status to return; None to break the connection; a function to call before the regular response.
        self.first: list[t.Any] = []
        self.url = ""

    def add(self, path: str, **more: t.Any) -> dict:
        names = path.split("/")
        metadata = {"name": names[-1], "resourceVersion": "1"}
        if "namespaces" in names:
            metadata["namespace"] = names[-3]
        self.objects[path] = merge({"metadata": metadata}, more)
        return self.objects[path]

    def asked(self, method: str) -> list[str]:
        return [request.path for request in self.requests if request.method == method]

    def answer(self, request: Request) -> tuple[int, dict] | None:
        self.requests.append(request)
        first = self.first.pop(0) if self.first else 200
        if callable(first):
            first()
        elif first is None:
            return None
        elif first != 200:
            return first, {"message": f"problem {first}"}
        url = urllib.parse.urlsplit(request.path)
        if url.path.endswith("/eviction"):
            return self.evict(url.path, url.query)
        if url.path.rpartition("/")[2] in KINDS:
            return 200, self.list(url.path, dict(urllib.parse.parse_qsl(url.query)))
        if url.path not in self.objects:
            return 404, {"message": "not found"}
        return self.patch(url.path, request.body) if request.method == "PATCH" else (200, self.objects[url.path])

    def list(self, path: str, query: dict[str, str]) -> dict:
        start, limit = int(query.get("continue", 0)), int(query.get("limit", 1000))
        kind = path.rpartition("/")[2]
        found = [one for name, one in self.objects.items() if name.split("/")[-2] == kind]
        more = {"continue": str(start + limit)} if start + limit < len(found) else {}
        # Go encodes an empty list as null.
        return {"items": found[start : start + limit] or None, "metadata": more}

    def patch(self, path: str, body: dict) -> tuple[int, dict]:
        found = self.objects[path]
        version = found["metadata"]["resourceVersion"]
        if body.get("metadata", {}).get("resourceVersion", version) != version:
            return 409, {"message": "the object has been modified"}
        self.objects[path] = merge(found, merge(body, {"metadata": {"resourceVersion": f"{version}1"}}))
        return 200, {"metadata": self.objects[path]["metadata"]}

    def evict(self, path: str, query: str) -> tuple[int, dict]:
        assert query == "dryRun=All"
        budget = self.budgets.get(path.removesuffix("/eviction"))
        details = {"causes": [{"reason": "DisruptionBudget", "message": budget}]}
        return (429, {"message": "Cannot evict pod", "details": details}) if budget else (201, {"status": "Success"})


@pytest.fixture
def api_server(monkeypatch):
    made = ApiServer()
    monkeypatch.setattr(_api, "PAUSE", 0.01)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            answer = made.answer(Request(self.command, self.path, self.headers, body))
            if answer is None:
                self.close_connection = True
                return
            text = json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_PATCH = do_POST = do_GET  # noqa: N815

        def log_message(self, *dummy):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        made.url = f"http://127.0.0.1:{server.server_port}"
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture
def kubeconfig(tmp_path, api_server):
    """The path of a kubeconfig for the API server."""
    path = tmp_path / "admin.conf"
    access = _kubeconfig.Access(api_server.url, "ca.crt", "admin.crt", "admin.key", embedded=False)
    path.write_text(_kubeconfig.render("c", "u", access))
    return path
