# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module node_drain."""

from __future__ import annotations

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _api, _drain, _kubectl
from ansible_collections.plainkube.cluster.plugins.module_utils.kube._api import PAUSE, Answer, ApiError
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action

# Whether a node is cordoned, why, and the names of the pods to evict.
_State = tuple[bool, t.Optional[str], list[str]]
# Time to remove our cordon after a timeout.
_GIVE_BACK = 20


class Failure(Exception):
    """One sentence, without its full stop."""


class Cluster:
    """The API; waits for an API server that does not respond yet, until the timeout."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module, self.name = module, module.params["name"]
        self.api = _api.connect(module.params["kubeconfig"])
        self.end = time.monotonic() + (0 if module.check_mode else module.params["timeout"])

    def left(self) -> float:
        return max(0.0, self.end - time.monotonic())

    def node(self) -> _drain.Node | None:
        found = self.api.read(_api.node(self.name), self.left())
        return _drain.parse_node(found) if found else None

    def pods(self, node: _drain.Node) -> list[_drain.Pod]:
        found = self.api.read(f"/api/v1/pods?fieldSelector=spec.nodeName%3D{self.name}", self.left())
        return _drain.pods_to_go(found or {"items": []}, node)

    def refusals(self, pods: list[_drain.Pod]) -> dict[_drain.Pod, str]:
        found = {pod: self.api.eviction_refusal(pod.namespace, pod.name) for pod in pods if not pod.ending}
        return {pod: refusal for pod, refusal in found.items() if refusal}

    def patch(self, decide: t.Callable[[_drain.Node], _api.Object | None]) -> None:
        self.api.change(_api.node(self.name), lambda found: decide(_drain.parse_node(found)), self.left())


def evict(cluster: Cluster, node: _drain.Node) -> None:
    if not cluster.pods(node):
        return
    answer = poll(lambda: drain(cluster, node), lambda answer: not answer.early, cluster.left(), PAUSE)
    if not answer.ok:
        pods = cluster.pods(node)
        raise Failure(_drain.obstacles(pods, cluster.refusals(pods), _kubectl.reason(answer.text)))


def drain(cluster: Cluster, node: _drain.Node) -> Answer:
    flags = ["--ignore-daemonsets", "--delete-emptydir-data", "--force"]
    # Without a kubelet, do not wait longer than the pod's own grace period.
    flags += ["--skip-wait-for-delete-timeout=1"] if node.problems else []
    # 0 would mean no limit.
    return _kubectl.run(cluster.module, "drain", cluster.name, *flags, f"--timeout={max(1, round(cluster.left()))}s")


def give_back(cluster: Cluster) -> str:
    """Remove our own cordon, and report the state of the Node."""
    cluster.end = time.monotonic() + _GIVE_BACK
    try:
        cluster.patch(_drain.uncordon)
        node = cluster.node()
    except ApiError as problem:
        return f"the node stays cordoned, because {problem}"
    cordoned = node is not None and node.cordoned
    return f"the node is {'cordoned, as before' if cordoned else 'no longer cordoned'}"


def make_drained(cluster: Cluster, node: _drain.Node) -> None:
    params = cluster.module.params
    try:
        cluster.patch(lambda found: _drain.cordon(found, params["reason"]))
        evict(cluster, node)
        # The scheduler may have assigned a pod to the Node at the moment of the cordon. Later pods tolerate the cordon.
        evict(cluster, node)
    except (ApiError, Failure) as problem:
        limit = f"within {params['timeout']} s (timeout)"
        raise Failure(f"node {cluster.name} is not drained {limit}: {problem}; {give_back(cluster)}") from problem


def nothing(message: str) -> dict[str, t.Any]:
    return {**_actions.result([]), "pods": [], "msg": message}


def drained(cluster: Cluster) -> dict[str, t.Any]:
    node = cluster.node()
    if node is None:
        return nothing(f"There is no node {cluster.name}, so there is nothing to drain.")
    pods = cluster.pods(node)
    names, reason = [str(pod) for pod in pods], node.reason if node.cordoned else cluster.module.params["reason"]
    before = (node.cordoned, node.reason, names)
    after: _State = (True, reason, [])
    if _drain.lost(pods):
        cluster.module.warn(_drain.lost(pods))
    if before != after and not cluster.module.check_mode:
        make_drained(cluster, node)
    action = Action("drain", f"{', '.join(names) or 'no pods'} evicted, and the node uncordoned at the end")
    return {**result(cluster, before, after, action), "pods": names}


def wait_until_ready(cluster: Cluster) -> _drain.Node | None:
    """The Node as soon as it is Ready; in check mode, its current state."""
    runtime = cluster.module.params["runtime"]
    node = poll(cluster.node, lambda found: not _drain.lacks(found, cluster.name, runtime), cluster.left(), PAUSE)
    lacks = _drain.lacks(node, cluster.name, runtime)
    if lacks and not cluster.module.check_mode:
        seconds, cordoned = cluster.module.params["timeout"], node is not None and node.cordoned
        raise Failure(
            f"{lacks}, after {seconds} s (timeout); read `journalctl --unit kubelet` on that host, fix what it reports, and run this again"
            f"{'; the node stays cordoned until then' if cordoned else ''}"
        )
    return node


def restored(cluster: Cluster) -> dict[str, t.Any]:
    node = wait_until_ready(cluster)
    if node is None:
        return nothing(f"There is no node {cluster.name}, so there is nothing to restore.")
    before: _State = (node.cordoned, node.reason, [])
    after = before if node.reason is None else (False, None, [])
    if before != after and not cluster.module.check_mode:
        cluster.patch(_drain.uncordon)
    action = Action("apply", f"node {cluster.name}", "it accepts pods again")
    return {**result(cluster, before, after, action), "pods": []}


def result(cluster: Cluster, before: tuple, after: tuple, action: Action) -> dict[str, t.Any]:
    header = f"node {cluster.name}"
    diff = {"before": _drain.describe(*before), "after": _drain.describe(*after)}
    return {
        **_actions.result([action] if before != after else []),
        "cordoned": after[0],
        "diff": {**diff, "before_header": header, "after_header": header},
    }


def run(module: AnsibleModule) -> dict[str, t.Any]:
    try:
        return {"drained": drained, "restored": restored}[module.params["state"]](Cluster(module))
    except ApiError as error:
        if module.check_mode and error.answer.unreachable:
            return nothing(f"The state of the node is unknown: {error}.")
        raise


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["drained", "restored"], "required": True},
            "reason": {"type": "str", "default": "maintenance by plainkube.cluster"},
            "runtime": {"type": "str", "choices": ["", "docker", "containerd"], "default": ""},
            "timeout": {"type": "int", "default": 120},
            "kubeconfig": {"type": "path", "default": _places.ADMIN_CONF},
        },
        supports_check_mode=True,
    )
    try:
        with _run.held(module):
            module.exit_json(**run(module))
    except (ApiError, Failure) as problem:
        module.fail_json(msg=f"{str(problem)[:1].upper()}{str(problem)[1:]}.")
