# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""HTTP requests to one server: a health endpoint, or the Kubernetes API."""

from __future__ import annotations

import http.client
import json
import ssl
import typing as t
import urllib.parse

# Larger than any object or list that we ask for.
_LIMIT = 64 << 20


class Answer(t.NamedTuple):
    """A server's response. For output of kubectl, the status that corresponds to it."""

    status: int  # 0: no server responds, and text says why
    text: str
    url: str = ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def unreachable(self) -> bool:
        return self.status == 0

    @property
    def early(self) -> bool:
        """Whether a retry may succeed: the server is starting or busy, or the object was changed concurrently."""
        return self.status in (0, 409, 429) or self.status >= 500

    @property
    def said(self) -> str:
        """The response as a part of a sentence."""
        returns = f"{self.url} returns {self.status}" if self.status else f"{self.url} does not respond"
        return ": ".join(filter(None, [returns, message(self.text)]))


def message(text: str, length: int = 200) -> str:
    """The message in a body, on one line: that of a Status object of the API, the failed checks of a health endpoint, or else the first line."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, TypeError, KeyError):
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        failed = [line for line in lines if line.startswith("[-]")]
        line = "; ".join(failed or lines[:1])
        return line if len(line) <= length else line[: length - 1] + "…"


class Server:
    """Requests over one connection, which is reopened when it breaks. Uses no proxy and follows no redirect."""

    def __init__(self, url: str, context: t.Callable[[], ssl.SSLContext], timeout: float) -> None:
        self.url, self.context, self.timeout = url, context, timeout
        self.connection: http.client.HTTPConnection | None = None

    def _connect(self) -> http.client.HTTPConnection:
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme == "https" and parts.hostname:
            return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=self.timeout, context=self.context())
        if parts.scheme == "http" and parts.hostname:
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=self.timeout)
        raise ValueError("a URL begins with https:// or http:// and a host")

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> Answer:
        """Send a request; retry it once if an open connection breaks. Never raises for errors of the server or the network."""
        was_open = self.connection is not None
        try:
            self.connection = self.connection or self._connect()
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
            return Answer(response.status, response.read(_LIMIT).decode("utf-8", "replace"), f"{self.url}{path}")
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.close()
            return self.ask(method, path, body, **headers) if was_open else Answer(0, str(error), f"{self.url}{path}")

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection = None


def _context(ca: str | None) -> ssl.SSLContext:
    if ca:
        return ssl.create_default_context(cafile=ca)
    # Controller manager and scheduler create a self-signed certificate at every start; these are loopback addresses.
    # Not create_default_context, which would needlessly load all CAs of the host.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def get(url: str, ca: str | None = None, timeout: float = 2.0) -> Answer:
    """GET a URL once. Without a CA, the server's certificate is not verified."""
    origin = "/".join(url.split("/", 3)[:3])
    server = Server(origin, lambda: _context(ca), timeout)
    try:
        return server.ask("GET", url[len(origin) :] or "/")
    finally:
        server.close()
