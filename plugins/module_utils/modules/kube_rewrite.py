# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module kube_rewrite."""

from __future__ import annotations

import typing as t
import urllib.parse

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _encryption
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _api
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _run

# Names per request.
PAGE = 500


def rewrite(api: _api.Api, resource: str, metadata: _api.Object, seconds: int) -> None:
    """An object that has been deleted in the meantime is fine."""
    namespace, name = (urllib.parse.quote(metadata[key], safe="") for key in ("namespace", "name"))
    api.patch(f"/api/v1/namespaces/{namespace}/{resource}/{name}", {}, seconds)


def run(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    api = _api.connect(params["kubeconfig"], timeout=30)
    objects = {}
    for resource in _encryption.RESOURCES:
        objects[resource] = 0
        for page in api.pages(f"/api/v1/{resource}", PAGE, params["wait"]):
            objects[resource] += len(page)
            for metadata in page if not module.check_mode else []:
                rewrite(api, resource, metadata, params["wait"])
    return {"changed": False, "objects": objects}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "default": _places.ADMIN_CONF},
            "wait": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    try:
        with _run.held(module):
            module.exit_json(**run(module))
    except _api.ApiError as error:
        module.fail_json(msg=f"Objects could not be rewritten: {error}")
