# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The code of module host_reset."""

from __future__ import annotations

import functools
import grp
import os
import pwd

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.etcd import _member
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.removal import _reset
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
    listed,
    matching,
    mounted,
    remove_cgroup,
    remove_files,
    resolved,
    there,
)
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import (
    _bridge,
    _docker,
    _docker_service,
    _runtime,
)
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime._docker_service import Failure, output

PKI = f"{_reset.CONFIGURATION}/pki"
# The directories with role artifacts' symlinks.
LINKS = ("/usr/local/bin", "/opt/cni/bin")
# Files with our signature, and files with our names.
SIGNED: tuple[str, ...] = (
    "/etc/network-environment",
    "/etc/sysctl.d/60-plainkube.conf",
    "/etc/sysctl.d/60-plainkube-kubelet.conf",
)
SIGNED += ("/etc/crictl.yaml",)
NAMED = (
    "/etc/modules-load.d/plainkube.conf",
    "/etc/tmpfiles.d/plainkube.conf",
    "/etc/sysusers.d/plainkube-*.conf",
    _runtime.MARKER,
    _member.FIRST_START,
)
SIGNATURE = "Written by plainkube.cluster"
# The packages' services for programs that run in our own services, and the drop-ins that keep them from starting.
HELD = {f"{UNITS}/{name}.service.d/plainkube.conf": f"{name}.service" for name in ("haproxy", "keepalived")}
# The remains of a killed run, next to the files that it wrote.
TEMPORARY: tuple[str, ...] = (
    "/etc",
    UNITS,
    f"{UNITS}/docker.service.d",
    "/etc/sysctl.d",
    "/etc/modules-load.d",
    "/etc/sysusers.d",
    "/etc/docker",
    "/etc/containerd",
    "/etc/cni/net.d",
)
TEMPORARY += (_reset.CONFIGURATION, PKI, f"{PKI}/etcd", *LINKS)
# The services' data, by the service whose unit identifies it as ours.
DATA = {
    "etcd": [_member.DATA, f"{_member.DATA}.old"],
    "kube-apiserver": ["/var/log/kube-apiserver"],
    "flanneld": ["/var/lib/flannel", "/run/flannel"],
    "cri-dockerd": ["/var/lib/cri-dockerd", "/run/cri-dockerd.sock"],
    # The pods' directory may be on a separate disk.
    "kubelet": ["/var/lib/kubelet/pods", "/var/lib/kubelet", "/var/log/pods", "/var/log/containers"],
}
# Directories that services or the collection created and other software may use; removed when empty.
PLUGINS = "/usr/libexec/kubernetes"
SHARED = {
    "etcd": ["/var/lib/etcd"],
    "cri-dockerd": ["/etc/cni/net.d", "/etc/cni"],
    "containerd": [
        *("/etc/cni/net.d", "/etc/cni", "/etc/containerd"),
        *("/var/lib/cni/networks", "/var/lib/cni/results", "/var/lib/cni"),
    ],
    "kubelet": [
        f"{PLUGINS}/kubelet-plugins/volume/exec",
        f"{PLUGINS}/kubelet-plugins/volume",
        f"{PLUGINS}/kubelet-plugins",
        PLUGINS,
    ],
}
ALWAYS_SHARED = [f"{PKI}/etcd", PKI, _reset.CONFIGURATION, "/etc/sysusers.d"]
ALWAYS_SHARED += [f"{UNITS}/docker.service.d", f"{UNITS}/containerd.service.d", os.path.dirname(BRIDGELESS)]
ALWAYS_SHARED += ["/opt/cni/bin", "/opt/cni"]
KUBECTL_CACHE = "/root/.kube/cache"


