# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The code of module node_object; here, so that module survey can import it."""

from __future__ import annotations

import json
import os
import typing as t
import urllib.parse

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _probe
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _node_object
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action

_PAUSE = 0.5
# Objects that list many images are large; the API has none larger than this.
_LIMIT = 8 << 20
KUBELET = "/var/lib/kubelet/pki/kubelet-client-current.pem"

SPEC = {
    "name": {"type": "str", "required": True},
    "labels": {"type": "dict", "default": {}},
    "taints": {"type": "list", "elements": "dict", "default": []},
    "server": {"type": "str", "required": True},
    "pki": {"type": "path", "default": "/etc/kubernetes/pki"},
    "wait": {"type": "int", "default": 60},
}


def identity(pki: str) -> tuple[str, str] | None:
    """Certificate and key of the administrator if the host has them, else the kubelet's, which may read its own Node."""
    pairs = [(f"{pki}/admin.crt", f"{pki}/admin.key"), (KUBELET, KUBELET)]
    pairs += [(f"{pki}/kubelet-client.crt", f"{pki}/kubelet-client.key")]
    return next((pair for pair in pairs if all(map(os.path.exists, pair))), None)


class Api:
    """Access to one Node through the API server."""

    def __init__(self, params: dict[str, t.Any]) -> None:
        self.url = f"{params['server']}/api/v1/nodes/{urllib.parse.quote(params['name'])}"
        self.ca = f"{params['pki']}/ca.crt"
        self.client = identity(params["pki"])

    def get(self) -> _probe.Answer:
        if self.client is None:
            return _probe.Answer(0, "this host has no certificate for the API")
        return _probe.get(self.url, self.ca, timeout=5.0, client=self.client, limit=_LIMIT)

    def patch(self, body: dict[str, t.Any]) -> _probe.Answer:
        return _probe.patch(self.url, json.dumps(body), self.ca, self.client or ("", ""))


def settle(api: Api, aim: _node_object.Wanted, first: dict[str, _node_object.Change]) -> _probe.Answer:
    """Change the Node to the desired state; after a concurrent change, retry with the new Node."""
    answer = api.get()
    if not answer.ok:
        return answer
    change = _node_object.change(json.loads(answer.text), aim)
    # Report the change that was found first, even if a patch must be retried.
    first.setdefault("change", change)
    return answer if change.patch is None else api.patch(change.patch)


def done(answer: _probe.Answer) -> bool:
    """Whether a retry is pointless: the request succeeded, or the API refused it permanently."""
    return answer.ok or (400 <= answer.status < 500 and answer.status not in (404, 409, 429))


def inspect(api: Api, aim: _node_object.Wanted) -> tuple[_node_object.Change, str]:
    """What a run would change, and what could not be determined."""
    answer = api.get()
    if answer.ok:
        return _node_object.change(json.loads(answer.text), aim), ""
    # For a new Node, the run has something to record. If no API server responds, the state of the Node is unknown.
    if api.client is None or answer.status == 404:
        return _node_object.new(aim), ""
    return _node_object.Change(None, "", ""), f"The state of the Node is unknown: {reason(answer)}."


def reason(answer: _probe.Answer) -> str:
    try:
        text = json.loads(answer.text)["message"]
    except (ValueError, TypeError, KeyError):
        text = answer.text.strip()[-300:]
    return f"{answer.status} {text}" if answer.status else text


def run(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    api, aim = Api(params), _node_object.wanted(params["labels"], params["taints"])
    message = ""
    if module.check_mode:
        change, message = inspect(api, aim)
    else:
        first: dict[str, _node_object.Change] = {}
        answer = poll(lambda: settle(api, aim, first), done, params["wait"], _PAUSE)
        if not answer.ok:
            module.fail_json(
                msg=f"Node {params['name']} did not get the labels and taints of the inventory within {params['wait']} s: {api.url} returns "
                f"{reason(answer)}; check that its kubelet and the API server are running (plainkube.cluster.status), and run this again."
            )
        change = first["change"]
    header = f"node {params['name']}"
    diff = {"before": change.before, "after": change.after, "before_header": header, "after_header": header}
    actions = [] if change.patch is None else [Action("apply", f"labels and taints of node {params['name']}")]
    result = {**_actions.result(actions), "diff": diff}
    return {**result, "msg": message} if message else result


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    with _run.held(module):
        module.exit_json(**run(module))
