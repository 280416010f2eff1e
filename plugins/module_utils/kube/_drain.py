# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Draining a Node: the owner of its cordon, the pods to evict, and the reasons that block their eviction."""

from __future__ import annotations

import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.health import _status

# Set on a Node that we cordoned. A cordon without it belongs to an administrator, and stays.
ANNOTATION = "plainkube.io/drained"
_MIRROR = "kubernetes.io/config.mirror"


class Node(t.NamedTuple):
    """The relevant state of a Node to drain or restore."""

    name: str
    version: str  # of the object, so that a patch does not overwrite concurrent changes
    cordoned: bool
    reason: str | None  # the value of our annotation, or None
    runtime: str  # as last reported by the kubelet, such as docker://26.1.5
    problems: list[str]  # why it is not Ready


def parse_node(answer: dict[str, t.Any]) -> Node:
    """Parse a Node object of the API."""
    metadata, state = answer["metadata"], _status.node_state(answer["metadata"]["name"], answer)
    not_ready = not state["ready"]
    return Node(
        name=metadata["name"],
        version=metadata["resourceVersion"],
        cordoned=not state["schedulable"],
        reason=metadata.get("annotations", {}).get(ANNOTATION),
        runtime=answer.get("status", {}).get("nodeInfo", {}).get("containerRuntimeVersion", ""),
        problems=[problem.text for problem in _status.node_problems(state)] if not_ready else [],
    )


def cordon(node: Node, reason: str) -> dict[str, t.Any] | None:
    """The patch that cordons a Node and marks the cordon as ours; None if it is already cordoned."""
    return None if node.cordoned else _patch(node, True, reason)


def uncordon(node: Node) -> dict[str, t.Any] | None:
    """The patch that removes our cordon; None if there is none."""
    return None if node.reason is None else _patch(node, None, None)


def _patch(node: Node, cordoned: bool | None, reason: str | None) -> dict[str, t.Any]:
    metadata = {"resourceVersion": node.version, "annotations": {ANNOTATION: reason}}
    return {"metadata": metadata, "spec": {"unschedulable": cordoned}}


def lacks(node: Node | None, name: str, runtime: str) -> str:
    """Why a Node cannot be uncordoned yet; empty if it can.

    A Node stays Ready for a moment after its kubelet stops: the runtime shows whether the new kubelet has reported.
    """
    if node is None:
        return f"node {name} does not exist"
    if node.problems:
        return "; ".join(node.problems)
    if runtime and not node.runtime.startswith(f"{runtime}://"):
        return f"the kubelet of node {name} has not reported {runtime} as its container runtime yet ({node.runtime or 'none'} so far)"
    return ""


# Pods


class Pod(t.NamedTuple):
    """A pod to evict from a Node."""

    namespace: str
    name: str
    controlled: bool  # a controller recreates it elsewhere
    ending: bool

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def pods_to_go(answer: dict[str, t.Any], node: Node) -> list[Pod]:
    """The pods to evict from a Node: all except those of DaemonSets and static pods.

    If no kubelet reports, nothing stops the containers of a pod that is being deleted, so there is no point in waiting.
    """
    items = [item for item in answer["items"] or [] if _ANY_NODE_HAS.isdisjoint(_marks(item))]
    pods = sorted((_parse_pod(item) for item in items), key=str)
    return [pod for pod in pods if not (node.problems and pod.ending)]


_ANY_NODE_HAS = {"DaemonSet", _MIRROR}


def _marks(item: dict[str, t.Any]) -> set[str]:
    return {_controller(item), *item["metadata"].get("annotations", {})}


def _controller(item: dict[str, t.Any]) -> str:
    owners = item["metadata"].get("ownerReferences", [])
    return next((owner["kind"] for owner in owners if owner.get("controller")), "")


def _parse_pod(item: dict[str, t.Any]) -> Pod:
    metadata = item["metadata"]
    return Pod(
        metadata["namespace"],
        metadata["name"],
        bool(_controller(item)),
        "deletionTimestamp" in metadata,
    )


def lost(pods: t.Sequence[Pod]) -> str:
    """A warning about pods that no controller recreates; empty if there are none."""
    names = [str(pod) for pod in pods if not pod.controlled]
    return f"These pods have no controller and will not be recreated: {', '.join(names)}." if names else ""


def obstacles(pods: t.Sequence[Pod], refusals: t.Mapping[Pod, str], complaint: str) -> str:
    """Why a Node still has these pods, and what to do. refusals: the API's messages about PodDisruptionBudgets; complaint: kubectl's, otherwise."""
    found = [f"{pod} cannot be evicted ({refusal})" for pod, refusal in refusals.items()]
    remedies = ["start more healthy pods on other nodes, or lower these budgets"] if found else []
    ending = [str(pod) for pod in pods if pod.ending]
    if ending:
        found.append(f"{', '.join(ending)} did not end")
        remedies.append("find out why their containers do not stop, or allow more time")
    return f"{', and '.join(found)}; {', and '.join(remedies)}" if found else complaint


# The diff


def describe(cordoned: bool, reason: str | None, pods: t.Iterable[str]) -> str:
    """A Node's state as one side of a diff."""
    names = "".join(f"\n- {name}" for name in pods) or " []"
    annotation = "" if reason is None else f"{ANNOTATION}: {reason}\n"
    return f"cordoned: {str(cordoned).lower()}\n{annotation}pods to evict:{names}\n"
