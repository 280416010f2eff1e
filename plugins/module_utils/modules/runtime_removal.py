# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The code of module runtime_removal; here, so that module survey can import it."""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files
from ansible_collections.plainkube.cluster.plugins.module_utils.removal._containerd_parts import ContainerdHost
from ansible_collections.plainkube.cluster.plugins.module_utils.removal._docker_parts import BRIDGELESS, DockerHost
from ansible_collections.plainkube.cluster.plugins.module_utils.removal._parts import (
    UNITS,
    Part,
    Trees,
    actions,
    apply,
    at,
    inspect,
    matching,
    remove_files,
    there,
)
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import (
    _bridge,
    _docker_api,
    _docker_service,
    _runtime,
)
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime._docker_service import SERVICE, Failure

SPEC: dict[str, t.Any] = {
    "runtime": {"type": "str", "choices": [_runtime.DOCKER, _runtime.CONTAINERD], "required": True},
    "bridge": {"type": "str", "required": True},
    "docker": {"type": "bool", "required": True},
    "images": {"type": "list", "elements": "str", "default": []},
    "wait": {"type": "int", "default": 60},
}
SHIM = "cri-dockerd"
SHIM_UNIT = f"{UNITS}/{SHIM}.service"
SHIM_DATA = ("/var/lib/cri-dockerd", "/run/cri-dockerd.sock", f"/opt/plainkube/{SHIM}")
# The components of role artifacts that only nodes with containerd have.
BINARIES = ("/opt/plainkube/containerd", "/opt/plainkube/cni-plugins")


class Node(DockerHost, ContainerdHost):
    """A node's current state, and what the new runtime no longer needs."""

    OWNERS: tuple[str, ...] = (SHIM,)

    def __init__(self, module: AnsibleModule) -> None:
        super().__init__(module)
        self.wanted = module.params
        # Of containers that will be removed before the images.
        self.pulled: set[str] = set()

    def refusals(self) -> list[str]:
        """Why it is not safe to remove the existing parts."""
        docker = self.wanted["runtime"] == _runtime.DOCKER
        found = [Trees(BINARIES if docker else SHIM_DATA)]
        if docker or self.leaves_bridge:
            found.append(self.sandbox_trees())
        return [problem for trees in found for problem in trees.refusals()]

    @property
    def leaves_bridge(self) -> bool:
        """Whether containerd stays and its pods move to another bridge."""
        found = _runtime.bridge_of(_files.read(at(_runtime.CONFLIST)) or "")
        return self.wanted["runtime"] == _runtime.CONTAINERD and found not in ("", self.wanted["bridge"])

    def wake(self) -> None:
        """Start the previous runtime if it still has pods' containers."""
        if self.wanted["runtime"] == _runtime.CONTAINERD:
            self.wake_docker()
        if self.wanted["runtime"] == _runtime.DOCKER or self.leaves_bridge:
            self.wake_containerd()

    def parts(self) -> list[Part]:
        """In the order of removal."""
        if self.wanted["runtime"] == _runtime.DOCKER:
            return [*self.containerd_parts(), *self.binaries(BINARIES)]
        found = [
            Part("service", self.shim_services, self.stop_services),
            Part("container", self.containers, self.remove_containers),
            Part("image", self.images, self.remove_images),
        ]
        if self.leaves_bridge:
            found += [
                Part("container", self.pod_containers, self.remove_pod_containers),
                *self.network_parts(),
            ]
        if not self.wanted["docker"]:
            found += [
                Part("setting of Docker", self.settings, self.take_back_settings),
                Part("Docker's process", self.docker_process, self.stop_docker),
                Part("file", self.drop_ins, self.remove_drop_ins),
            ]
        # The unit identifies the rest as ours.
        return [
            *found,
            *self.binaries(SHIM_DATA),
            Part("unit", lambda: there([SHIM_UNIT]) if self.has(SHIM) else [], self.remove_units),
        ]

    def binaries(self, paths: t.Sequence[str]) -> list[Part]:
        """The directories of programs and their data, and the links to them."""

        def links() -> list[str]:
            found = matching("/usr/local/bin/*") + matching("/opt/cni/bin/*")
            return [path for path in found if os.path.islink(at(path)) and self.leads(path, paths)]

        return [
            Part("link", links, remove_files),
            Part("data", lambda: Trees(paths).names(), lambda dummy: Trees(paths).remove()),
        ]

    @staticmethod
    def leads(link: str, paths: t.Sequence[str]) -> bool:
        return os.readlink(at(link)).startswith(tuple(f"{path}/" for path in paths))

    # --- the kubelet, and what is between it and Docker ---

    def kubelet(self) -> list[str]:
        return ["kubelet"] if self.runs("kubelet.service") else []

    def stop_kubelet(self, dummy: list[str]) -> None:
        """It would recreate its containers."""
        _docker_service.systemctl(self.module, "stop", "kubelet.service")

    def shim_services(self) -> list[str]:
        state = self.state(f"{SHIM}.service") if self.has(SHIM) else {}
        runs = state.get("ActiveState") not in ("inactive", None) or state.get("UnitFileState") == "enabled"
        return [SHIM] if runs else []

    # --- Docker ---

    def images(self) -> list[str]:
        """The collection's images, and those that pods pulled."""
        if not self.has(SHIM) or not self.docker_runs():
            return []
        containers = self.all_containers()
        self.pulled |= {one["ImageID"] for one in containers if _bridge.of_kubernetes(one)}
        used = {one["ImageID"] for one in containers if not _bridge.of_kubernetes(one)}
        images = _docker_api.call("GET", "/images/json") or []
        return sorted(
            name
            for image in images
            if image["Id"] not in used
            for name in image.get("RepoTags") or []
            if image["Id"] in self.pulled or name in self.wanted["images"]
        )

    def docker_process(self) -> list[str]:
        """Docker, if it is on flannel's subnet, or being moved back from it. Otherwise, it is not ours."""
        if not there([self.drop_in(), BRIDGELESS]):
            return []
        state = self.docker() if not there([BRIDGELESS]) else {"ActiveState": "active"}
        runs = state.get("ActiveState") not in ("inactive", "failed", None) or state.get("UnitFileState") == "enabled"
        return ["stopped, and disabled at boot"] if runs else []

    def stop_docker(self, dummy: list[str]) -> None:
        """Its containers, images and volumes stay; if it is started manually, it has its default bridge."""
        _docker_service.stop(self.module, rebuild=True)
        _docker_service.systemctl(self.module, "disable", "--quiet", SERVICE, "docker.socket")
        self.remove_drop_ins(self.drop_ins())
        if self.startable():
            self.forget_bridge()


