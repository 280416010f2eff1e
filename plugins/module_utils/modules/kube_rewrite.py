# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The code of module kube_rewrite."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
import typing as t
import urllib.parse

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _status
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _encryption
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _run

_NAMES_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_NAME_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_TIMEOUT = 30
_PAUSE = 0.5
# A concurrent change, or the API server is busy or shutting down.
_AGAIN = (409, 429, 500, 502, 503, 504)


class ApiError(Exception):
    """One sentence."""


class Answer(t.NamedTuple):
    """An error of the API server."""

    status: int
    body: dict[str, t.Any]


class Api:
    """A connection to the API server, which is reopened when it breaks."""

    def __init__(self, kubeconfig: str, wait: float) -> None:
        access = _status.parse_kubeconfig(_files.read(kubeconfig) or "", os.path.dirname(kubeconfig))
        if access is None:
            raise ApiError(
                f"kubeconfig {kubeconfig} on this host does not exist, or does not have a server, and certificates as paths; run plainkube.cluster.site"
            )
        self.access, self.wait = access, wait
        self.connection: http.client.HTTPSConnection | None = None

    def _connect(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=self.access.ca)
        context.load_cert_chain(self.access.cert, self.access.key)
        url = urllib.parse.urlsplit(self.access.server)
        return http.client.HTTPSConnection(url.hostname or "", url.port, timeout=_TIMEOUT, context=context)

    def _once(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        if self.connection is None:
            self.connection = self._connect()
        try:
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
            return Answer(response.status, json.loads(response.read() or b"{}"))
        except (OSError, http.client.HTTPException, ValueError):
            self.connection.close()
            self.connection = None
            raise

    def ask(self, method: str, path: str, body: str | None, headers: dict[str, str], good: t.Container[int]) -> Answer:
        """The response to an idempotent request."""
        end = time.monotonic() + self.wait
        while True:
            try:
                answer = self._once(method, path, body, headers)
                if answer.status in good:
                    return answer
                problem, again = answer.body.get("message") or f"status {answer.status}", answer.status in _AGAIN
            except (OSError, http.client.HTTPException, ValueError) as error:
                problem, again = str(error), True
            if not again or time.monotonic() > end:
                raise ApiError(f"{method} {self.access.server}{path} failed: {problem}")
            time.sleep(_PAUSE)


def pages(api: Api, resource: str, size: int) -> t.Iterator[list[dict[str, t.Any]]]:
    """The metadata of all objects of a kind. If a list expires, it starts again: writing an object twice does no harm."""
    following = ""
    while True:
        query = urllib.parse.urlencode({"limit": size, **({"continue": following} if following else {})})
        path = f"/api/v1/{resource}?{query}"
        answer = api.ask("GET", path, None, {"Accept": _NAMES_ONLY}, (200, 410) if following else (200,))
        if answer.status == 410:
            following = ""
            continue
        yield [item["metadata"] for item in answer.body["items"] or []]
        following = answer.body["metadata"].get("continue", "")
        if not following:
            return


def rewrite(api: Api, resource: str, metadata: dict[str, t.Any]) -> None:
    """An object that has been deleted in the meantime is fine."""
    namespace, name = (urllib.parse.quote(metadata[key], safe="") for key in ("namespace", "name"))
    headers = {"Accept": _NAME_ONLY, "Content-Type": "application/merge-patch+json"}
    api.ask("PATCH", f"/api/v1/namespaces/{namespace}/{resource}/{name}", "{}", headers, (200, 404))


def run(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    api = Api(params["kubeconfig"], params["wait"])
    objects = {}
    for resource in params["resources"]:
        objects[resource] = 0
        for page in pages(api, resource, params["page"]):
            objects[resource] += len(page)
            for metadata in page if not module.check_mode else []:
                rewrite(api, resource, metadata)
    return {"changed": False, "objects": objects}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "resources": {"type": "list", "elements": "str", "default": [*_encryption.RESOURCES]},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
            "page": {"type": "int", "default": 500},
            "wait": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    try:
        with _run.held(module):
            module.exit_json(**run(module))
    except ApiError as error:
        module.fail_json(msg=f"Objects could not be rewritten: {error}")
