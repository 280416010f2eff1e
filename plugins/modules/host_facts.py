#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: host_facts
short_description: Gather the host facts that the roles need, in one fast task
version_added: 1.0.0
description:
  - Sets the fact C(plainkube), which replaces M(ansible.builtin.setup) in this collection (0.2 seconds instead of 2).
  - Changes nothing. An unreachable host is reported in one sentence. With C(ignore_unreachable), that is a warning.
  - Always sets the facts C(plainkube_unreached), which is true only for unreachable hosts, and C(plainkube_address), the IPv4 address that the
    control node connects to, whatever the host says; of several, the first one that the host has. The fact C(plainkube) is empty if nothing
    was found, so that no cached facts are used.
options:
  address:
    description:
      - The host's address, if the inventory has it and no other facts are needed. The host is then not contacted, and the fact C(plainkube) is empty.
      - By default, facts are gathered from the host.
    type: str
  ports:
    description: TCP ports that this collection's components need on the host. Other processes that listen on them are reported.
    type: list
    elements: int
    default: []
  udp_ports:
    description: UDP ports that they need. Other processes that use them are reported.
    type: list
    elements: int
    default: []
  directories:
    description: Directories whose free space to report. For a directory that does not exist yet, its nearest existing parent is used.
    type: list
    elements: path
    default: []
  service_directories:
    description: Directories that systemd creates for services (C(StateDirectory=), C(LogsDirectory=) in systemd.exec(5)), which must not be symbolic links.
    type: list
    elements: path
    default: []
  pki:
    description: Directory of the cluster's certificates on the host.
    type: path
    default: /etc/kubernetes/pki
  pki_files:
    description: Files in it that identify the host's cluster. For keys, only the names are returned.
    type: list
    elements: str
    default: [ca.crt, etcd/ca.crt, front-proxy-ca.crt, sa.pub, sa.key, encryption.yaml, origin]
  containerd:
    description: Whether to get the version of the installed containerd, which takes 30 milliseconds.
    type: bool
    default: false
  resolve:
    description: DNS names that must resolve on the host. A failed lookup takes as long as the host's resolvers do.
    type: list
    elements: str
    default: []
  needs:
    description:
      - Requirements of role preflight for the host's roles in the cluster - C(memory_mb), C(disk_mb) (for O(directories), as long as
        nothing is installed), C(networks) by the name of their variable, C(address) (C(cluster_address), by default the one that the control node
        connects to), which must be one of the host's own, C(components) with C(name),
        C(ports) and C(udp_ports), and for a Node C(kubelet_config) and C(runtime) with C(name), C(docker), C(containerd_version),
        C(docker_part) and C(pod_range), and C(node_labels); also C(versions), with C(variable) and C(version) for each program of the fact
        C(installed_versions) that the host needs.
      - The module fails if the host does not meet a requirement, with one sentence for each that names the host, what was found, and what to do.
      - By default, there are no requirements.
    type: dict
extends_documentation_fragment:
  - plainkube.cluster.attributes
author:
  - The plainkube authors (@plainkube)
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Gather the host's facts
  plainkube.cluster.host_facts:
    ports: [10250]
    directories: [/opt/plainkube, /var/lib/docker]
