# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Serves image archives as a registry over HTTPS: `python -m lab.registry_server DIRECTORY CERTIFICATE KEY ADDRESS PORT`.

As much of the distribution specification as a pull takes, read-only; the archives are those that `docker save` writes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import json
import pathlib
import re
import ssl
import sys
import tarfile
import typing as t

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs)/(?P<reference>[^/]+)")


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    """The content of a regular file in an archive."""
    stream = archive.extractfile(name)
    if stream is None:
        raise ValueError(f"{name} is no regular file")
    return stream.read()


@dataclasses.dataclass(frozen=True)
class Blob:
    """The bytes of an archive's member, or other bytes."""

    media_type: str
    content: bytes = b""
    archive: str = ""
    member: str = ""

    def read(self) -> bytes:
        if not self.archive:
            return self.content
        with tarfile.open(self.archive) as archive:
            return _member(archive, self.member)


class Registry:
    """The images of a directory: manifests by NAME:TAG, and every blob by its digest."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.tags: dict[str, str] = {}
        self.blobs: dict[str, Blob] = {}
        for path in sorted(directory.glob("*.tar")):
            self._add(str(path))

    def _add(self, path: str) -> None:
        with tarfile.open(path) as archive:
            images = json.loads(_member(archive, "manifest.json"))
        for image in images:
            config = self._keep(Blob("application/vnd.oci.image.config.v1+json", archive=path, member=image["Config"]))
            layers = [
                self._keep(Blob("application/vnd.oci.image.layer.v1.tar", archive=path, member=layer))
                for layer in image["Layers"]
            ]
            manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
            digest = self._keep(Blob(MANIFEST, json.dumps(manifest).encode()))["digest"]
            for tag in image["RepoTags"]:
                # Without the registry in its name: this one stands in for it.
                self.tags[tag.partition("/")[2]] = digest

    def _keep(self, blob: Blob) -> dict[str, t.Any]:
        """Add a blob; returns its descriptor."""
        content = blob.read()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = blob
        return {"mediaType": blob.media_type, "digest": digest, "size": len(content)}

    def find(self, path: str) -> tuple[str, Blob] | None:
        """Digest and blob at a path."""
        found = _PATH.fullmatch(path)
        if not found:
            return None
        reference = found["reference"]
        digest = reference if ":" in reference else self.tags.get(f"{found['name']}:{reference}", "")
        return (digest, self.blobs[digest]) if digest in self.blobs else None


class Handler(http.server.BaseHTTPRequestHandler):
    """GET and HEAD of manifests and blobs."""

    protocol_version = "HTTP/1.1"
    registry: Registry

    def do_GET(self) -> None:  # noqa: N802
        found = self.registry.find(self.path)
        if self.path in ("/v2", "/v2/"):
            self._answer(200, "application/json", b"{}")
        elif found is None:
            self._answer(404, "application/json", b'{"errors": [{"code": "NAME_UNKNOWN"}]}')
        else:
            digest, blob = found
            self._answer(200, blob.media_type, blob.read(), {"Docker-Content-Digest": digest})

    do_HEAD = do_GET

    def _answer(self, code: int, media_type: str, content: bytes, headers: t.Mapping[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Docker-Distribution-Api-Version": "registry/2.0", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


def main(directory: str, certificate: str, key: str, address: str, port: str) -> None:
    """Serve until killed."""
    Handler.registry = Registry(pathlib.Path(directory))
    server = http.server.ThreadingHTTPServer((address, int(port)), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
