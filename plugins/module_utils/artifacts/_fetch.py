# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Downloads from a URL or path, with retries, hashed while they are written."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import socket
import ssl
import threading
import time
import typing as t
import urllib.error
import urllib.request

from ansible_collections.plainkube.cluster.plugins.module_utils.network._proxy import NONE, Proxies, bypasses, redact

# The delays between attempts. Six seconds in total tolerate a restart of the mirror; more would hide a mirror that is down.
PAUSES = (0.5, 1.5, 4.0)
# A transfer is aborted if no block arrives within the first time, or if it takes longer than the second in total, in seconds.
_BLOCK = 1 << 16
STALL, LONGEST = 60.0, 3600.0
# Far larger than any release of a component or image, in bytes.
LARGEST = 2 << 30
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


class FetchError(Exception):
    """A failed download; the text is a sentence that names it and says what to do."""


class _RefusedError(Exception):
    """A response that no retry may accept; the text follows the name of the download, and ends with the remedy."""


class _Watch:
    """Closes the connections of a transfer that is too slow, whatever it is waiting for: a socket's timeout restarts with each byte."""

    def __init__(self, stall: float, longest: float) -> None:
        self._stall, self._longest = stall, longest
        self._sockets: list[socket.socket] = []
        self._ended = threading.Event()
        self.late = ""
        self.progress = 0

    def __enter__(self) -> _Watch:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *dummy: t.Any) -> None:
        self._ended.set()
        self._thread.join()

    def watched(self, kind: type[http.client.HTTPConnection]) -> type[http.client.HTTPConnection]:
        """Connections that register their sockets: first the TCP socket, which a proxy may keep waiting, then the TLS socket, which replaces it."""
        sockets = self._sockets

        class Connection(kind):  # type: ignore[valid-type,misc]  # one of two classes
            def connect(self) -> None:
                create: t.Callable[..., socket.socket] = self._create_connection  # type: ignore[has-type]  # set by its base class

                def remembered(*arguments: t.Any) -> socket.socket:
                    sockets.append(create(*arguments))
                    return sockets[-1]

                self._create_connection = remembered
                super().connect()
                sockets.append(self.sock)

        return Connection

    def _run(self) -> None:
        end, seen = time.monotonic() + self._longest, -1
        while not self._ended.wait(max(0.0, min(self._stall, end - time.monotonic()))):
            if time.monotonic() >= end:
                self.late = f"it takes longer than {self._longest:g} s"
            elif self.progress == seen:
                self.late = f"it sends less than {_BLOCK >> 10} KiB in {self._stall:g} s"
            seen = self.progress
            if self.late:
                self._close()

    def _close(self) -> None:
        for one in [*self._sockets]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class _HTTPHandler(urllib.request.HTTPHandler):
    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def http_open(self, req: t.Any) -> t.Any:
        return self.do_open(self._watch.watched(http.client.HTTPConnection), req)


class _HTTPSHandler(urllib.request.HTTPSHandler):
    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def https_open(self, req: t.Any) -> t.Any:
        return self.do_open(self._watch.watched(http.client.HTTPSConnection), req)


class _ProxyHandler(urllib.request.ProxyHandler):
    """The given proxies, regardless of the environment."""

    def __init__(self, proxies: Proxies) -> None:
        super().__init__(proxies.by_scheme)
        self._no_proxy = proxies.no_proxy

    def proxy_open(self, req: t.Any, proxy: str, type: str) -> t.Any:  # noqa: A002
        return None if bypasses(req.host, type, self._no_proxy) else super().proxy_open(req, proxy, type)


class _RedirectHandler(urllib.request.HTTPRedirectHandler):
    """urllib copies all headers, although the next server may bypass the proxy. It also follows redirects from https to http."""

    def redirect_request(self, req: t.Any, fp: t.Any, code: int, msg: str, headers: t.Any, newurl: str) -> t.Any:
        if req.full_url.lower().startswith("https:") and not newurl.lower().startswith("https:"):
            raise _RefusedError(
                f"redirects to {redact(newurl)}, which has no TLS: use a mirror that does not leave https (artifacts_mirror)"
            )
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None:
            request.remove_header("Proxy-authorization")
        return request


def _open(source: str, timeout: float, proxies: Proxies, watch: _Watch, method: str = "GET") -> t.Any:
    if source.startswith("/"):
        return open(source, "rb")
    request = urllib.request.Request(source, headers={"User-Agent": "plainkube.cluster"}, method=method)
    # Without proxies, urllib uses http_proxy, https_proxy and no_proxy from the environment.
    handlers: list[urllib.request.BaseHandler] = [_ProxyHandler(proxies)] if proxies else []
    handlers += [_HTTPHandler(watch), _HTTPSHandler(watch)]
    return urllib.request.build_opener(_RedirectHandler, *handlers).open(request, timeout=timeout)


