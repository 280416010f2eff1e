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
# RFC 3986 without the single quote: everything that is put into quotes somewhere stays as it is.
_ALLOWED = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&()*+,;=-]|%[0-9A-Fa-f]{2})*")
# Greedy: a password may hold an @ that should have been encoded.
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
    """A text without the users and passwords of URLs."""
    return _USER.sub("://***@", text)


def _is_host(text: str) -> bool:
    """Whether it can name a host; four numbers that are no address, or a network, cannot."""
    return _addresses.is_ip(text) or bool(_NAME.fullmatch(text) and not re.fullmatch(r"[\d.]+", text))


def _url_trouble(url: str) -> str:
    """What is wrong with a proxy's URL; nothing of it that could be a password is in the answer."""
    if not _ALLOWED.fullmatch(url):
        return "has a character that a URL cannot have: write it as % and two hexadecimal digits (a space is %20)"
    scheme, separator, rest = url.partition("://")
    if not separator or not scheme.isalnum():
        return "has no scheme"
    if scheme.lower() != "http":
        return (
            f"has the scheme {scheme}, but Docker, containerd, apt and Python all reach a proxy only by http "
            "(requests to https servers pass through it encrypted)"
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
        return "has a port that is no number from 1 to 65535"
    if not _is_host(host):
        return "names no host"
    if port == 0 or place.endswith(":"):
        return "has a port that is no number from 1 to 65535"
    return ""


def _is_exception(text: str) -> bool:
    """Whether an entry of cluster_no_proxy is one that Go's programs understand."""
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


def troubles(settings: t.Mapping[str, t.Any]) -> list[str]:
    """What is wrong with cluster_http_proxy, cluster_https_proxy and cluster_no_proxy, and with proxies in docker_options; a sentence each."""
    found = []
    for name in SETTINGS[:2]:
        url = settings.get(name, "")
        # Anything but a text is the types' business.
        trouble = _url_trouble(url) if isinstance(url, str) and url else ""
        if trouble:
            found.append(f"{name} {trouble}: give a URL like {EXAMPLE}.")
    entries = settings.get("cluster_no_proxy", [])
    for entry in entries if isinstance(entries, (list, tuple)) else []:
        if not isinstance(entry, str) or not _is_exception(entry):
            found.append(
                f"cluster_no_proxy has {entry!r}: give a host, an address, a network (192.0.2.0/24) or a domain (.example.com)."
            )
    return found + _exposed(settings.get("docker_options", {}))


def _exposed(options: t.Any, path: str = "docker_options") -> list[str]:
    """Where options for daemon.json, which every user of a host may read, have a URL with a user or password."""
    if isinstance(options, str):
        if not _USER.search(options):
            return []
        return [
            f"{path} has a URL with a user or password, and every user of the host could read it in daemon.json: remove it, and set "
            f"{' and '.join(SETTINGS[:2])}, which Docker gets from a file that only root may read."
        ]
    inner: t.Iterable[tuple[str, t.Any]] = ()
    if isinstance(options, t.Mapping):
        inner = ((f"{path}.{key}", one) for key, one in options.items())
    elif isinstance(options, (list, tuple)):
        inner = ((f"{path}[{index}]", one) for index, one in enumerate(options))
    return [trouble for key, one in inner for trouble in _exposed(one, key)]


# --- which hosts bypass the proxy ----------------------------------------------------------------------------------


def _split(host: str) -> tuple[str, str]:
    """Host and port of what a URL has between // and /."""
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
    """Whether a host, as a URL names it, is reached without a proxy, as Go's programs decide it (golang.org/x/net/http/httpproxy).

    Python's own answer knows no networks.
    """
    name, port = _split(host)
    if name == "localhost" or (_addresses.is_ip(name) and ipaddress.ip_address(name).is_loopback):
        return True
    return any(_matches(name, port or {"http": "80", "https": "443"}.get(scheme, ""), entry) for entry in no_proxy)
