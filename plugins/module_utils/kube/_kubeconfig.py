# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""A kubeconfig with one cluster and one user and embedded data: rendered, and parsed."""

from __future__ import annotations

import base64
import binascii
import json
import typing as t


class Kubeconfig(t.NamedTuple):
    """The content of a kubeconfig, with the user of the current context."""

    clusters: tuple[str, ...]
    server: str
    ca: str
    certificate: str
    key: str


EMPTY = Kubeconfig((), "", "", "", "")


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decode(text: t.Any) -> str:
    try:
        return base64.b64decode(str(text or ""), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def render(cluster: str, server: str, ca: str, user: str, certificate: str, key: str) -> str:
    # A JSON string is a safely quoted YAML scalar.
    cluster_name, user_name, context = map(json.dumps, (cluster, user, f"{user}@{cluster}"))
    return f"""apiVersion: v1
kind: Config
clusters:
  - name: {cluster_name}
    cluster:
      server: {json.dumps(server)}
      certificate-authority-data: {_encode(ca)}
users:
  - name: {user_name}
    user:
      client-certificate-data: {_encode(certificate)}
      client-key-data: {_encode(key)}
contexts:
  - name: {context}
    context:
      cluster: {cluster_name}
      user: {user_name}
current-context: {context}
"""


def _named(document: t.Mapping[str, t.Any], kind: str, name: t.Any) -> dict[str, t.Any]:
    """The entry with a name in the list `clusters`, `users` or `contexts`."""
    for entry in document.get(f"{kind}s") or ():
        if entry.get("name") == name:
            return entry.get(kind) or {}
    return {}


def parse(document: t.Any) -> Kubeconfig | None:
    """The content of a loaded kubeconfig; None if the document is not a kubeconfig. kubectl may write it in a different order."""
    if document is None:
        return EMPTY
    try:
        if document["kind"] != "Config":
            return None
        clusters = tuple(entry["name"] for entry in document.get("clusters") or ())
        context = _named(document, "context", document.get("current-context"))
        cluster = _named(document, "cluster", context.get("cluster"))
        user = _named(document, "user", context.get("user"))
    except (TypeError, KeyError, AttributeError):
        return None
    return Kubeconfig(
        clusters,
        str(cluster.get("server") or ""),
        _decode(cluster.get("certificate-authority-data")),
        _decode(user.get("client-certificate-data")),
        _decode(user.get("client-key-data")),
    )


def in_order(servers: t.Sequence[str], current: str) -> list[str]:
    """The servers to try, starting with the current one: a kubeconfig should not change with every restart of a server."""
    return sorted(servers, key=lambda server: server != current)