"""

RETURN = r"""
ansible_facts:
  description: The fact C(plainkube).
  returned: success
  type: dict
  contains:
    plainkube:
      description: The host's facts.
      returned: success
      type: dict
      contains:
        addresses:
          description: All IPv4 addresses except those in 127.0.0.0/8, with C(interface), C(address) and C(prefix).
          type: list
          elements: dict
          returned: success
        architecture:
          description: V(amd64), V(arm64), or the kernel's name of another architecture.
          type: str
          returned: success
        bounded:
          description: Whether the host lacks CAP_SYS_RESOURCE, so that OOM scores cannot be lowered on it, as in most containers.
          type: bool
          returned: success
        cgroup_version:
          description: V(1) or V(2).
          type: int
          returned: success
        clock_offset:
          description:
            - Minimum offset in seconds between the host's clock and the control node's; negative if the host is behind.
            - The precision depends on the latency of the connection. V(0) if the clocks may agree.
          type: float
          returned: success
        containerd:
          description: Version of the installed containerd; empty without one, or without O(containerd).
          type: str
          returned: success
        crictl:
          description: Whether crictl is installed.
          type: bool
          returned: success
        distribution:
          description: The C(ID) of os-release(5).
          type: str
          returned: success
        distribution_version:
          description: The C(VERSION_ID) of os-release(5).
          type: str
          returned: success
        etcd_state:
          description:
            - State of etcd. V(none), V(member) if the host has a member's data, or V(lost) if etcd ran and its data is gone.
            - V(founding) and V(joining) if its first start, in a new or into an existing cluster, has not completed.
          type: str
          returned: success
        foreign_listeners:
          description: Processes not of this collection that listen on O(ports) and O(udp_ports), with C(protocol), C(address), C(port), C(pid) and
            C(process).
          type: list
          elements: dict
          returned: success
        free_mb:
          description: Free disk space in MiB for each of O(directories).
          type: dict
          returned: success
        hostname:
          description: The kernel's host name.
          type: str
          returned: success
        firewall:
          description: Whether the host has, or had, the firewall of this collection.
          type: bool
          returned: success
        installed:
          description: Whether artifacts of this collection are on the host.
          type: bool
          returned: success
        installed_versions:
          description: The installed versions of kube-apiserver, kubelet and etcd, by name.
          type: dict
          returned: success
        interfaces:
          description: Names of the network interfaces, except those of containers (C(veth*)), of which a node may have hundreds.
          type: list
          elements: str
          returned: success
        kernel:
          description: The kernel's release.
          type: str
          returned: success
        linked:
          description: Those of O(service_directories) that are symbolic links, with their targets.
          type: dict
          returned: success
        machine_id:
          description: The content of /etc/machine-id.
          type: str
          returned: success
        memory_mb:
          description: Memory in MiB.
          type: int
          returned: success
        networks:
          description: The IPv4 networks of the host's interfaces and of Docker, with C(name) and C(network), except docker0, cni0 and flannel's.
          type: list
          elements: dict
          returned: success
        nftables:
          description: Whether kube-proxy can use its nftables mode.
          type: bool
          returned: success
        pki:
          description: The existing O(pki_files) - C(public) has names and contents, C(secret) the names of keys,
            C(encryption) the fingerprints of the keys in C(encryption.yaml).
          type: dict
          returned: success
        pod_bridge:
          description: The bridge of the node's pods; empty if unknown.
          type: str
          returned: success
        resolv_conf:
          description: The resolver configuration for pods - systemd-resolved's own if it is running, because its stub listens on loopback.
          type: str
          returned: success
        runtime:
          description: The container runtime of the node's kubelet, V(docker) or V(containerd); empty without a kubelet.
          type: str
          returned: success
        runtime_change:
          description: Whether a change of the runtime is in progress.
          type: bool
          returned: success
        services:
          description: Names of optional services, which begin with C(plainkube-).
          type: list
          elements: str
          returned: success
        settled:
          description: Fixed settings of the host's existing cluster, by variable; empty on a bare host.
          type: dict
          returned: success
        swap:
          description: Whether the host has swap on disk.
          type: bool
          returned: success
        systemd:
          description: Whether systemd is the init of the host.
          type: bool
          returned: success
        unresolved:
          description: Those of O(resolve) that do not resolve to an IPv4 address on the host.
          type: list
          elements: str
          returned: success
"""

import glob
import os
import shutil
import socket
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils import (
    _command,
    _etcd_member,
    _files,
    _host,
    _nft,
    _pki,
    _run,
    _runtime,
    _sockets,
    _status,
)

_DOCKER_PID = "/run/docker.pid"
_UNITS = "/etc/systemd/system"
_SUBNET = "/var/lib/flannel/subnet.env"
_BINARIES = "/usr/local/bin"
_VERSIONED = ("kube-apiserver", "kubelet", "etcd")
_RESOLV_CONF = ("/run/systemd/resolve/resolv.conf", "/etc/resolv.conf")


def resolves(name: str) -> bool:
    """Whether this host knows an IPv4 address of a DNS name."""
    try:
        return bool(socket.getaddrinfo(name, None, socket.AF_INET))
    except (OSError, UnicodeError):
        return False


def output(module: AnsibleModule, *command: str) -> str:
    """What a command prints; nothing where the host has no such command or it fails."""
    if module.get_bin_path(command[0]) is None:
        return ""
    return _command.run(module, command)[1]


def docker_runs() -> bool:
    """Asking a stopped Docker would start it."""
    pid = (_files.read(_DOCKER_PID) or "").strip()
    return pid.isdigit() and "docker" in _sockets.name(int(pid))


def docker_networks(module: AnsibleModule) -> list[dict[str, t.Any]]:
    if not docker_runs():
        return []
    # Here, because HTTP and TLS take 30 ms to load.
    from ansible_collections.plainkube.cluster.plugins.module_utils import _docker_api

    try:
        return _docker_api.call("GET", "/networks", timeout=2)
    except OSError as error:
        module.warn(f"Docker does not answer ({error}): its networks are known by their interfaces only.")
        return []


def networks(module: AnsibleModule, addresses: str) -> list[dict[str, str]]:
    return _host.host_networks(_host.interface_networks(addresses), docker_networks(module))


def readable(path: str) -> str:
    """The text of a file; nothing where there is none, or only root may read it and this is not root."""
    try:
        return _files.read(path) or ""
    except PermissionError:
        return ""


def free_mb(directory: str) -> int:
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return shutil.disk_usage(directory).free >> 20


def containerd_version(module: AnsibleModule) -> str:
    """The version in `containerd github.com/containerd/containerd 1.7.24~ds1 …`."""
    return ".".join(map(str, _host.parse_version(output(module, "containerd", "--version"))))


def installed() -> bool:
    """Whether anything is in place; what only waits to be, in directories that begin with a dot, does not count."""
    try:
        return any(not name.startswith(".") for name in os.listdir(_status.RELEASES))
    except FileNotFoundError:
        return False


def installed_versions() -> dict[str, str]:
    """The versions of what is in place, by the name of the program."""
    releases = os.path.realpath(_status.RELEASES)
    found = {name: _status.version_of(os.path.realpath(os.path.join(_BINARIES, name)), releases) for name in _VERSIONED}
    return {name: version for name, version in found.items() if version}


def udp_ports(module: AnsibleModule) -> list[int]:
    """Those to look for; none where flannel's interface is there, which has them."""
    return [] if os.path.exists("/sys/class/net/flannel.1") else module.params["udp_ports"]


