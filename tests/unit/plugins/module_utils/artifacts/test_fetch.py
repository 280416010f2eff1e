# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import io
import itertools
import socket
import threading
import time
import types
import urllib.error
import urllib.request

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.artifacts import _fetch
from ansible_collections.plainkube.cluster.plugins.module_utils.network._proxy import Proxies

BODY = b"kubelet" * 500_000


@pytest.fixture
def server():
    """A server that answers with the codes in its list, then with the body; 0 hangs up in the middle of it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            server.heads += 1
            self.do_GET()

        def do_GET(self):
            code = server.codes.pop(0) if server.codes else 200
            server.requests += 1
            self.send_response(code or 200)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            if code in (0, 200) and self.command == "GET":
                self.wfile.write(BODY[: None if code else 1000])

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.codes, server.requests, server.heads = [], 0, 0
    server.url = f"http://127.0.0.1:{server.server_port}/kubelet"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def fetch(source):
    """The sum, what was written, and the waits."""
    sink, waits = io.BytesIO(), []
    return _fetch.fetch(source, sink, sleep=waits.append), sink.getvalue(), waits


@pytest.mark.parametrize(
    ("codes", "waits"),
    [([], []), ([503], [0.5]), ([429, 500], [0.5, 1.5]), ([0], [0.5]), ([0, 502, 0], [0.5, 1.5, 4.0])],
)
def test_what_passes_is_tried_again(server, codes, waits):
    server.codes = list(codes)
    assert fetch(server.url) == (hashlib.sha256(BODY).hexdigest(), BODY, waits)


@pytest.mark.parametrize(
    ("codes", "said", "requests"),
    [
        ([404], "kubelet does not exist: check the version", 1),
        ([403], "kubelet cannot be downloaded (HTTP 403): check that this host can reach it", 1),
        ([503] * 4, "kubelet cannot be downloaded (HTTP 503)", 4),
    ],
)
def test_what_stays_is_said(server, codes, said, requests):
    server.codes = list(codes)
    with pytest.raises(_fetch.FetchError) as error:
        fetch(server.url)
    assert said in str(error.value)
    assert str(error.value).startswith(server.url)
    assert server.requests == requests


def test_a_server_that_is_down(server):
    server.shutdown()
    server.server_close()
    waits = []
    with pytest.raises(_fetch.FetchError, match="cannot be downloaded .*refused.*artifacts_mirror"):
        _fetch.fetch(server.url, io.BytesIO(), sleep=waits.append)
    assert waits == list(_fetch.PAUSES)


def test_a_path(tmp_path):
    (tmp_path / "kubelet").write_bytes(BODY)
    assert fetch(str(tmp_path / "kubelet")) == (hashlib.sha256(BODY).hexdigest(), BODY, [])
    with pytest.raises(_fetch.FetchError, match="absent does not exist: check the version"):
        fetch(str(tmp_path / "absent"))


def test_what_was_written_before_does_not_stay():
    sink = io.BytesIO(b"x" * 100)
    _fetch.fetch("/dev/null", sink)
    assert sink.getvalue() == b""


def test_a_proxy_of_the_environment_is_used(server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert fetch("http://mirror.invalid/kubelet")[1] == BODY


def test_githubs_limit_is_explained():
    error = urllib.error.HTTPError("u", 403, "rate limit exceeded", None, None)
    assert "artifacts_checksums" in _fetch.explain("https://api.github.com/repos/o/r/releases/tags/v1", error)


def test_a_full_disk_is_not_blamed_on_the_network():
    with open("/dev/full", "r+b", buffering=0) as full, pytest.raises(OSError, match="No space left"):
        full.write(b"x")
    said = _fetch.explain("http://mirror/kubelet", OSError(28, "No space left on device"))
    assert said.startswith("The disk is full")


def test_a_probe_asks_without_fetching(server, tmp_path):
    waits = []
    server.codes = [503, 200]
    _fetch.probe(server.url, sleep=waits.append)
    assert (server.requests, server.heads, waits) == (2, 2, [0.5])
    server.codes = [404]
    with pytest.raises(_fetch.FetchError, match="kubelet does not exist") as error:
        _fetch.probe(server.url)
    assert _fetch.absent(error.value.__cause__)
    with pytest.raises(_fetch.FetchError, match="absent does not exist"):
        _fetch.probe(str(tmp_path / "absent"))


# --- proxies ---

PASSWORD = "Geh/eim#1"  # noqa: S105
ENCODED = "Geh%2Feim%231"


@pytest.fixture
def proxy(server, monkeypatch):
    """A proxy that asks for a password, and leads to the server whatever the request is for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            proxy.seen.append((self.command, self.path))
            authorization = self.headers.get("Proxy-Authorization", "")
            if authorization != "Basic " + base64.b64encode(f"user:{PASSWORD}".encode()).decode():
                self.send_error(407)
            elif self.path == "http://redirects/kubelet":
                self.send_response(302)
                self.send_header("Location", f"http://direct.example.com:{server.server_port}/kubelet")
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif self.command == "CONNECT":
                self.send_error(502)
            else:
                self.send_response(200)
                self.send_header("Content-Length", str(len(BODY)))
                self.end_headers()
                self.wfile.write(BODY)

        do_GET = do_CONNECT = answer

        def log_message(self, *arguments):
            pass

    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.setenv(name, "http://nowhere.invalid:1")
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.seen = []
    proxy.url = f"http://user:{ENCODED}@127.0.0.1:{proxy.server_port}"
    threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True).start()
    yield proxy
    proxy.shutdown()
    proxy.server_close()


