# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module host_reset."""

from __future__ import annotations

import functools
import grp
import os
import pwd

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files, _places, _state
from ansible_collections.plainkube.cluster.plugins.module_utils.host._places import PKI, SYSUSERS, UNITS
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.removal import _paths, _reset
from ansible_collections.plainkube.cluster.plugins.module_utils.removal._containerd_parts import ContainerdHost
from ansible_collections.plainkube.cluster.plugins.module_utils.removal._docker_parts import DockerHost
from ansible_collections.plainkube.cluster.plugins.module_utils.removal._parts import Part, actions, diff, explained
from ansible_collections.plainkube.cluster.plugins.module_utils.removal._paths import at, listed, matching, there
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _bridge, _docker

# Files with our name, even if their unit is gone, and those that no unit's trailer names.
OURS = (
    "/etc/sysctl.d/zz-plainkube*.conf",
    "/etc/sysctl.d/60-plainkube*.conf",  # of an earlier version
    "/etc/modules-load.d/plainkube.conf",
    "/etc/tmpfiles.d/plainkube.conf",
    "/etc/systemd/network/00-plainkube.network",
    "/etc/NetworkManager/conf.d/plainkube.conf",
    "/etc/systemd/logind.conf.d/zz-plainkube.conf",
    f"{SYSUSERS}/plainkube-*.conf",
    _places.ETCD_FIRST_START,
    _state.PATH,
)
# The drop-ins that keep packages' services from starting, and these services.
HELD = {f"{UNITS}/{name}.service.d/plainkube.conf": f"{name}.service" for name in _places.HELD_SERVICES}
# The directories in which a killed run may have left temporary files, in addition to those of files in units' trailers.
TEMPORARY = (
    *{os.path.dirname(path) for path in OURS},
    *(UNITS, f"{UNITS}/docker.service.d", "/etc/docker", "/etc/containerd", _places.CNI_DIRECTORY),
    *(PKI, f"{PKI}/etcd", *_paths.LINKS),
)
# Directories that services or the collection created and other software may use; removed when empty.
PLUGINS = "/usr/libexec/kubernetes"
SHARED = {
    "etcd": ["/var/lib/etcd"],
    "cri-dockerd": [_places.CNI_DIRECTORY, "/etc/cni"],
    "containerd": [
        *(_places.CNI_DIRECTORY, "/etc/cni", "/etc/containerd"),
        *("/var/lib/cni/networks", "/var/lib/cni/results", "/var/lib/cni"),
    ],
    "kubelet": [
        f"{PLUGINS}/kubelet-plugins/volume/exec",
        f"{PLUGINS}/kubelet-plugins/volume",
        f"{PLUGINS}/kubelet-plugins",
        PLUGINS,
        "/etc/systemd/logind.conf.d",
    ],
    "kube-apiserver": ["/root/.kube"],
}
ALWAYS_SHARED = [f"{PKI}/etcd", PKI, _places.CONFIGURATION, SYSUSERS, os.path.dirname(_state.PATH)]
ALWAYS_SHARED += [_places.CNI_PLUGINS, os.path.dirname(_places.CNI_PLUGINS)]
# Without one of these, nothing in Docker belongs to Kubernetes.
OF_DOCKER = ("kubelet", "cri-dockerd")
AGAIN = "the reset"


def remove_cgroup(path: str) -> OSError | None:
    """Remove a cgroup with those below it; returns the error if one of them still has processes."""
    try:
        for directory, _names, _files_in_it in os.walk(at(path), topdown=False):
            os.rmdir(directory)
    except OSError as error:
        return error
    return None


