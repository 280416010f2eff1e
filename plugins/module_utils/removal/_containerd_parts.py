# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The parts of containerd that belong to this collection: Kubernetes' containers and images, their network, and our service."""

from __future__ import annotations

import contextlib
import os
import signal

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.removal import _reset
from ansible_collections.plainkube.cluster.plugins.module_utils.removal._parts import (
    UNITS,
    Host,
    Part,
    Trees,
    at,
    listed,
    matching,
    remove_files,
    there,
)
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _docker_service, _runtime
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime._docker_service import output
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _environment, _stamp

CONTAINERD = "containerd.service"
CNI_PATH = "plainkube-cni.path"
UNIT = f"{UNITS}/{CONTAINERD}"
FILES = (
    "/etc/containerd/plainkube.toml",
    "/etc/kubernetes/plainkube-cni",
    "/etc/kubernetes/plainkube-cni.json",
    _environment.path("containerd"),
    f"{UNITS}/plainkube-cni.service",
    f"{UNITS}/{CNI_PATH}",
)
BRIDGE = "cni0"
NAMESPACES = "/run/netns"
# State of containerd's CRI plugin, on disk and until the next boot.
STATE = ("/var/lib/containerd/io.containerd.grpc.v1.cri", "/run/containerd/io.containerd.grpc.v1.cri")
# containerd itself configures each pod's loopback, also with CNI.
LEASES = ("/var/lib/cni/networks/plainkube", "/var/lib/cni/results/plainkube-*", "/var/lib/cni/results/cni-loopback-*")
# The chains of the plugin portmap, which forwards hostPorts to pods.
CHAINS = ("CNI-HOSTPORT", "CNI-DN")
TABLES = ("cni_hostport",)
NAMESPACE = "k8s.io"
COMMAND = ("ctr", "--namespace", NAMESPACE)


def is_shim(command_line: str) -> bool:
    """Whether a process, given its /proc/PID/cmdline, is a containerd shim of Kubernetes' containers."""
    words = command_line.split("\0")
    return os.path.basename(words[0]).startswith("containerd-shim") and NAMESPACE in words


def command_line(pid: str) -> str:
    """A process's, with zeros between its words; empty where it has ended."""
    try:
        return _files.read(at(f"/proc/{pid}/cmdline")) or ""
    except ProcessLookupError:
        return ""


