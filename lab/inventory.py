# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The inventory of a lab: the README's inventory, plus login, mirror, and what containers need as hosts."""

from __future__ import annotations

import typing as t

from lab import ssh

# Group -> the first letters of its hosts' names; b is both.
GROUPS = {"control_plane": "kb", "node": "nb", "etcd": "e"}


def kubelet_config(cgroup_version: int) -> dict[str, t.Any]:
    """Kubelet settings for hosts that share the machine's disk, swap and cgroups."""
    signals = ("memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree")
    config: dict[str, t.Any] = {
        "failSwapOn": False,
        "evictionHard": dict.fromkeys(signals, "0%"),
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": False,
        "resolvConf": "/etc/kubernetes-lab-resolv.conf",
    }
    if cgroup_version == 1:
        config.update(failCgroupV1=False, cgroupRoot="/kubelet")
    return config


def variables(name: str, mirror: str | None) -> dict[str, t.Any]:
    """The lab's group variables; without a mirror, hosts install from upstream."""
    return {
        "ansible_user": ssh.USER,
        "ansible_ssh_private_key_file": str(ssh.key()),
        "ansible_ssh_common_args": " ".join(ssh.OPTIONS),
        "ansible_control_path_dir": str(ssh.control_path_directory(name)),
        **({"artifacts_mirror": mirror} if mirror else {}),
    }


def of_containers(cgroup_version: int, bounded: bool = False) -> dict[str, t.Any]:
    """What hosts need because they are containers. Virtual machines need none of it."""
    return {
        "node_kubelet_config": kubelet_config(cgroup_version),
        # Docker has this setting in its daemon.json.
        **({"containerd_runc_path": "/usr/local/sbin/runc-bounded"} if bounded else {}),
        # nf_conntrack_max belongs to the machine.
        "node_kube_proxy_config": {"conntrack": {"maxPerCore": 0}},
    }


# The options of roles that say how long to wait. Without KVM, a program needs ten times as long to start.
WAITS = (
    *("etcd_wait", "load_balancer_wait", "control_plane_wait", "flannel_wait", "docker_wait", "containerd_wait"),
    *("node_wait", "verify_wait"),
)


def of_emulated(seconds: int = 600) -> dict[str, t.Any]:
    """What virtual machines need whose processors are emulated: patience."""
    # Ansible's own, for a login and for sudo, is 10 s.
    return {**dict.fromkeys(WAITS, seconds), "ansible_ssh_timeout": 60}


def render(name: str, hosts: dict[str, str], values: dict[str, t.Any]) -> str:
    """The inventory file; in this format, values are Python literals."""
    lines = [f"# Written by `python -m lab up {name}`, which overwrites it.", "[all]"]
    lines += [f"{host} ansible_host={address}" for host, address in hosts.items()]
    for group, letters in GROUPS.items():
        members = [host for host in hosts if host[0] in letters]
        if members:
            lines += ["", f"[{group}]", *members]
    lines += ["", "[all:vars]", *(f"{key}={value}" for key, value in values.items())]
    return "\n".join(lines) + "\n"
