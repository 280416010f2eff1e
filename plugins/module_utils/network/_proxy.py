# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""HTTP proxies: problems with their settings, the hosts that bypass them, and redaction of their passwords."""

from __future__ import annotations

import ipaddress
import re
import typing as t
import urllib.parse

from ansible_collections.plainkube.cluster.plugins.module_utils.network import _addresses

SETTINGS = ("cluster_http_proxy", "cluster_https_proxy", "cluster_no_proxy")
EXAMPLE = "http://user:password@proxy.example.com:3128"
_NAME = re.compile(
    r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*", re.I
)
# RFC 3986 without the single quote, so that the URL can be put into quotes.
_ALLOWED = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&()*+,;=-]|%[0-9A-Fa-f]{2})*")
# Greedy: a password may contain an @ that should have been encoded.
_USER = re.compile(r"://[^\s\"']*@")


class Proxies(t.NamedTuple):
    """The proxies of a host; without any, the environment decides."""

    http: str = ""
    https: str = ""
    no_proxy: t.Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.http or self.https)

    @property
    def by_scheme(self) -> dict[str, str]:
        return {scheme: url for scheme, url in (("http", self.http), ("https", self.https)) if url}


# The environment decides.
NONE = Proxies()


def redact(text: str) -> str:
    """A text without the user names and passwords of URLs."""
    return _USER.sub("://***@", text)


def _is_host(text: str) -> bool:
    """Whether a text can be a host name; an invalid IPv4 address or a network cannot."""
    return _addresses.is_ip(text) or bool(_NAME.fullmatch(text) and not re.fullmatch(r"[\d.]+", text))


def _url_problem(url: str) -> str:
    """The problem with a proxy's URL. Shows no part of it that could be a password."""
    if not _ALLOWED.fullmatch(url):
        return "has a character that a URL cannot have: write it as % and two hexadecimal digits (a space is %20)"
    scheme, separator, rest = url.partition("://")
    if not separator or not scheme.isalnum():
        return "has no scheme"
    if scheme.lower() != "http":
        return (
            f"has the scheme {scheme}, but Docker, containerd, apt and Python connect to a proxy over http only "
            "(requests to https servers are encrypted end to end)"
        )
    authority, dummy, path = rest.partition("/")
    if path or "?" in authority or "#" in authority:
        return "has more than a host and a port; a /, ? or # in the password is written as %2F, %3F or %23"
    user, dummy, place = authority.rpartition("@")
    if "@" in user or "[" in user or "]" in user or user.count(":") > 1:
        return "has an @, :, [ or ] in its user or password: write it as %40, %3A, %5B or %5D"
    try:
        parts = urllib.parse.urlsplit(f"//{place}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "has a port that is not a number from 1 to 65535"
    if not _is_host(host):
        return "names no host"
    if port == 0 or place.endswith(":"):
        return "has a port that is not a number from 1 to 65535"
    return ""


def _is_exception(text: str) -> bool:
    """Whether Go programs understand an entry of cluster_no_proxy."""
    try:
        ipaddress.ip_network(text, strict=False)
        return True
    except ValueError:
        pass
    if "/" in text:
        return False
    host, colon, port = text.rpartition(":")
    if colon and (not port.isdigit() or not 0 < int(port) < 65536):
        return False
    host = host if colon else text
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    return _is_host(host.removeprefix("*").removeprefix(".") if host.startswith(("*.", ".")) else host)


def problems(settings: t.Mapping[str, t.Any]) -> list[str]:
    """The problems with cluster_http_proxy, cluster_https_proxy and cluster_no_proxy, and with proxies in docker_options, one sentence each."""
    found = []
    for name in SETTINGS[:2]:
        url = settings.get(name, "")
        # The type checks handle anything that is not text.
        problem = _url_problem(url) if isinstance(url, str) and url else ""
        if problem:
            found.append(f"{name} {problem}: write a URL like {EXAMPLE}.")
    entries = settings.get("cluster_no_proxy", [])
    for entry in entries if isinstance(entries, (list, tuple)) else []:
        if not isinstance(entry, str) or not _is_exception(entry):
            found.append(
                f"cluster_no_proxy has {entry!r}: write a host, an address, a network (192.0.2.0/24) or a domain (.example.com)."
            )
    return found + _exposed(settings.get("docker_options", {}))


def _exposed(options: t.Any, path: str = "docker_options") -> list[str]:
    """The paths of options for daemon.json, which is world-readable, that have a URL with a user or password."""
    if isinstance(options, str):
        if not _USER.search(options):
            return []
        return [
            f"{path} has a URL with a user or password, which every user of the host could read in daemon.json: remove it, and set "
            f"{' and '.join(SETTINGS[:2])}, which Docker reads from a file that only root may read."
        ]
    inner: t.Iterable[tuple[str, t.Any]] = ()
    if isinstance(options, t.Mapping):
        inner = ((f"{path}.{key}", one) for key, one in options.items())
    elif isinstance(options, (list, tuple)):
        inner = ((f"{path}[{index}]", one) for index, one in enumerate(options))
    return [problem for key, one in inner for problem in _exposed(one, key)]


# --- which hosts bypass the proxy ----------------------------------------------------------------------------------


def _split(host: str) -> tuple[str, str]:
    """Host and port in the part of a URL between // and /."""
    if host.startswith("["):
        name, dummy, rest = host[1:].partition("]")
        return name.lower(), rest.lstrip(":")
    name, dummy, port = host.partition(":") if host.count(":") == 1 else (host, "", "")
    return name.lower().rstrip("."), port


def _matches(name: str, port: str, entry: str) -> bool:
    if "/" in entry:
        return _addresses.is_ip(name) and ipaddress.ip_address(name) in ipaddress.ip_network(entry, strict=False)
    if _addresses.is_ip(entry):
        return _addresses.is_ip(name) and ipaddress.ip_address(name) == ipaddress.ip_address(entry)
    wanted, wanted_port = _split(entry)
    if wanted_port and wanted_port != port:
        return False
    wanted = wanted.removeprefix("*")
    if wanted.startswith("."):
        return name.endswith(wanted)
    return name == wanted or (name.endswith(f".{wanted}") and not _addresses.is_ip(name))


def bypasses(host: str, scheme: str, no_proxy: t.Sequence[str]) -> bool:
    """Whether connections to a host, as written in a URL, bypass the proxy, by the rules of Go programs (golang.org/x/net/http/httpproxy).

    Python's own implementation does not support networks.
    """
    name, port = _split(host)
    if name == "localhost" or (_addresses.is_ip(name) and ipaddress.ip_address(name).is_loopback):
        return True
    return any(_matches(name, port or {"http": "80", "https": "443"}.get(scheme, ""), entry) for entry in no_proxy)