def through(source, *proxies):
    sink = io.BytesIO()
    _fetch.fetch(source, sink, Proxies(*proxies), sleep=lambda seconds: None)
    return sink.getvalue()


def test_a_download_through_a_proxy_with_a_password(proxy):
    assert through("http://upstream.example.com/kubelet", proxy.url) == BODY
    assert proxy.seen == [("GET", "http://upstream.example.com/kubelet")]


def test_what_is_excepted_goes_past_the_proxy_and_past_that_of_the_environment(proxy, server):
    assert through(server.url, proxy.url) == BODY  # loopback
    assert proxy.seen == []


def test_a_proxy_that_refuses_is_named_and_its_password_is_not(proxy):
    wrong = proxy.url.replace(ENCODED, "Falsch")
    for source, proxies in (
        ("http://upstream.example.com/x", (wrong,)),
        ("https://upstream.example.com/x", ("", wrong)),
    ):
        proxy.seen.clear()
        with pytest.raises(_fetch.FetchError) as error:
            through(source, *proxies)
        assert "the proxy refuses this host" in str(error.value)
        assert "cluster_https_proxy" in str(error.value)
        assert "Falsch" not in str(error.value)
        assert len(proxy.seen) == 1  # the same again would be refused again


def test_a_proxy_that_is_down_or_gets_no_tunnel(proxy):
    with pytest.raises(_fetch.FetchError) as error:
        through("https://upstream.example.com/x", "", proxy.url)
    assert "Tunnel connection failed: 502" in str(error.value)
    assert ENCODED not in str(error.value)
    assert PASSWORD not in str(error.value)
    proxy.shutdown()
    proxy.server_close()
    with pytest.raises(_fetch.FetchError) as error:
        through("http://upstream.example.com/x", proxy.url)
    assert "refused" in str(error.value)
    assert ENCODED not in str(error.value)
    assert PASSWORD not in str(error.value)


def test_a_server_without_proxy_is_not_told_the_password(proxy, server, monkeypatch):
    """A redirect from the proxy's world to a host that is excepted."""
    got = []
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *more, **options: resolve("127.0.0.1" if host == "direct.example.com" else host, *more, **options),
    )
    answer = server.RequestHandlerClass.do_GET
    monkeypatch.setattr(
        server.RequestHandlerClass, "do_GET", lambda self: (got.append(dict(self.headers)), answer(self))
    )
    assert through("http://redirects/kubelet", proxy.url, "", ["direct.example.com"]) == BODY
    assert len(got) == 1
    assert not [name for name in got[0] if name.lower() == "proxy-authorization"]


# --- servers that never come to an end -----------------------------------------------------------------------------


