# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""What a real Debian has, and containers on one kernel have not: cgroup v2 with systemd, AppArmor, kernel modules, systemd-resolved."""

from __future__ import annotations

import json
import os

import pytest

HOSTS = ("k1", "n1")
RUNTIME = os.environ.get("RUNTIME") or "docker"
PROFILE = {"docker": "docker-default", "containerd": "cri-containerd.apparmor.d"}[RUNTIME]


@pytest.fixture(scope="module")
def pod(node, workload):
    workload("debian", 1)
    (found,) = node.pods("debian")
    return found


@pytest.mark.parametrize("host", HOSTS)
def test_it_is_the_debian_that_was_asked_for(lab, host):
    suite = os.environ.get("PLAINKUBE_LAB_SUITE", "trixie")
    assert f"VERSION_CODENAME={suite}\n" in lab.demand(host, "cat", "/etc/os-release")
    assert lab.demand(host, "systemd-detect-virt").strip() in ("kvm", "qemu")
    assert lab.demand(host, "systemctl", "is-system-running").strip() == "running"


def test_each_has_a_kernel_of_its_own(lab):
    """One that its Debian has built, and with modules."""
    assert len({lab.demand(host, "cat", "/proc/sys/kernel/random/boot_id") for host in HOSTS}) == len(HOSTS)
    for host in HOSTS:
        assert "Debian" in lab.demand(host, "uname", "--kernel-version")
    assert {"br_netfilter", "vxlan"} <= {line.split()[0] for line in lab.demand("n1", "lsmod").splitlines()}


def test_settings_of_the_kubelet_are_the_defaults(node):
    config = json.loads(node.kubectl("get", "--raw", "/api/v1/nodes/n1/proxy/configz"))["kubeletconfig"]
    assert config["evictionHard"] == {
        "imagefs.available": "15%",
        "imagefs.inodesFree": "5%",
        "memory.available": "100Mi",
        "nodefs.available": "10%",
        "nodefs.inodesFree": "5%",
    }
    assert (config["imageGCHighThresholdPercent"], config["imageGCLowThresholdPercent"]) == (85, 80)
    assert config["localStorageCapacityIsolation"] is True
    assert config["failSwapOn"] is True


def test_pods_are_in_cgroups_of_systemd(lab, node, pod):
    assert lab.demand("n1", "stat", "--file-system", "--format=%T", "/sys/fs/cgroup").strip() == "cgroup2fs"
    config = json.loads(node.kubectl("get", "--raw", "/api/v1/nodes/n1/proxy/configz"))["kubeletconfig"]
    assert config["cgroupDriver"] == "systemd"
    (line,) = lab.demand("n1", "cat", f"/proc/{node.process(pod)}/cgroup").splitlines()
    uid = pod["metadata"]["uid"].replace("-", "_")
    assert line.startswith("0::/kubepods.slice/kubepods-besteffort.slice/")
    unit = next(part for part in line.split("/") if f"pod{uid}.slice" in part)
    assert lab.demand("n1", "systemctl", "is-active", unit, line.rpartition("/")[2]).split() == ["active", "active"]


def test_pods_are_confined_by_apparmor(lab, node, pod):
    assert lab.demand("n1", "cat", f"/proc/{node.process(pod)}/attr/current").strip() == f"{PROFILE} (enforce)"


def test_the_kernel_enforces_this_profile(lab):
    """Both runtimes' profiles deny mounts, also to root."""
    mount = ("unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt")
    assert lab.run("n1", *mount)[0] == 0
    code, output = lab.run("n1", *mount[:2], "aa-exec", f"--profile={PROFILE}", "--", *mount[2:])
    assert code != 0
    assert "permission denied" in output.lower()


def test_name_servers_of_pods_are_those_of_the_network(lab, node):
    """systemd-resolved's own address is on the host's loopback interface, which pods do not reach."""
    assert "nameserver 127.0.0.53" in lab.demand("n1", "cat", "/etc/resolv.conf")
    config = json.loads(node.kubectl("get", "--raw", "/api/v1/nodes/n1/proxy/configz"))["kubeletconfig"]
    servers = lab.demand("n1", "cat", config["resolvConf"])
    assert "nameserver" in servers
    assert "nameserver 127." not in servers
