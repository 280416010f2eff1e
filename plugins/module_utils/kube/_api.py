# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The client for the Kubernetes API. For what kubectl does beyond single requests, see _kubectl."""

from __future__ import annotations

import json
import os
import ssl
import typing as t
import urllib.parse

from ansible_collections.plainkube.cluster.plugins.module_utils.health import _probe
from ansible_collections.plainkube.cluster.plugins.module_utils.health._probe import Answer
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _kubeconfig
from ansible_collections.plainkube.cluster.plugins.module_utils.kube._kubeconfig import Access

PAUSE = 0.5
_METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"
_CONTENT_TYPES = {"PATCH": "application/merge-patch+json", "POST": "application/json"}

Object = dict[str, t.Any]


class ApiError(Exception):
    """One sentence, without its full stop, and the API's response. If no API server responds, the state of the object is unknown."""

    def __init__(self, sentence: str, answer: Answer) -> None:
        super().__init__(sentence)
        self.answer = answer


def node(name: str) -> str:
    """The path of a Node."""
    return f"/api/v1/nodes/{urllib.parse.quote(name, safe='')}"


def _context(access: Access) -> ssl.SSLContext:
    if not access.embedded:
        context = ssl.create_default_context(cafile=access.ca)
        context.load_cert_chain(access.certificate, access.key)
        return context
    context = ssl.create_default_context(cadata=access.ca)
    # The ssl module reads a key only from a file; this one is in memory.
    descriptor = os.memfd_create("client")
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{access.certificate}\n{access.key}")
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    return context


def _content(answer: Answer) -> Object:
    if not answer.ok:
        raise ApiError(answer.said, answer)
    return json.loads(answer.text)


def _content_if_any(answer: Answer) -> Object | None:
    return None if answer.status == 404 else _content(answer)


class Api:
    """An API server. `seconds` is how long a request is retried while it may still succeed; after that, ApiError is raised."""

    def __init__(self, access: Access, timeout: float = 10.0) -> None:
        self._server = _probe.Server(access.server, lambda: _context(access), timeout)

    def _ask(
        self, method: str, path: str, body: Object | None = None, seconds: float = 0, accept: str = "application/json"
    ) -> Answer:
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = _CONTENT_TYPES[method]
        text = None if body is None else json.dumps(body)
        return poll(
            lambda: self._server.ask(method, path, text, **headers), lambda answer: not answer.early, seconds, PAUSE
        )

    def read(self, path: str, seconds: float = 0) -> Object | None:
        """An object, or a whole list; None if it does not exist."""
        return _content_if_any(self._ask("GET", path, seconds=seconds))

    def pages(self, path: str, size: int, seconds: float = 0) -> t.Iterator[list[Object]]:
        """The metadata of the objects in a list. If the list expires, it starts again, so objects may appear twice."""
        following = ""
        while True:
            query = urllib.parse.urlencode({"limit": size, **({"continue": following} if following else {})})
            answer = self._ask("GET", f"{path}?{query}", seconds=seconds, accept=_METADATA.format("List"))
            if answer.status == 410 and following:
                following = ""
                continue
            page = _content(answer)
            yield [item["metadata"] for item in page["items"] or []]
            following = page["metadata"].get("continue", "")
            if not following:
                return

    def patch(self, path: str, body: Object, seconds: float = 0) -> None:
        """Apply a JSON merge patch to an object, if it exists. The API returns the object's metadata only."""
        _content_if_any(self._patch(path, body, seconds))

    def _patch(self, path: str, body: Object, seconds: float = 0) -> Answer:
        return self._ask("PATCH", path, body, seconds, _METADATA.format(""))

    def change(
        self, path: str, decide: t.Callable[[Object], Object | None], seconds: float, awaited: bool = False
    ) -> None:
        """Patch the current object, if it exists; after a concurrent change, retry with the new object.

        decide: returns the patch for an object, with its resourceVersion; None for no patch. awaited: wait for an object that does not exist yet;
        if it is still missing at the end, that is an error.
        """

        def once() -> Answer:
            answer = self._ask("GET", path)
            body = decide(_content(answer)) if answer.ok else None
            return answer if body is None else self._patch(path, body)

        answer = poll(once, lambda answer: not answer.early and not (awaited and answer.status == 404), seconds, PAUSE)
        (_content if awaited else _content_if_any)(answer)

    def eviction_refusal(self, namespace: str, pod: str) -> str:
        """The API's message if a PodDisruptionBudget currently blocks the eviction of a pod; otherwise empty. Evicts nothing."""
        metadata = {"name": pod, "namespace": namespace}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        answer = self._ask("POST", f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction?dryRun=All", body)
        if answer.status != 429:
            return ""
        causes = json.loads(answer.text).get("details", {}).get("causes", [])
        return "; ".join(cause["message"] for cause in causes)


def connect(kubeconfig: str, timeout: float = 10.0) -> Api:
    """The API server of a kubeconfig on this host."""
    try:
        access = _kubeconfig.parse(json.loads(_files.read(kubeconfig) or ""), os.path.dirname(kubeconfig))
    except ValueError:
        access = None
    if access is None or "" in access:
        reason = f"{kubeconfig} on this host does not exist, or is not a kubeconfig in JSON with a server, a CA and a client certificate"
        raise ApiError(f"{reason}; run plainkube.cluster.site", Answer(0, reason))
    return Api(access, timeout)
