# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""An authorization webhook for API servers: it has one rule, and rejects requests without its token."""

from __future__ import annotations

import contextlib
import json
import secrets
import typing as t

from lab import https


class Webhook:
    """Allows a group to read namespaces, and has no opinion on anything else."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.secret = secrets.token_hex(16)
        self.asked: list[dict[str, t.Any]] = []
        self.strangers = 0

    def answer(self, dummy_path: str, headers: t.Mapping[str, str], body: bytes) -> tuple[int, t.Any]:
        """A SubjectAccessReview with its status."""
        if headers.get("Authorization") != f"Bearer {self.secret}":
            self.strangers += 1
            return 401, {}
        review = json.loads(body)
        spec = review["spec"]
        self.asked.append(spec)
        attributes = spec.get("resourceAttributes") or {}
        reads = (attributes.get("verb"), attributes.get("resource")) in (("get", "namespaces"), ("list", "namespaces"))
        allowed = reads and self.group in (spec.get("groups") or [])
        return 200, {"apiVersion": review["apiVersion"], "kind": review["kind"], "status": {"allowed": allowed}}

    def kubeconfig(self, served: https.Served) -> str:
        """The API server's kubeconfig: the webhook's URL, CA and token."""
        authority = https.as_data(served.authority)
        cluster = {"server": f"{served.url}/authorize", "certificate-authority-data": authority}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "webhook", "cluster": cluster}],
            "users": [{"name": "kube-apiserver", "user": {"token": self.secret}}],
            "contexts": [{"name": "webhook", "context": {"cluster": "webhook", "user": "kube-apiserver"}}],
            "current-context": "webhook",
        }
        return json.dumps(config)


@contextlib.contextmanager
def webhook(address: str, group: str) -> t.Iterator[tuple[Webhook, str]]:
    """Serve a webhook on an address; yields it and its kubeconfig."""
    made = Webhook(group)
    with https.serve(address, made.answer) as served:
        yield made, made.kubeconfig(served)