def _refused_by_proxy(error: Exception) -> bool:
    """Whether a proxy rejected the user or password. For a tunnel request, http.client has the response only as text."""
    said = str(getattr(error, "reason", ""))
    # tinyproxy returns 401 for a wrong password, and 407 for a missing one.
    return (
        getattr(error, "code", 0) == 407
        or "Tunnel connection failed: 407" in said
        or "Tunnel connection failed: 401" in said
    )


def _transient(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in _TRANSIENT
    if isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
        return False
    if _refused_by_proxy(error):
        return False
    return isinstance(error, (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError))


def absent(error: Exception) -> bool:
    """Whether the file does not exist, as opposed to no response."""
    return isinstance(error, FileNotFoundError) or getattr(error, "code", 0) == 404


def explain(source: str, error: Exception) -> str:
    """A sentence about a failed download."""
    if getattr(error, "errno", 0) in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full ({error}) while {source} is downloaded: free space under its installation directory."
    if absent(error):
        advice = "check the version, and that the mirror has it (plainkube.cluster.build adds it)"
        return f"{source} does not exist: {advice}."
    code = getattr(error, "code", 0)
    if code in (403, 429) and "api.github.com" in source:
        advice = "set the checksums in artifacts_checksums or use a mirror; GitHub allows 60 unauthenticated requests per hour"
        return f"{source} was refused with HTTP {code}: {advice}."
    if _refused_by_proxy(error):
        advice = "check the user and password in cluster_http_proxy and cluster_https_proxy"
        return f"{source} cannot be downloaded, because the proxy refuses this host: {advice}."
    said = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else str(getattr(error, "reason", error))
    advice = "check that this host can reach it (artifacts_mirror, and cluster_http_proxy, cluster_https_proxy, cluster_no_proxy)"
    return f"{source} cannot be downloaded ({redact(said)}): {advice}."


def fetch(
    source: str,
    sink: t.BinaryIO,
    proxies: Proxies = NONE,
    timeout: float = 30.0,
    pauses: t.Sequence[float] = PAUSES,
    sleep: t.Callable[[float], None] = time.sleep,
    largest: int = LARGEST,
    stall: float = STALL,
    longest: float = LONGEST,
) -> str:
    """Copy a URL or path to an open file, and return its SHA-256."""

    def work(watch: _Watch) -> str:
        return _copy(source, sink, timeout, proxies, watch, largest)

    return _persist(source, work, pauses, sleep, stall, longest)


def probe(
    source: str,
    proxies: Proxies = NONE,
    timeout: float = 30.0,
    pauses: t.Sequence[float] = PAUSES,
    sleep: t.Callable[[float], None] = time.sleep,
) -> None:
    """Check that a URL or path can be fetched, without fetching it."""
    _persist(source, lambda watch: _open(source, timeout, proxies, watch, "HEAD").close(), pauses, sleep)


def _persist(
    source: str,
    work: t.Callable[[_Watch], t.Any],
    pauses: t.Sequence[float],
    sleep: t.Callable[[float], None],
    stall: float = STALL,
    longest: float = LONGEST,
) -> t.Any:
    for pause in (*pauses, None):
        watch = _Watch(stall, longest)
        try:
            with watch:
                return work(watch)
        except _RefusedError as refusal:
            raise FetchError(f"{source} {refusal}.") from refusal
        except (OSError, http.client.HTTPException, ValueError) as error:
            if watch.late:
                raise FetchError(
                    f"{source} cannot be downloaded ({watch.late}): use a nearby mirror (artifacts_mirror)."
                ) from error
            if pause is None or not _transient(error):
                raise FetchError(explain(source, error)) from error
            sleep(pause)
    raise AssertionError("not reached")


def _copy(source: str, sink: t.BinaryIO, timeout: float, proxies: Proxies, watch: _Watch, largest: int) -> str:
    sink.seek(0)
    sink.truncate()
    digest = hashlib.sha256()
    too_large = _RefusedError(f"is larger than {largest >> 20} MiB: check the mirror, since no release is that large")
    with _open(source, timeout, proxies, watch) as stream:
        if (getattr(stream, "length", 0) or 0) > largest:
            raise too_large
        for block in iter(lambda: stream.read(_BLOCK), b""):
            watch.progress += 1
            if (watch.progress - 1) * _BLOCK + len(block) > largest:
                raise too_large
            digest.update(block)
            sink.write(block)
        if watch.late:
            raise TimeoutError(watch.late)
        # When reading in blocks, urllib does not report a truncated body.
        if getattr(stream, "length", 0):
            raise http.client.IncompleteRead(b"", stream.length)
    return digest.hexdigest()