@pytest.fixture
def rogue():
    """A server that does to a client what rogue.does says, until the client hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        rogue = types.SimpleNamespace(url=f"http://127.0.0.1:{listener.getsockname()[1]}/kubelet", does=None, clients=0)

        def serve():
            while True:
                try:
                    client, dummy = listener.accept()
                except OSError:
                    return
                rogue.clients += 1
                with client, contextlib.suppress(OSError):
                    client.recv(4096)
                    rogue.does(client)

        threading.Thread(target=serve, daemon=True).start()
        yield rogue
        listener.shutdown(socket.SHUT_RDWR)


def drip(text, head=b""):
    """A byte every few milliseconds, without an end."""

    def does(client):
        client.sendall(head)
        for byte in itertools.cycle(text):
            client.sendall(bytes([byte]))
            time.sleep(0.02)

    return does


HEAD = b"HTTP/1.1 200 OK\r\n"
BOUNDS = {"stall": 0.5, "longest": 30.0, "pauses": (), "largest": 1 << 20}


@pytest.mark.parametrize(
    "does",
    [
        drip(b"a"),
        drip(b"a", HEAD),
        drip(b"a", HEAD + b"\r\n"),
        drip(b"a", HEAD + b"Content-Length: 100000\r\n\r\n"),
        drip(b"1\r\na\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\n"),
    ],
    ids=["status", "headers", "body", "body of a length", "chunks"],
)
def test_a_server_that_trickles_is_given_up(rogue, does):
    rogue.does = does
    with pytest.raises(_fetch.FetchError) as caught:
        _fetch.fetch(rogue.url, io.BytesIO(), **{**BOUNDS, "pauses": (0.0, 0.0)})
    said = f"{rogue.url} cannot be downloaded (it sends less than 64 KiB in 0.5 s): use a nearby mirror (artifacts_mirror)."
    assert str(caught.value) == said
    # What it does once, it would do again.
    assert rogue.clients == 1


def test_a_download_that_takes_too_long_is_given_up(rogue):
    """Though a block comes now and then."""

    def does(client):
        client.sendall(HEAD + b"\r\n")
        while True:
            client.sendall(bytes(1 << 16))
            time.sleep(0.1)

    rogue.does = does
    with pytest.raises(_fetch.FetchError, match=r"\(it takes longer than 1 s\)"):
        _fetch.fetch(rogue.url, io.BytesIO(), **{**BOUNDS, "longest": 1.0, "largest": 1 << 40})


@pytest.mark.parametrize("head", [HEAD + b"Content-Length: 10000000000\r\n\r\n", HEAD + b"\r\n"])
def test_a_download_of_any_size_is_not_written_to_the_disk(rogue, head):
    def does(client):
        client.sendall(head)
        while True:
            client.sendall(bytes(1 << 16))

    rogue.does, sink = does, io.BytesIO()
    with pytest.raises(_fetch.FetchError, match=r"/kubelet is larger than 1 MiB: check the mirror"):
        _fetch.fetch(rogue.url, sink, **BOUNDS)
    assert len(sink.getvalue()) <= 1 << 20


def test_what_is_as_large_as_it_may_be(server):
    assert _fetch.fetch(server.url, io.BytesIO(), largest=len(BODY)) == hashlib.sha256(BODY).hexdigest()
    with pytest.raises(_fetch.FetchError, match="is larger than"):
        _fetch.fetch(server.url, io.BytesIO(), largest=len(BODY) - 1)


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        ("https://a/x", "http://a/x", True),
        ("https://a/x", "ftp://a/x", True),
        ("HTTPS://a/x", "http://user:Geheim@b/x", True),
        ("https://a/x", "https://b/x", False),
        ("http://a/x", "https://b/x", False),
        ("http://a/x", "http://b/x", False),
    ],
)
def test_a_redirect_never_goes_from_https_to_less(before, after, refused):
    redirect = _fetch._RedirectHandler().redirect_request
    request = urllib.request.Request(before)
    if not refused:
        assert redirect(request, None, 302, "Found", {}, after).full_url == after
        return
    with pytest.raises(_fetch._RefusedError, match="which has no TLS") as caught:
        redirect(request, None, 302, "Found", {}, after)
    assert "Geheim" not in str(caught.value)
