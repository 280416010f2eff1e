# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""One HTTP request to a health endpoint, or for an object of the Kubernetes API."""

from __future__ import annotations

import http.client
import ssl
import typing as t
import urllib.error
import urllib.request


class Answer(t.NamedTuple):
    """The status code (0 if there is none; the text says why) and the beginning of the body."""

    status: int
    text: str

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


def _context(url: str, ca: str | None, client: tuple[str, str] | None) -> ssl.SSLContext | None:
    if not url.startswith("https:"):
        return None
    if ca:
        context = ssl.create_default_context(cafile=ca)
    else:
        # Controller manager and scheduler create a self-signed certificate at every start; these are loopback addresses.
        # Not create_default_context, which would needlessly load all CAs of the host.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if client:
        context.load_cert_chain(*client)
    return context


def get(
    url: str, ca: str | None = None, timeout: float = 2.0, client: tuple[str, str] | None = None, limit: int = 4096
) -> Answer:
    """GET url without proxies, with the client's certificate and key files if there are any.

    Never raises for errors of the server or the network.
    """
    return _ask(urllib.request.Request(url), ca, timeout, client, limit)


def patch(url: str, body: str, ca: str, client: tuple[str, str], timeout: float = 10.0) -> Answer:
    """PATCH an object of the Kubernetes API with a JSON merge patch; otherwise like `get`."""
    headers = {"Content-Type": "application/merge-patch+json"}
    request = urllib.request.Request(url, data=body.encode(), headers=headers, method="PATCH")
    return _ask(request, ca, timeout, client, 4096)


def _ask(
    request: urllib.request.Request, ca: str | None, timeout: float, client: tuple[str, str] | None, limit: int
) -> Answer:
    try:
        handlers: list[t.Any] = [urllib.request.ProxyHandler({})]
        context = _context(request.full_url, ca, client)
        if context is not None:
            handlers.append(urllib.request.HTTPSHandler(context=context))
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as response:
            return Answer(response.status, response.read(limit).decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read(4096).decode("utf-8", "replace"))
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Answer(0, str(getattr(error, "reason", error)))
