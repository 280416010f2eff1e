# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The parts of containerd that belong to this collection: Kubernetes' containers and images, their network, and our service."""

from __future__ import annotations

import contextlib
import functools
import os
import signal

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files, _places
from ansible_collections.plainkube.cluster.plugins.module_utils.host._places import CNI_BRIDGE, UNITS
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.removal import _paths, _reset
from ansible_collections.plainkube.cluster.plugins.module_utils.removal._parts import Host, Part
from ansible_collections.plainkube.cluster.plugins.module_utils.removal._paths import at, listed, matching, there
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _docker_service, _runtime
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _environment

# Without our unit, nothing of containerd is ours.
OURS = ("containerd",)
CONTAINERD = "containerd.service"
UNIT = f"{UNITS}/{CONTAINERD}"
NAMESPACES = "/run/netns"
# State of containerd's CRI plugin, on disk and until the next boot.
STATE = ("/var/lib/containerd/io.containerd.grpc.v1.cri", "/run/containerd/io.containerd.grpc.v1.cri")
# containerd itself configures each pod's loopback, also with CNI.
LEASES = (_places.CNI_LEASES, "/var/lib/cni/results/plainkube-*", "/var/lib/cni/results/cni-loopback-*")
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
    """The content of /proc/PID/cmdline; empty if the process has ended."""
    try:
        return _files.read(at(f"/proc/{pid}/cmdline")) or ""
    except ProcessLookupError:
        return ""


def shims() -> list[str]:
    """They survive a stop of containerd, and containerd 2 stops that of a sandbox only if the kubelet requests it."""
    return [pid for pid in listed("/proc") if pid.isdigit() and is_shim(command_line(pid))]


def end_shims(pids: list[str]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    left = poll(shims, lambda left: not left, seconds=10)
    if left:
        raise OSError(f"these processes of containerd do not stop: {', '.join(left)}")


def network_namespaces() -> list[str]:
    return [name for name in listed(NAMESPACES) if name.startswith("cni-")]


def sandboxes() -> list[str]:
    return [*STATE, *(path for pattern in LEASES for path in matching(pattern))]


def own_bridge() -> list[str]:
    """The bridge, if it is ours: other software uses the same name."""
    ours = _runtime.bridge_of(_files.read(at(_places.CNI_CONFLIST)) or "") == CNI_BRIDGE
    return [CNI_BRIDGE] if ours and os.path.exists(at(f"/sys/class/net/{CNI_BRIDGE}")) else []


class ContainerdHost(Host):
    """A host with containerd as the kubelet's runtime."""

    def containerd_parts(self) -> list[Part]:
        """All parts. The unit comes last, because it identifies containerd as ours."""
        return [
            self.pod_container_part(),
            Part("image", lambda: self.listing("images"), self.remove_pod_images, OURS),
            *self.network_parts(),
            Part("file", self.containerd_files, _paths.remove_files, OURS),
            Part("unit", lambda: there([UNIT]), self.remove_containerd, OURS),
        ]

    def pod_container_part(self) -> Part:
        return Part("container", lambda: self.listing("containers"), self.remove_pod_containers, OURS)

    def network_parts(self) -> list[Part]:
        """The remains of pods without their containers. containerd stops, because it remembers the pods. The CNI configuration, which identifies
        their bridge, comes last."""
        chains = functools.partial(_reset.chain_rules, prefixes=CHAINS)
        return [
            Part("service", self.containerd_services, self.each("systemctl", "stop"), OURS),
            Part("process", shims, end_shims, OURS),
            # Removing a namespace also removes the veth pair of its pod.
            Part("network namespace", network_namespaces, self.each("ip", "netns", "delete"), OURS),
            self.rule_part("iptables", chains, OURS),
            self.table_part(TABLES, OURS),
            *self.tree_parts("data", sandboxes, OURS),
            Part("interface", own_bridge, self.each("ip", "link", "delete"), OURS),
            Part("file", lambda: there([_places.CNI_CONFLIST]), _paths.remove_files, OURS),
        ]

    def wake_containerd(self) -> None:
        """Start a stopped containerd that may still have pods' containers: only containerd can list them."""
        if self.has(*OURS) and there([UNIT]) and not self.active(CONTAINERD):
            self.output("systemctl", "start", CONTAINERD)

    def listing(self, kind: str) -> list[str]:
        """The names of all containers, tasks or images of Kubernetes."""
        if not self.active(CONTAINERD):
            return []
        return sorted(self.output(*COMMAND, kind, "list", "--quiet").split())

    def remove_pod_containers(self, names: list[str]) -> None:
        tasks = self.listing("tasks")
        if tasks:
            # They may end in the meantime: the next command shows whether any is left.
            self.output(*COMMAND, "tasks", "delete", "--force", *tasks)
        self.run(*COMMAND, "containers", "delete", *names)

    def remove_pod_images(self, names: list[str]) -> None:
        self.run(*COMMAND, "images", "delete", "--sync", *names)

    def containerd_services(self) -> list[str]:
        return [name for name in (_places.CNI_PATH, CONTAINERD) if self.active(name)]

    def containerd_files(self) -> list[str]:
        """Not /etc/crictl.yaml, which a node keeps when its runtime changes."""
        files = filter(_reset.is_ours, _reset.configuration([self.units["containerd"]]))
        return there([*sorted(files), _environment.path("containerd")])

    def remove_containerd(self, paths: list[str]) -> None:
        """Return the service to its package, and to Docker if that is running."""
        self.run("systemctl", "stop", CONTAINERD)
        self.run("systemctl", "disable", "--quiet", CONTAINERD)
        _paths.remove_files(paths)
        self.run("systemctl", "daemon-reload")
        if self.active(_docker_service.SERVICE):
            self.output("systemctl", "start", CONTAINERD)
