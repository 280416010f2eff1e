# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import functools
import http.client
import threading

import pytest

from lab import mirror
from lab.mirror_server import Handler, Server


@pytest.mark.parametrize(
    ("cmdline", "ours"),
    [
        ("python\0-m\0lab.mirror_server\0/cache/mirror\x00172.30.0.1\x008000\0", True),
        ("python\0-m\0lab.mirror_server\0/cache/mirror\x00172.30.1.1\x008000\0", False),
        ("vim\x00172.30.0.1\x008000\0", False),
        ("", False),
    ],
)
def test_is_ours(cmdline, ours):
    assert mirror.service("demo", "172.30.0.1").is_mine(cmdline) is ours


@pytest.fixture
def get(tmp_path):
    """GET from a server of tmp_path, several on one connection: (status, body)."""
    server = Server(("127.0.0.1", 0), functools.partial(Handler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    connection = http.client.HTTPConnection(*server.server_address, timeout=5)

    def get(path):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()

    yield get
    connection.close()
    server.shutdown()
    server.server_close()


def test_serves_files_and_no_listings(get, tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "kubelet").write_bytes(content)
    assert get("/v1/kubelet") == (200, content)
    assert get("/v1/kubelet.sha256")[0] == 404
    assert get("/v1/")[0] == 404
    assert get("/v1/kubelet") == (200, content)
