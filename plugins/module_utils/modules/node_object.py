# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module node_object."""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _pki
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _api, _node_object
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action

KUBELET = f"{_places.KUBELET_PKI}/kubelet-client-current.pem"

SPEC = {
    "name": {"type": "str", "required": True},
    "labels": {"type": "dict", "default": {}},
    "taints": {"type": "list", "elements": "dict", "default": []},
    "server": {"type": "str", "required": True},
    "wait": {"type": "int", "default": 60},
}


def identity() -> tuple[str, str] | None:
    """Certificate and key of the administrator if the host has them, else the kubelet's, which may read its own Node."""
    pki = _pki.DIRECTORY
    pairs = [(f"{pki}/admin.crt", f"{pki}/admin.key"), (KUBELET, KUBELET)]
    pairs += [(f"{pki}/kubelet-client.crt", f"{pki}/kubelet-client.key")]
    return next((pair for pair in pairs if all(map(os.path.exists, pair))), None)


def connect(params: dict[str, t.Any]) -> _api.Api | None:
    client = identity()
    if client is None:
        return None
    return _api.Api(_api.Access(params["server"], f"{_pki.DIRECTORY}/ca.crt", *client, embedded=False))


def inspect(params: dict[str, t.Any], aim: _node_object.Wanted) -> _node_object.Change:
    """What a run would change."""
    api = connect(params)
    node = None if api is None else api.read(_api.node(params["name"]))
    # For a new Node, the run has something to record.
    return _node_object.new(aim) if node is None else _node_object.change(node, aim)


def settle(params: dict[str, t.Any], aim: _node_object.Wanted) -> _node_object.Change:
    """Change the Node to the desired state."""
    changes: list[_node_object.Change] = []

    def decide(node: _api.Object) -> _api.Object | None:
        changes.append(_node_object.change(node, aim))
        return changes[-1].patch

    api = connect(params)
    if api is None:
        reason = f"{_pki.DIRECTORY} on this host has no certificate for the API"
        raise _api.ApiError(reason, _api.Answer(0, reason))
    api.change(_api.node(params["name"]), decide, params["wait"], awaited=True)
    # Report the change that was found first, even if a patch must be retried.
    return changes[0]


def run(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    aim, message = _node_object.wanted(params["labels"], params["taints"]), ""
    try:
        change = (inspect if module.check_mode else settle)(params, aim)
    except _api.ApiError as error:
        if not module.check_mode:
            module.fail_json(
                msg=f"Node {params['name']} did not get the labels and taints of the inventory within {params['wait']} s: {error}; "
                "check that its kubelet and the API server are running (plainkube.cluster.status), and run this again."
            )
        change, message = _node_object.Change(None, "", ""), f"The state of the Node is unknown: {error}."
    header = f"node {params['name']}"
    diff = {"before": change.before, "after": change.after, "before_header": header, "after_header": header}
    actions = [] if change.patch is None else [Action("apply", f"labels and taints of node {params['name']}")]
    result = {**_actions.result(actions), "diff": diff}
    return {**result, "msg": message} if message else result


def main() -> None:
    _run.main(SPEC, run)