def etcd_state() -> str:
    has_data = bool(glob.glob(os.path.join(_etcd_member.DATA, _etcd_member.WAL)))
    return _etcd_member.state_of(has_data, _files.read(_etcd_member.FIRST_START), os.path.exists(_etcd_member.UNIT))


def look(module: AnsibleModule) -> dict:
    release = _host.parse_os_release(_files.read("/etc/os-release") or "")
    kernel = os.uname()
    addresses = output(module, "ip", "-json", "-4", "address", "show")
    runtime = _runtime.of_kubelet(readable(_runtime.KUBELET))
    return {
        "addresses": _host.interface_addresses(addresses),
        "architecture": _host.ARCHITECTURES.get(kernel.machine, kernel.machine),
        "bounded": not _host.has_capability(readable("/proc/1/status"), _host.CAP_SYS_RESOURCE),
        "cgroup_version": 2 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 1,
        "containerd": containerd_version(module) if module.params["containerd"] else "",
        "crictl": module.get_bin_path("crictl") is not None,
        "distribution": release.get("ID", ""),
        "distribution_version": release.get("VERSION_ID", ""),
        "etcd_state": etcd_state(),
        "firewall": os.path.exists(_nft.UNIT_PATH),
        "foreign_listeners": _sockets.foreign_listeners(
            module.params["ports"], os.path.realpath(_status.RELEASES), udp_ports(module)
        ),
        "free_mb": {path: free_mb(path) for path in module.params["directories"]},
        "hostname": kernel.nodename,
        "installed": installed(),
        "installed_versions": installed_versions(),
        "interfaces": sorted(name for name in os.listdir("/sys/class/net") if not name.startswith("veth")),
        "kernel": kernel.release,
        "linked": {
            path: os.path.realpath(path) for path in module.params["service_directories"] if os.path.islink(path)
        },
        "machine_id": (_files.read("/etc/machine-id") or "").strip(),
        "memory_mb": _host.parse_memory_mb(_files.read("/proc/meminfo") or ""),
        "networks": networks(module, addresses),
        "nftables": _host.nftables_usable(kernel.release, output(module, "nft", "--version")),
        "pki": _pki.look(module.params["pki"], module.params["pki_files"]),
        "pod_bridge": _runtime.pod_bridge(runtime, readable(_runtime.CONFLIST)),
        "resolv_conf": next((path for path in _RESOLV_CONF if os.path.exists(path)), _RESOLV_CONF[-1]),
        "runtime": runtime,
        "runtime_change": os.path.exists(_runtime.MARKER),
        "services": sorted(
            os.path.basename(path)[: -len(".service")] for path in glob.glob(f"{_UNITS}/plainkube-*.service")
        ),
        "settled": _host.settled(
            readable(f"{_UNITS}/kube-apiserver.service"), readable(_SUBNET), readable(_runtime.KUBELET)
        ),
        "swap": _host.swaps(_files.read("/proc/swaps") or ""),
        "systemd": os.path.isdir("/run/systemd/system"),
        "unresolved": [name for name in module.params["resolve"] if not resolves(name)],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "ports": {"type": "list", "elements": "int", "default": []},
            "udp_ports": {"type": "list", "elements": "int", "default": []},
            "directories": {"type": "list", "elements": "path", "default": []},
            "service_directories": {"type": "list", "elements": "path", "default": []},
            "containerd": {"type": "bool", "default": False},
            "resolve": {"type": "list", "elements": "str", "default": []},
            "pki": {"type": "path", "default": "/etc/kubernetes/pki"},
            "pki_files": {"type": "list", "elements": "str", "default": _pki.FILES},
            # The action plugin's.
            "address": {"type": "str"},
            "needs": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    _run.begin(module)
    facts = look(module)
    # The action plugin of this name, which knows the control node's clock, makes clock_offset of `time`.
    module.exit_json(changed=False, found=facts, time=time.time())


if __name__ == "__main__":
    main()
