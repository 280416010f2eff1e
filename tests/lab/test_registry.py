# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import hashlib
import http.client
import http.server
import json
import ssl
import threading

import pytest

from lab import registry
from lab.registry_server import MANIFEST, Handler, Registry
from plugins.module_utils.artifacts import _archive

NAME = "registry.k8s.io/coredns/coredns:v1"


@pytest.fixture
def get(tmp_path, monkeypatch):
    """A function that sends requests to a registry with one image: (status, headers, body)."""
    image = _archive.image(NAME, [_archive.Entry("coredns", b"program" * 1000)], "amd64", "2026-01-01T00:00:00Z", {})
    (tmp_path / "coredns.tar").write_bytes(image)
    public, private = registry.certificate_and_key("127.0.0.1")
    (tmp_path / "crt").write_bytes(public)
    (tmp_path / "key").write_bytes(private)
    monkeypatch.setattr(Handler, "registry", Registry(tmp_path), raising=False)
    monkeypatch.setattr(Handler, "log_message", lambda *arguments: None)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    trusted = ssl.create_default_context(cafile=str(tmp_path / "crt"))
    connection = http.client.HTTPSConnection("127.0.0.1", server.server_port, context=trusted, timeout=5)

    def get(path, method="GET"):
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.headers, response.read()

    yield get
    connection.close()
    server.shutdown()
    server.server_close()


def test_a_pull(get):
    assert get("/v2/")[0] == 200
    status, headers, body = get("/v2/coredns/coredns/manifests/v1", "HEAD")
    assert (status, headers["Content-Type"], body) == (200, MANIFEST, b"")
    digest = headers["Docker-Content-Digest"]
    status, dummy, body = get(f"/v2/coredns/coredns/manifests/{digest}")
    assert status == 200
    assert digest == f"sha256:{hashlib.sha256(body).hexdigest()}"
    manifest = json.loads(body)
    for blob in (manifest["config"], *manifest["layers"]):
        status, headers, body = get(f"/v2/coredns/coredns/blobs/{blob['digest']}")
        assert (status, headers["Content-Type"], len(body)) == (200, blob["mediaType"], blob["size"])
        assert blob["digest"] == f"sha256:{hashlib.sha256(body).hexdigest()}"


@pytest.mark.parametrize(
    "path", ["/v2/coredns/coredns/manifests/v2", "/v2/coredns/manifests/v1", "/v2/x/blobs/sha256:0", "/"]
)
def test_what_is_not_there(get, path):
    assert get(path)[0] == 404