class ContainerdHost(Host):
    """A host with containerd as the kubelet's runtime."""

    def manages_containerd(self) -> bool:
        """Whether containerd runs in our unit, or did until the unit was removed."""
        return _stamp.split(_files.read(at(UNIT)) or "")[2] is not None or bool(there([_runtime.CONFLIST]))

    def containerd_parts(self) -> list[Part]:
        """All parts. The unit comes last, because it identifies containerd as ours."""
        return [
            Part("container", self.pod_containers, self.remove_pod_containers),
            Part("image", self.pod_images, self.remove_pod_images),
            *self.network_parts(),
            Part("file", self.containerd_files, remove_files),
            Part("unit", lambda: there([UNIT]) if self.manages_containerd() else [], self.remove_containerd),
        ]

    def network_parts(self) -> list[Part]:
        """The remains of pods without their containers. containerd stops, because it remembers the pods. The CNI configuration, which identifies
        their bridge, comes last."""
        return [
            Part("service", self.containerd_services, self.stop_containerd),
            Part("process", self.shims, self.end_shims),
            Part("network namespace", self.network_namespaces, self.remove_network_namespaces),
            Part("rules", self.port_rules, self.remove_port_rules),
            Part("nftables table", self.port_tables, self.remove_tables),
            Part("mount", lambda: self.sandbox_trees().mount_points(), self.unmount),
            Part("data", lambda: self.sandbox_trees().names(), lambda dummy: self.sandbox_trees().remove()),
            Part("interface", self.own_bridge, self.remove_interfaces),
            Part("file", self.network_configuration, remove_files),
        ]

    def wake_containerd(self) -> None:
        """Start a stopped containerd that may still have pods' containers: only containerd can list them."""
        if self.manages_containerd() and there([UNIT]) and not self.containerd_runs():
            output(self.module, "systemctl", "start", CONTAINERD)

    def containerd_runs(self) -> bool:
        return self.state(CONTAINERD).get("ActiveState") == "active"

    def listing(self, kind: str) -> list[str]:
        """The names of all containers, tasks or images of Kubernetes."""
        if not self.manages_containerd() or not self.containerd_runs():
            return []
        return sorted(output(self.module, *COMMAND, kind, "list", "--quiet").split())

    def pod_containers(self) -> list[str]:
        return self.listing("containers")

    def remove_pod_containers(self, names: list[str]) -> None:
        tasks = self.listing("tasks")
        if tasks:
            # It may end in the meantime: the next command shows whether any is left.
            output(self.module, *COMMAND, "tasks", "delete", "--force", *tasks)
        self.run(*COMMAND, "containers", "delete", *names)

    def pod_images(self) -> list[str]:
        return self.listing("images")

    def remove_pod_images(self, names: list[str]) -> None:
        self.run(*COMMAND, "images", "delete", "--sync", *names)

    def containerd_services(self) -> list[str]:
        names = [CNI_PATH, CONTAINERD] if self.manages_containerd() else []
        return [name for name in names if self.state(name).get("ActiveState") == "active"]

    def stop_containerd(self, names: list[str]) -> None:
        _docker_service.systemctl(self.module, "stop", *names)

    def shims(self) -> list[str]:
        """They survive a stop of containerd, and containerd 2 stops that of a sandbox only if the kubelet requests it."""
        pids = [name for name in listed("/proc") if name.isdigit()] if self.manages_containerd() else []
        return [pid for pid in pids if is_shim(command_line(pid))]

    def end_shims(self, pids: list[str]) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        left = poll(self.shims, lambda left: not left, seconds=10)
        if left:
            raise OSError(f"these processes of containerd do not stop: {', '.join(left)}")

    def network_namespaces(self) -> list[str]:
        names = listed(NAMESPACES) if self.manages_containerd() else []
        return [name for name in names if name.startswith("cni-")]

    def remove_network_namespaces(self, names: list[str]) -> None:
        """Removing a namespace also removes the veth pair of its pod."""
        for name in names:
            self.run("ip", "netns", "delete", name)

    def owned_port_rules(self) -> dict[str, list[str]]:
        saved = output(self.module, "iptables-save") if self.manages_containerd() else ""
        return _reset.chain_rules(saved, CHAINS)

    def port_rules(self) -> list[str]:
        return _reset.rule_names("iptables", self.owned_port_rules())

    def remove_port_rules(self, dummy: list[str]) -> None:
        script = _reset.restore_script(self.owned_port_rules())
        self.run("iptables-restore", "--noflush", "--wait", data=script)

    def port_tables(self) -> list[str]:
        listing = output(self.module, "nft", "list", "tables") if self.manages_containerd() else ""
        return _reset.owned_tables(listing, TABLES)

    def sandbox_trees(self) -> Trees:
        paths = [*STATE, *(path for pattern in LEASES for path in matching(pattern))]
        return Trees(paths if self.manages_containerd() else [])

    def own_bridge(self) -> list[str]:
        """cni0, if it is ours: other software uses the same name."""
        ours = _runtime.bridge_of(_files.read(at(_runtime.CONFLIST)) or "") == BRIDGE
        return [BRIDGE] if ours and os.path.exists(at(f"/sys/class/net/{BRIDGE}")) else []

    def network_configuration(self) -> list[str]:
        return there([_runtime.CONFLIST])

    def containerd_files(self) -> list[str]:
        return there(FILES) if self.manages_containerd() else []

    def remove_containerd(self, paths: list[str]) -> None:
        """Return the service to its package, and to Docker if that is running."""
        _docker_service.systemctl(self.module, "stop", CONTAINERD)
        _docker_service.systemctl(self.module, "disable", "--quiet", CONTAINERD)
        remove_files(paths)
        _docker_service.systemctl(self.module, "daemon-reload")
        if self.state(_docker_service.SERVICE).get("ActiveState") == "active":
            output(self.module, "systemctl", "start", CONTAINERD)
