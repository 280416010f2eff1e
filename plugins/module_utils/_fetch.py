# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""Downloads: a URL or a path, read with retries, hashed on the way to disk."""

from __future__ import annotations

import errno
import hashlib
import http.client
import ssl
import time
import typing as t
import urllib.error
import urllib.request

from ansible_collections.plainkube.cluster.plugins.module_utils._proxy import NONE, Proxies, bypasses, redact

# The delays between attempts. Six seconds in total tolerate a restart of the mirror; more would hide one that is down.
PAUSES = (0.5, 1.5, 4.0)
_BLOCK = 1 << 20
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


class FetchError(Exception):
    """A download failed; the text is a sentence that names it and says what to do."""


class _ProxyHandler(urllib.request.ProxyHandler):
    """The given proxies, regardless of the environment."""

    def __init__(self, proxies: Proxies) -> None:
        super().__init__(proxies.by_scheme)
        self._no_proxy = proxies.no_proxy

    def proxy_open(self, req: t.Any, proxy: str, type: str) -> t.Any:  # noqa: A002
        return None if bypasses(req.host, type, self._no_proxy) else super().proxy_open(req, proxy, type)


class _RedirectHandler(urllib.request.HTTPRedirectHandler):
    """urllib copies all headers, and the next server may be one that is reached without the proxy."""

    def redirect_request(self, *arguments: t.Any) -> t.Any:
        request = super().redirect_request(*arguments)
        if request is not None:
            request.remove_header("Proxy-authorization")
        return request


def _open(source: str, timeout: float, proxies: Proxies, method: str = "GET") -> t.Any:
    if source.startswith("/"):
        return open(source, "rb")
    request = urllib.request.Request(source, headers={"User-Agent": "plainkube.cluster"}, method=method)
    # Without proxies, urllib honours http_proxy, https_proxy and no_proxy of the environment.
    handlers = [_ProxyHandler(proxies)] if proxies else []
    return urllib.request.build_opener(_RedirectHandler, *handlers).open(request, timeout=timeout)


def _refused_by_proxy(error: Exception) -> bool:
    """Whether a proxy wants another user or password. To a request for a tunnel, http.client has its answer as a text only."""
    said = str(getattr(error, "reason", ""))
    # tinyproxy says 401 for a wrong password, and 407 for none.
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
    """Whether there is no such file, as opposed to no answer."""
    return isinstance(error, FileNotFoundError) or getattr(error, "code", 0) == 404


def explain(source: str, error: Exception) -> str:
    """A sentence about a failed download."""
    if getattr(error, "errno", 0) in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full ({error}) while {source} is downloaded: free space under the directory it is installed to."
    if absent(error):
        advice = "check the version, and that the mirror has it (plainkube.cluster.build puts it there)"
        return f"{source} does not exist: {advice}."
    if getattr(error, "code", 0) in (403, 429) and "api.github.com" in source:
        advice = (
            "give the sums in artifacts_checksums or use a mirror; GitHub allows 60 unauthenticated requests an hour"
        )
        return f"{source} was refused with HTTP {error.code}: {advice}."  # type: ignore[attr-defined]
    if _refused_by_proxy(error):
        advice = "check the user and password in cluster_http_proxy and cluster_https_proxy"
        return f"{source} cannot be downloaded, because the proxy refuses this host: {advice}."
    said = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else str(getattr(error, "reason", error))
    advice = "check that this host reaches it (artifacts_mirror, and cluster_http_proxy, cluster_https_proxy, cluster_no_proxy)"
    return f"{source} cannot be downloaded ({redact(said)}): {advice}."


def fetch(
    source: str,
    sink: t.BinaryIO,
    proxies: Proxies = NONE,
    timeout: float = 30.0,
    pauses: t.Sequence[float] = PAUSES,
    sleep: t.Callable[[float], None] = time.sleep,
) -> str:
    """Copy a URL or path to an open file; return the SHA-256 of what was written."""
    return _persist(source, lambda: _copy(source, sink, timeout, proxies), pauses, sleep)


def probe(
    source: str,
    proxies: Proxies = NONE,
    timeout: float = 30.0,
    pauses: t.Sequence[float] = PAUSES,
    sleep: t.Callable[[float], None] = time.sleep,
) -> None:
    """Check that a URL or path can be fetched, without fetching it."""
    _persist(source, lambda: _open(source, timeout, proxies, "HEAD").close(), pauses, sleep)


def _persist(
    source: str, work: t.Callable[[], t.Any], pauses: t.Sequence[float], sleep: t.Callable[[float], None]
) -> t.Any:
    for pause in (*pauses, None):
        try:
            return work()
        except (OSError, http.client.HTTPException, ValueError) as error:
            if pause is None or not _transient(error):
                raise FetchError(explain(source, error)) from error
            sleep(pause)
    raise AssertionError("not reached")


def _copy(source: str, sink: t.BinaryIO, timeout: float, proxies: Proxies) -> str:
    sink.seek(0)
    sink.truncate()
    digest = hashlib.sha256()
    with _open(source, timeout, proxies) as stream:
        for block in iter(lambda: stream.read(_BLOCK), b""):
            digest.update(block)
            sink.write(block)
        # urllib does not complain about a body that ends early when it is read in blocks.
        if getattr(stream, "length", 0):
            raise http.client.IncompleteRead(b"", stream.length)
    return digest.hexdigest()