def refuse(module: AnsibleModule, node: Node) -> None:
    """Fail, before any change, if Docker must stop but runs foreign containers."""
    refusals = node.refusals()
    if refusals:
        module.fail_json(msg=f"Nothing was removed: {'; '.join(refusals)}, and run plainkube.cluster.site again.")
    foreign = [] if module.params["docker"] or not there([node.drop_in()]) else node.foreign()
    if foreign:
        module.fail_json(
            msg="Docker Engine must stop on this node (docker_enabled is false), but runs containers that Kubernetes does not own: "
            f"{', '.join(foreign)}; stop them, or set docker_enabled to true."
        )


def run(module: AnsibleModule) -> dict[str, t.Any]:
    try:
        node = Node(module)
        refuse(module, node)
        if not module.check_mode:
            node.wake()
        parts = node.parts()
        found = inspect(node, parts)
        if found:
            # The kubelet must not create anything new.
            parts = [Part("service", node.kubelet, node.stop_kubelet), *parts]
            found = inspect(node, parts)
        if found and not module.check_mode:
            apply(node, parts)
    except (Failure, OSError, ValueError) as error:
        module.fail_json(
            msg=f"{str(error).rstrip('.')}. Fix that, and run plainkube.cluster.site again: it resumes here."
        )
    lines = [f"{kind} {name}\n" for kind, names in found.items() for name in names]
    begun = os.path.exists(at(_runtime.MARKER))
    pending = [Action("wait", "the change of the container runtime", "it is not complete yet")] if begun else []
    return {
        **_actions.result([*actions(found), *pending]),
        "diff": {"before_header": "this node", "after_header": "this node", "before": "".join(lines), "after": ""},
    }


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    with _run.held(module):
        module.exit_json(**run(module))
