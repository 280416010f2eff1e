# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module runtime_removal."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files, _places, _state
from ansible_collections.plainkube.cluster.plugins.module_utils.removal import _reset
from ansible_collections.plainkube.cluster.plugins.module_utils.removal._containerd_parts import ContainerdHost
from ansible_collections.plainkube.cluster.plugins.module_utils.removal._docker_parts import (
    BRIDGELESS,
    DROP_IN,
    DockerHost,
)
from ansible_collections.plainkube.cluster.plugins.module_utils.removal._parts import (
    Found,
    Part,
    actions,
    diff,
    explained,
)
from ansible_collections.plainkube.cluster.plugins.module_utils.removal._paths import at, there
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _bridge, _runtime

SPEC: dict[str, t.Any] = {
    "state": {"type": "str", "choices": ["prepared", "removed", "complete"], "default": "removed"},
    "runtime": {"type": "str", "choices": [_runtime.DOCKER, _runtime.CONTAINERD]},
    "bridge": {"type": "str"},
    "docker": {"type": "bool"},
    "replaced": {"type": "bool", "default": False},
    "packaged": {"type": "bool", "default": False},
    "images": {"type": "list", "elements": "str", "default": []},
    "wait": {"type": "int", "default": 60},
}
SHIM = "cri-dockerd"
AGAIN = "plainkube.cluster.site"


class Node(DockerHost, ContainerdHost):
    """A node's current state, and what the new runtime no longer needs."""

    def __init__(self, module: AnsibleModule) -> None:
        super().__init__(module)
        self.to_docker = module.params["runtime"] == _runtime.DOCKER
        bridge = _runtime.bridge_of(_files.read(at(_places.CNI_CONFLIST)) or "")
        # containerd stays, and its pods are on another bridge, or another major version of it follows.
        self.leaves_pods = (
            not self.to_docker and bridge != "" and (bridge != module.params["bridge"] or module.params["replaced"])
        )

    def parts(self) -> list[Part]:
        """In the order of removal."""
        # The artifacts that only nodes with upstream's containerd have.
        upstream = self.binary_parts(*(f"{_places.RELEASES}/{name}" for name in ("containerd", "cni-plugins")))
        if self.to_docker:
            return [*self.containerd_parts(), *upstream]
        # The unit identifies the rest as ours.
        return [
            Part("service", lambda: self.started([SHIM]), self.stop_services, (SHIM,)),
            *self.container_parts((SHIM,)),
            *([self.pod_container_part(), *self.network_parts()] if self.leaves_pods else []),
            *(upstream if self.module.params["packaged"] else []),
            *([] if self.module.params["docker"] else self.bridge_parts(self.docker_process, runs=False)),
            *self.tree_parts("data", lambda: [*_reset.DATA[SHIM]], (SHIM,)),
            *self.binary_parts(f"{_places.RELEASES}/{SHIM}"),
            self.unit_part([SHIM]),
        ]

    def wake(self) -> None:
        if not self.to_docker and self.has(SHIM):
            self.wake_docker()
        if self.to_docker or self.leaves_pods:
            self.wake_containerd()

    def inspect(self) -> Found:
        found = super().inspect()
        if not found or not self.runs("kubelet.service"):
            return found
        return {"service": ["kubelet", *found.pop("service", [])], **found}

    def remove(self) -> None:
        """The kubelet must not create anything new."""
        if self.runs("kubelet.service"):
            self.run("systemctl", "stop", "kubelet.service")
        super().remove()

    def all_containers(self) -> list[dict[str, t.Any]]:
        """Also remembers the images of pods' containers, which are removed before the images."""
        found = super().all_containers()
        self.pulled |= {one["ImageID"] for one in found if _bridge.of_kubernetes(one)}
        return found

    def docker_process(self) -> list[str]:
        """Docker, if it is on flannel's subnet, or being moved back from it. Otherwise, it is not ours."""
        leaves = there([BRIDGELESS]) or (there([DROP_IN]) and self.started(["docker"]))
        return ["stopped, and disabled at boot"] if leaves else []


def refuse(node: Node) -> None:
    """Fail, before any change, if the removal is not safe or Docker must stop but runs foreign containers."""
    node.refuse(AGAIN)
    foreign = [] if node.module.params["docker"] or not there([DROP_IN]) else node.foreign()
    if foreign:
        node.module.fail_json(
            msg="Docker Engine must stop on this node (docker_enabled is false), but runs containers that Kubernetes does not own: "
            f"{', '.join(foreign)}; stop them, or set docker_enabled to true."
        )


def record(module: AnsibleModule, change: dict[str, t.Any] | None) -> dict[str, t.Any]:
    """Record the change in progress on the host: once the node's files have changed, they no longer show why it was drained."""
    written = _state.update(module, _state.RUNTIME_CHANGE, change, at(""))
    return _actions.result(_actions.writes([_state.PATH] if written else []))


def run(module: AnsibleModule) -> dict[str, t.Any]:
    runtime, state = module.params["runtime"], module.params["state"]
    with explained(module, AGAIN):
        if state == "complete":
            return record(module, None)
        node = Node(module)
        refuse(node)
        if state == "prepared":
            node.inspect()  # fails before the drain if something cannot be read
            return record(module, {"to": runtime})
        begun = _state.RUNTIME_CHANGE in _state.read(at(""))
        pending = [Action("wait", "the change of the container runtime", "it is not complete yet")] if begun else []
        found = node.inspect()
        if found and not module.check_mode:
            node.remove()
        return {**_actions.result([*actions(found), *pending]), "diff": diff(found)}


def main() -> None:
    needed = ("runtime", "bridge", "docker")
    _run.main(SPEC, run, required_if=[("state", state, needed) for state in ("prepared", "removed")])
