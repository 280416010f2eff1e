# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Renders and parses all kubeconfigs: the components' on hosts, and the operators'. They are JSON, which is valid YAML, so hosts need no PyYAML."""

from __future__ import annotations

import base64
import json
import os
import typing as t


class Access(t.NamedTuple):
    """A server and a user's credentials. CA, certificate and key are paths, or their content if they are embedded; empty if they are missing."""

    server: str
    ca: str
    certificate: str
    key: str
    embedded: bool


def _fields(names: t.Mapping[str, str], embedded: bool) -> dict[str, str]:
    if not embedded:
        return {**names}
    return {f"{name}-data": base64.b64encode(value.encode()).decode() for name, value in names.items()}


def render(cluster: str, user: str, access: Access) -> str:
    """A kubeconfig with one cluster and one user."""
    ca = _fields({"certificate-authority": access.ca}, access.embedded)
    credentials = _fields({"client-certificate": access.certificate, "client-key": access.key}, access.embedded)
    context = f"{user}@{cluster}"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": access.server, **ca}}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": context, "context": {"cluster": cluster, "user": user}}],
        "current-context": context,
    }
    return f"{json.dumps(document, indent=2)}\n"


def _named(document: t.Mapping[str, t.Any], kind: str) -> dict[t.Any, dict[str, t.Any]]:
    """The list `clusters`, `users` or `contexts` by name."""
    return {one["name"]: one.get(kind) or {} for one in document.get(f"{kind}s") or ()}


def parse(document: t.Any, directory: str = "") -> Access:
    """The server and credentials of a kubeconfig's current context. ValueError if it is not a kubeconfig.

    document: as json or a YAML parser returns it. directory: the base of relative paths.
    """
    try:
        if document["kind"] != "Config":
            raise KeyError("Config")
        contexts, found, users = (_named(document, kind) for kind in ("context", "cluster", "user"))
        context = contexts.get(document.get("current-context"), {})
        cluster, user = found.get(context.get("cluster"), {}), users.get(context.get("user"), {})
        embedded = "client-key-data" in user
        ca = _value(cluster, "certificate-authority", embedded, directory)
        certificate, key = (_value(user, f"client-{name}", embedded, directory) for name in ("certificate", "key"))
        return Access(str(cluster.get("server") or ""), ca, certificate, key, embedded)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError("it is not a kubeconfig") from error


def _value(section: t.Mapping[str, t.Any], name: str, embedded: bool, directory: str) -> str:
    if not embedded:
        return os.path.join(directory, section[name]) if section.get(name) else ""
    try:
        return base64.b64decode(str(section.get(f"{name}-data") or ""), validate=True).decode()
    except ValueError:
        return ""


def clusters(document: t.Mapping[str, t.Any]) -> list[str]:
    """The names of all clusters in a document that is a kubeconfig."""
    return [*_named(document, "cluster")]