class Host(DockerHost, ContainerdHost):
    """The current state of the host."""

    def __init__(self, module: AnsibleModule) -> None:
        super().__init__(module)
        self.network = self.pod_network()

    def pod_network(self) -> str:
        found = _docker.environment(_files.read(at("/var/lib/flannel/subnet.env")) or "")
        return found.get("FLANNEL_NETWORK") or self.module.params["pod_network"]

    def parts(self) -> list[Part]:
        """In the order of removal. Units come last, because they identify what is ours."""
        return [
            Part("service", self.services, self.stop_services),
            Part("hold on", self.held_services, self.release_services),
            *self.containerd_parts(),
            Part("container", self.containers, self.remove_containers),
            Part("image", self.images, self.remove_images),
            Part("setting of Docker", self.settings, self.take_back_settings),
            Part("file", self.drop_ins, self.remove_drop_ins),
            Part("Docker's process", self.docker_process, self.restart_docker),
            Part("interface", self.interfaces, self.remove_interfaces),
            Part("route", self.routes, self.remove_routes),
            Part("rules", lambda: self.rules("iptables"), lambda found: self.remove_rules("iptables")),
            Part("rules", lambda: self.rules("ip6tables"), lambda found: self.remove_rules("ip6tables")),
            Part("nftables table", self.tables, self.remove_tables),
            Part("mount", lambda: [point for trees in self.trees() for point in trees.mount_points()], self.unmount),
            Part("data", lambda: self.data().names(), lambda dummy: self.data().remove()),
            Part("cgroup", self.cgroups, self.remove_cgroups),
            Part("file", self.files, remove_files),
            Part("link", self.links, remove_files),
            Part("binaries", lambda: self.binaries().names(), lambda dummy: self.binaries().remove()),
            Part("user", self.users, self.remove_users),
            Part("directory", self.directories, self.remove_directories),
            Part("unit", self.unit_files, self.remove_units),
        ]

    # --- services --------------------------------------------------------------------------------------------------

    def services(self) -> list[str]:
        """All except containerd, which must list its containers before it is stopped."""
        states = {name: self.state(f"{name}.service") for name in self.ours if name != "containerd"}
        return [
            name
            for name, state in states.items()
            if state.get("ActiveState") not in ("inactive", None) or state.get("UnitFileState") == "enabled"
        ]

    def held_services(self) -> list[str]:
        return [HELD[path] for path in there(HELD)]

    def release_services(self, units: list[str]) -> None:
        """As if the package had been installed without starting its service, now or at boot."""
        _docker_service.systemctl(self.module, "disable", "--quiet", *units)
        for path in there(HELD):
            os.unlink(at(path))
            if not listed(os.path.dirname(path)):
                os.rmdir(at(os.path.dirname(path)))

    def unit_files(self) -> list[str]:
        return there(f"{UNITS}/{name}.service" for name in self.ours)

    # --- network ---------------------------------------------------------------------------------------------------

    def addresses(self) -> dict[str, tuple[str, int]]:
        return _bridge.parse_addresses(output(self.module, "ip", "-json", "-4", "address", "show"))

    def interfaces(self) -> list[str]:
        links = ["flannel.1", "flannel-v6.1"] if self.has("flanneld") else []
        return [link for link in links if os.path.exists(at(f"/sys/class/net/{link}"))]

    def routes(self) -> list[str]:
        if not self.has("flanneld"):
            return []
        found = _reset.owned_routes(output(self.module, "ip", "-json", "route", "show"), self.network)
        # Routes through flannel.1 disappear with it.
        return [route for route in found if not route.endswith(" dev flannel.1")]

    def remove_routes(self, routes: list[str]) -> None:
        for route in routes:
            self.run("ip", "route", "delete", *route.split())

    def owned_rules(self, command: str) -> dict[str, list[str]]:
        if not self.has("flanneld", "kube-proxy", "kubelet"):
            return {}
        return _reset.owned_rules(output(self.module, f"{command}-save"), self.network)

    def rules(self, command: str) -> list[str]:
        return _reset.rule_names(command, self.owned_rules(command))

    def remove_rules(self, command: str) -> None:
        tables = self.owned_rules(command)
        bridge = self.addresses().get(_bridge.NAME)
        if command == "iptables" and "nat" in tables and bridge and self.stamped():
            # Containers of others stay on docker0, whose way out flannel's rule was. This is Docker's own, and Docker removes it.
            subnet = _bridge.Subnet(bridge[0], bridge[1], False).network
            tables["nat"].append(f"-A POSTROUTING -s {subnet} ! -o {_bridge.NAME} -j MASQUERADE")
        self.run(f"{command}-restore", "--noflush", "--wait", data=_reset.restore_script(tables))

    def tables(self) -> list[str]:
        if not self.has("flanneld", "kube-proxy", "plainkube-firewall"):
            return []
        return _reset.owned_tables(output(self.module, "nft", "list", "tables"))

    # --- files -----------------------------------------------------------------------------------------------------

    def data(self) -> Trees:
        paths = [path for name, paths in DATA.items() if name in self.ours for path in paths]
        servers = listed(f"{KUBECTL_CACHE}/discovery") if self.has("kube-apiserver") else []
        if servers and all(server.startswith("127.0.0.1_") for server in servers):
            paths.append(KUBECTL_CACHE)
        return Trees(paths)

    def binaries(self) -> Trees:
        return Trees(["/opt/plainkube"])

    def trees(self) -> list[Trees]:
        return [self.data(), self.binaries()]

    def refusals(self) -> list[str]:
        return [problem for trees in [self.sandbox_trees(), *self.trees()] for problem in trees.refusals()]

    def cgroups(self) -> list[str]:
        if not self.has("kubelet"):
            return []
        root = self.module.params["cgroup_root"].rstrip("/")
        pods = [f"/sys/fs/cgroup{hierarchy}{root}/kubepods{end}" for hierarchy in ("", "/*") for end in ("", ".slice")]
        return [path for pattern in pods for path in matching(pattern)]

    def remove_cgroups(self, paths: list[str]) -> None:
        if any(path.endswith(".slice") for path in paths):
            output(self.module, "systemctl", "stop", "kubepods.slice")
        for path in paths:
            # The kernel needs a moment for a container that has just stopped.
            problem = poll(functools.partial(remove_cgroup, path), lambda problem: problem is None, seconds=10)
            if problem is not None:
                raise problem

    def files(self) -> list[str]:
        wanted = {
            *_reset.configuration(self.units[path] for path in self.unit_files()),
            *(path for name in NAMED for path in matching(name)),
        }
        wanted |= {path for path in SIGNED if SIGNATURE in (_files.read(at(path)) or "")}
        wanted |= {path for directory in TEMPORARY for path in matching(f"{directory}/.plainkube-*")}
        certificates = self.certificates()
        # The file that identifies the directory as ours comes last.
        return [*there(sorted(wanted - {*certificates})), *there(certificates)]

    def certificates(self) -> list[str]:
        """Our files below the PKI directory. A CA without our file `origin` is not ours."""
        if there([f"{PKI}/ca.crt"]) and not there([f"{PKI}/origin"]):
            return []
        names = sorted({*self.module.params["certificates"]} - {"origin"})
        return [f"{PKI}/{name}" for name in [*names, "origin"]]

    def links(self) -> list[str]:
        paths = [f"{directory}/{name}" for directory in LINKS for name in listed(directory)]
        return [
            path for path in paths if os.path.islink(at(path)) and os.readlink(at(path)).startswith("/opt/plainkube/")
        ]

    def users(self) -> list[str]:
        return _reset.owned_users(_files.read(at("/etc/passwd")) or "")

    def remove_users(self, names: list[str]) -> None:
        for name in names:
            user = pwd.getpwnam(name)
            # Mount points and targets of links in its state stay.
            for path in [*SHARED["etcd"], *(path for paths in DATA.values() for path in paths)]:
                if os.path.exists(at(path)) and os.stat(at(path)).st_uid == user.pw_uid:
                    os.chown(at(path), 0, 0)
            self.run("userdel", name)
            if any(entry.gr_name == name and entry.gr_gid == user.pw_gid for entry in grp.getgrall()):
                self.run("groupdel", name)

    def directories(self) -> list[str]:
        """Directories that are empty, or will be after the removal of their subdirectories."""
        gone: list[str] = []
        points = {mount.point for mount in mounted()}
        shared = [path for name, paths in SHARED.items() if name in self.ours for path in paths]
        shared += ["/root/.kube"] if self.has("kube-apiserver") else []
        for path in [*shared, *ALWAYS_SHARED]:
            empty = not [name for name in listed(path) if f"{path}/{name}" not in {*gone, *self.going}]
            if there([path]) and empty and not os.path.islink(at(path)) and resolved(path) not in points:
                gone.append(path)
        return gone

    def remove_directories(self, paths: list[str]) -> None:
        for path in paths:
            os.rmdir(at(path))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "certificates": {"type": "list", "elements": "str", "default": []},
            "images": {"type": "list", "elements": "str", "default": []},
            "pod_network": {"type": "str", "required": True},
            "cgroup_root": {"type": "str", "default": ""},
            "wait": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    # Role reset runs this module in check mode first, and then asks the user.
    if module.check_mode:
        _run.begin(module)
    try:
        host = Host(module)
        parts = host.parts()
        refusals = host.refusals()
        if refusals:
            module.fail_json(msg=f"Nothing was removed: {'; '.join(refusals)}, and run the reset again.")
        before = inspect(host, parts)
        kept = host.keeps()
        if before and not module.check_mode:
            with _run.held(module):
                host.wake_docker()
                host.wake_containerd()
                apply(host, parts)
    except (Failure, OSError, ValueError) as error:
        module.fail_json(msg=f"{str(error).rstrip('.')}. Fix that, and run the reset again: it resumes here.")
    if not module.check_mode:
        _run.remove(module)
    lines = [f"{kind} {name}\n" for kind, names in before.items() for name in names]
    module.exit_json(
        **_actions.result(actions(before)),
        removed=before,
        kept=[*kept, *host.kept],
        diff={"before_header": "this host", "after_header": "this host", "before": "".join(lines), "after": ""},
    )
