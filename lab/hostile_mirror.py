# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A mirror with TLS that attacks its clients, and records their requests. The first part of a path selects the attack.

Sums are served for everything, in the layout of each upstream."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import tarfile
import time
import typing as t

from lab import https, mirror
from plugins.module_utils.host import _host

# What stands in for each download.
CONTENT = b"#!/bin/sh\ntouch /run/plainkube-attacked\n"
LARGE = 10 << 30
# Seconds after which a slow connection ends by itself: far longer than a client may wait.
LONGEST = 600
ATTACKS = ("redirect", "trickle", "large", "sum", "archive")


def archive() -> bytes:
    """A .tar.gz with members outside the directory into which it is unpacked."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in ("../../../usr/local/bin/cri-dockerd", "/usr/local/bin/cri-dockerd", "cri-dockerd/../cri-dockerd"):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(CONTENT), 0o755
            tar.addfile(info, io.BytesIO(CONTENT))
        link = tarfile.TarInfo("cri-dockerd/cri-dockerd")
        link.type, link.linkname = tarfile.SYMTYPE, "/usr/local/bin/kubelet"
        tar.addfile(link)
    return buffer.getvalue()


def sums(path: str, content: bytes) -> bytes | None:
    """The document with the checksum of the served file, if the path belongs to such a document."""
    checksum = hashlib.sha256(content).hexdigest()
    if path.endswith(".sha256"):
        return checksum.encode()
    if "/repos/" in path:
        version = path.rpartition("/v")[2]
        names = [f"cri-dockerd-{version}.{architecture}.tgz" for architecture in _host.ARCHITECTURES.values()]
        return json.dumps({"assets": [{"name": name, "digest": f"sha256:{checksum}"} for name in names]}).encode()
    return None


class Hostile(t.NamedTuple):
    served: https.Served
    # Attack -> the requested paths.
    asked: dict[str, list[str]]

    def url(self, attack: str) -> str:
        """The value for artifacts_mirror."""
        return f"{self.served.url}/{attack}"


@contextlib.contextmanager
def serve(address: str) -> t.Iterator[Hostile]:
    """Serve on an address during a test."""
    asked: dict[str, list[str]] = {attack: [] for attack in ATTACKS}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:  # noqa: N802 (the name that http.server calls)
            self._send(b"")

        def do_GET(self) -> None:  # noqa: N802
            attack, dummy, path = self.path.strip("/").partition("/")
            asked[attack].append(path)
            content = archive() if attack == "archive" else CONTENT
            document = sums(path, content)
            if document is not None:
                self._send(document)
            else:
                getattr(self, f"_{attack}")(content)

        def _send(self, content: bytes, **headers: str) -> None:
            self.send_response(302 if "Location" in headers else 200)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def _redirect(self, dummy: bytes) -> None:
            self._send(b"", Location=f"{mirror.url(address)}{self.path}")

        def _trickle(self, content: bytes) -> None:
            end = time.monotonic() + LONGEST
            self.send_response(200)
            self.send_header("Content-Length", str(1 << 20))
            self.end_headers()
            with contextlib.suppress(OSError):
                while time.monotonic() < end:
                    self.wfile.write(b"#")
                    time.sleep(1)

        def _large(self, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(LARGE))
            self.end_headers()
            sent = 0
            with contextlib.suppress(OSError):
                while sent < LARGE:
                    sent += self.wfile.write(bytes(1 << 20))

        def _sum(self, content: bytes) -> None:
            self._send(content + b"\n")

        def _archive(self, content: bytes) -> None:
            self._send(content)

        def log_message(self, *dummy: t.Any) -> None:
            """No log; tests print what they find."""

    with https.run(address, Handler) as served:
        yield Hostile(served, asked)