class Host(DockerHost, ContainerdHost):
    """The current state of the host."""

    def __init__(self, module: AnsibleModule) -> None:
        super().__init__(module)
        # flannel's own file, which is removed after the routes and rules for this network. Without it, there are none.
        found = _docker.environment(_files.read(at(_places.SUBNET_FILE)) or "")
        self.network = found.get("FLANNEL_NETWORK", "")

    def parts(self) -> list[Part]:
        """In the order of removal. Units come last, because they identify what is ours."""
        filtering = ("flanneld", "kube-proxy", "kubelet")
        return [
            Part("service", self.services, self.stop_services),
            Part("hold on", lambda: [HELD[path] for path in there(HELD)], self.release_services),
            # Before the first unit is removed, because the units' trailers identify them.
            Part("file", self.shared_files, _paths.remove_files),
            *self.containerd_parts(),
            *self.container_parts(OF_DOCKER),
            *self.bridge_parts(self.docker_process, runs=True),
            Part("interface", self.interfaces, self.each("ip", "link", "delete"), ("flanneld",)),
            Part("route", self.routes, self.each("ip", "route", "delete"), ("flanneld",)),
            self.rule_part("iptables", self.rules, filtering),
            self.rule_part("ip6tables", functools.partial(_reset.owned_rules, network=self.network), filtering),
            self.table_part(_reset.TABLES, ("flanneld", "kube-proxy", "plainkube-firewall")),
            *self.tree_parts("data", self.data),
            Part("cgroup", self.cgroups, self.remove_cgroups, ("kubelet",)),
            Part("file", self.files, _paths.remove_files),
            *self.binary_parts(_places.RELEASES),
            Part("user", lambda: _reset.owned_users(_files.read(at("/etc/passwd")) or ""), self.remove_users),
            Part("directory", self.directories, self.remove_directories),
            self.unit_part(self.ours),
        ]

    def wake(self) -> None:
        if self.has(*OF_DOCKER):
            self.wake_docker()
        self.wake_containerd()

    def keeps(self) -> list[str]:
        """What stays for now, because foreign containers are running."""
        foreign = self.foreign()
        kept = []
        if foreign and self.stamped():
            kept.append(
                f"Docker keeps its process and docker0 its address, because a restart would stop {', '.join(foreign)}: "
                "run plainkube.cluster.reset again after they have stopped."
            )
        in_use = self.sorted_images()[1] if self.has(*OF_DOCKER) else []
        if in_use:
            kept.append(f"Images in use by foreign containers stay: {', '.join(in_use)}.")
        return kept

    # --- services --------------------------------------------------------------------------------------------------

    def services(self) -> list[str]:
        """All except containerd, which must list its containers before it is stopped."""
        return self.started(name for name in self.ours if name != "containerd")

    def release_services(self, units: list[str]) -> None:
        """As if the package had been installed without starting its service, now or at boot."""
        self.run("systemctl", "disable", "--quiet", *units)
        self.remove_drop_ins(there(HELD))

    def docker_process(self) -> list[str]:
        return ["restarted, to restore its default bridge"] if self.stamped() and not self.foreign() else []

    # --- network ---------------------------------------------------------------------------------------------------

    def interfaces(self) -> list[str]:
        return [link for link in ("flannel.1", "flannel-v6.1") if os.path.exists(at(f"/sys/class/net/{link}"))]

    def routes(self) -> list[str]:
        return _reset.owned_routes(self.output("ip", "-json", "route", "show"), self.network)

    def rules(self, saved: str) -> _reset.Rules:
        tables = _reset.owned_rules(saved, self.network)
        bridge = _bridge.parse_addresses(self.output("ip", "-json", "-4", "address", "show")).get(_places.DOCKER_BRIDGE)
        if "nat" in tables and bridge and self.stamped():
            # Foreign containers stay on docker0, and flannel's rule masqueraded their traffic. This is Docker's own rule; Docker removes it.
            subnet = _bridge.Subnet(bridge[0], bridge[1], False).network
            tables["nat"].append(f"-A POSTROUTING -s {subnet} ! -o {_places.DOCKER_BRIDGE} -j MASQUERADE")
        return tables

    # --- files -----------------------------------------------------------------------------------------------------

    def data(self) -> list[str]:
        paths = [path for name, paths in _reset.DATA.items() if name in self.ours for path in paths]
        servers = listed(f"{_reset.KUBECTL_CACHE}/discovery") if self.has("kube-apiserver") else []
        own_cache = servers and all(server.startswith("127.0.0.1_") for server in servers)
        return [*paths, _reset.KUBECTL_CACHE] if own_cache else paths

    def cgroups(self) -> list[str]:
        root = self.module.params["cgroup_root"].rstrip("/")
        pods = [f"/sys/fs/cgroup{hierarchy}{root}/kubepods{end}" for hierarchy in ("", "/*") for end in ("", ".slice")]
        return [path for pattern in pods for path in matching(pattern)]

    def remove_cgroups(self, paths: list[str]) -> None:
        if any(path.endswith(".slice") for path in paths):
            self.output("systemctl", "stop", "kubepods.slice")
        for path in paths:
            # The kernel needs a moment for a container that has just stopped.
            problem = poll(functools.partial(remove_cgroup, path), lambda problem: problem is None, seconds=10)
            if problem is not None:
                raise problem

    def shared_files(self) -> list[str]:
        """Files that other software may also use, except those that somebody has modified."""
        paths = {path for path in _reset.configuration(self.units.values()) if not _reset.is_ours(path)}
        files = {path: text for path in paths for text in [_files.read(at(path))] if text is not None}
        return sorted(_reset.as_stamped(self.units.values(), files))

    def files(self) -> list[str]:
        # containerd's files are removed together with containerd.
        units = [text for name, text in self.units.items() if name != "containerd"]
        wanted = {
            *filter(_reset.is_ours, _reset.configuration(units)),
            *self.temporary_files(),
            *(path for name in OURS for path in matching(name)),
        }
        certificates = self.certificates()
        # The file that identifies the directory as ours comes last.
        return [*there(sorted(wanted - {*certificates})), *there(certificates)]

    def temporary_files(self) -> list[str]:
        """What killed runs left next to the files that they were writing."""
        directories = {os.path.dirname(path) for path in _reset.configuration(self.units.values())}
        return [path for one in directories.union(TEMPORARY) for path in matching(f"{one}/.plainkube-*")]

    def certificates(self) -> list[str]:
        """Our files below the PKI directory. A CA without our file `origin` is not ours."""
        if there([f"{PKI}/ca.crt"]) and not there([f"{PKI}/origin"]):
            return []
        names = sorted({*self.module.params["certificates"]} - {"origin"})
        return [f"{PKI}/{name}" for name in [*names, "origin"]]

    def remove_users(self, names: list[str]) -> None:
        for name in names:
            user = pwd.getpwnam(name)
            # Mount points and targets of links in its state stay.
            for path in [*SHARED["etcd"], *(path for paths in _reset.DATA.values() for path in paths)]:
                if os.path.exists(at(path)) and os.stat(at(path)).st_uid == user.pw_uid:
                    os.chown(at(path), 0, 0)
            self.run("userdel", name)
            if any(entry.gr_name == name and entry.gr_gid == user.pw_gid for entry in grp.getgrall()):
                self.run("groupdel", name)

    def directories(self) -> list[str]:
        """The shared directories that are empty."""
        points = {mount.point for mount in _paths.mounted()}
        shared = [path for name, paths in SHARED.items() if name in self.ours for path in paths]
        found = [path for path in there([*shared, *ALWAYS_SHARED]) if not listed(path) and not os.path.islink(at(path))]
        return [path for path in found if _paths.resolved(path) not in points]

    def remove_directories(self, paths: list[str]) -> None:
        while paths:
            for path in paths:
                os.rmdir(at(path))
            paths = self.directories()  # the parents are empty now


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "certificates": {"type": "list", "elements": "str", "default": []},
            "images": {"type": "list", "elements": "str", "default": []},
            "cgroup_root": {"type": "str", "default": ""},
            "wait": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    # Role reset runs this module in check mode first, and then asks the user.
    if module.check_mode:
        _run.begin(module)
    with explained(module, AGAIN):
        host = Host(module)
        host.refuse(AGAIN)
        kept = host.keeps()
        found = host.inspect()
        if found and not module.check_mode:
            with _run.held(module):
                host.remove()
    if not module.check_mode:
        _run.remove(module)
    answer = {"removed": found, "kept": [*kept, *host.kept], "diff": diff(found)}
    module.exit_json(**_actions.result(actions(found)), **answer)
