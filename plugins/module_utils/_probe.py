# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""One HTTP request to a health endpoint."""

from __future__ import annotations

import ssl
import typing as t
import urllib.error
import urllib.request


class Answer(t.NamedTuple):
    """The status code (0: none, text says why) and the beginning of the body."""

    status: int
    text: str

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


def _context(url: str, ca: str | None) -> ssl.SSLContext | None:
    if not url.startswith("https:"):
        return None
    context = ssl.create_default_context(cafile=ca or None)
    if not ca:
        # Controller manager and scheduler make themselves a certificate at every start; these are loopback addresses.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def get(url: str, ca: str | None = None, timeout: float = 2.0) -> Answer:
    """GET url without following proxies; never raises for what a server or network does."""
    try:
        handlers: list[t.Any] = [urllib.request.ProxyHandler({})]
        context = _context(url, ca)
        if context is not None:
            handlers.append(urllib.request.HTTPSHandler(context=context))
        with urllib.request.build_opener(*handlers).open(url, timeout=timeout) as response:
            return Answer(response.status, response.read(4096).decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read(4096).decode("utf-8", "replace"))
    except (OSError, ValueError) as error:
        return Answer(0, str(getattr(error, "reason", error)))
