# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The state of every host according to ss, find, systemctl and cat."""

from __future__ import annotations

import json
import re

import pytest

from lab.base import CHECKOUT

testinfra_hosts = ["ansible://all"]

USERS = {"etcd": "etcd", "kube-apiserver": "kube-apiserver"}
USERS |= {name: name for name in ("kube-controller-manager", "kube-scheduler")}
CONTROL_PLANE = [*USERS, "flanneld", "kube-proxy"]
NODE = ["flanneld", "docker", "cri-dockerd", "kubelet", "kube-proxy"]

# Process (its name as truncated by ss) and where it may listen: "own" is the host's address, "all" any address. Port 0: any port.
BOTH = {("sshd", "all", 22), ("flanneld", "loopback", 8471)}
BOTH |= {("kube-proxy", "loopback", 10249), ("kube-proxy", "loopback", 10256)}
LISTENERS = {
    "control_plane": BOTH
    | {("etcd", "loopback", 2379), ("etcd", "loopback", 2381), ("etcd", "loopback", 2382)}
    | {("etcd", "own", 2379), ("etcd", "own", 2380)}
    | {("kube-apiserver", "all", 6443), ("kube-controller", "loopback", 10257), ("kube-scheduler", "loopback", 10259)},
    "node": BOTH
    | {("kubelet", "loopback", 10248), ("kubelet", "own", 10250)}
    | {("cri-dockerd", "loopback", 0), ("containerd", "loopback", 0)},
}
# Units and the maximum exposure according to `systemd-analyze security`, a row of docs/hardening.md.
EXPOSURE = re.compile(r"^\| ([\w, -]+) \| (\d\.\d) \|", re.MULTILINE)
FREE_CHOICE = {"cri-dockerd", "containerd"}


@pytest.fixture
def name(host):
    return host.backend.host


@pytest.fixture
def kind(name, cluster):
    return "control_plane" if name in cluster.control_planes else "node"


def listeners(host, address):
    """The output of `ss -tlnp` in the format of LISTENERS; the engine's own resolver in the lab's containers has no process here."""
    with host.sudo():
        lines = host.check_output("ss -tlnpH").splitlines()
    for line in lines:
        process = re.search(r'users:\(\("([^"]+)"', line)
        where, dummy, port = line.split()[3].rpartition(":")
        if process and where != "127.0.0.11":
            place = "loopback" if where in ("127.0.0.1", "[::1]") else "own" if where == address else "all"
            yield process.group(1), place, 0 if process.group(1) in FREE_CHOICE else int(port)


def test_listens_where_it_must_and_nowhere_else(host, kind, name, cluster):
    assert set(listeners(host, cluster.address(name))) == LISTENERS[kind]


def test_services_run_and_start_at_boot(host, kind):
    for unit in CONTROL_PLANE if kind == "control_plane" else NODE:
        assert host.service(unit).is_running, unit
        assert host.service(unit).is_enabled, unit


def test_nothing_of_the_other_kind(host, kind):
    others = set(NODE) - set(CONTROL_PLANE) if kind == "control_plane" else USERS
    for unit in others:
        assert not host.service(unit).exists, unit


def test_the_control_plane_is_unprivileged_and_sandboxed(host, kind):
    for unit, user in USERS.items() if kind == "control_plane" else ():
        pid = host.check_output(f"systemctl show --value --property=MainPID {unit}")
        assert host.check_output(f"ps -o user:40= -p {pid}").strip() == user
        with host.sudo():
            assert "CapEff:\t0000000000000000" in host.check_output(f"cat /proc/{pid}/status")


def test_exposure(host, kind):
    """The threshold is in tenths."""
    rows = EXPOSURE.findall((CHECKOUT / "docs" / "hardening.md").read_text(encoding="utf-8"))
    limits = {unit: limit.replace(".", "") for units, limit in rows for unit in units.split(", ")}
    for unit in set(CONTROL_PLANE if kind == "control_plane" else NODE) - {"docker"}:
        with host.sudo():
            found = host.run(f"systemd-analyze security --threshold={limits[unit]} {unit}")
        assert found.rc == 0, found.stdout.splitlines()[-1:]


def test_the_kubelet_mounts_where_containers_see_it(host, kind):
    """Its own mount namespace would hide its volumes from containers."""
    if kind == "node":
        with host.sudo():
            spaces = host.check_output("readlink /proc/1/ns/mnt /proc/$(pidof kubelet)/ns/mnt").split()
        assert len(set(spaces)) == 1


def test_what_the_kubelet_says_about_its_settings(kind, name, cluster):
    if kind == "node":
        config = json.loads(cluster.kubectl("get", "--raw", f"/api/v1/nodes/{name}/proxy/configz"))["kubeletconfig"]
        # Docker rotates logs. The lab's own thresholds are merged with the default ones.
        assert config["containerLogMaxSize"] == "-1"
        assert config["mergeDefaultEvictionSettings"] is True
        status = json.loads(cluster.kubectl("get", "node", name, "--output=json"))["status"]
        memory = {key: int(status[key]["memory"].removesuffix("Ki")) // 1024 for key in ("capacity", "allocatable")}
        assert memory["capacity"] - memory["allocatable"] == 512 + 256


def test_a_shutdown_waits_for_pods(host, kind):
    if kind == "node":
        with host.sudo():
            assert re.search(
                r"^kubelet .* shutdown .* delay$", host.check_output("systemd-inhibit --list"), re.MULTILINE
            )
            asked = "org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager InhibitDelayMaxUSec"
            assert host.check_output(f"busctl get-property {asked}") == "t 60000000"


def test_keys_are_roots_alone(host):
    with host.sudo():
        keys = host.check_output("find /etc/kubernetes -name '*.key' -printf '%m %u:%g %y\\n'").splitlines()
        configurations = host.check_output("find /etc/kubernetes -name '*.conf' -printf '%m %u:%g %y\\n'").splitlines()
    assert keys
    assert configurations
    assert {*keys, *configurations} == {"600 root:root f"}


def test_nobody_else_writes_what_services_start_from(host):
    paths = "/etc/kubernetes /opt/plainkube /usr/local/bin /etc/systemd/system"
    with host.sudo():
        assert (
            host.check_output(
                f"find {paths} ! -type l ( ! -user root -o -perm /022 )".replace("(", r"\(").replace(")", r"\)")
            )
            == ""
        )


def test_authorities_keys_stay_on_the_control_node(host, kind):
    """Except the key with which the controller manager signs."""
    with host.sudo():
        found = host.check_output("find / -xdev -name '*ca.key'").split()
    assert found == (["/etc/kubernetes/pki/ca.key"] if kind == "control_plane" else [])


def test_programs_are_of_a_version(host, kind):
    for program in ("kube-apiserver", "etcd") if kind == "control_plane" else ("kubelet", "cri-dockerd"):
        link = host.file(f"/usr/local/bin/{program}").linked_to
        version = re.fullmatch(rf"/opt/plainkube/[a-z-]+/([0-9.]+)/{program}", link)
        assert version, link
        assert version.group(1) in host.check_output(f"/usr/local/bin/{program} --version 2>&1")


def test_network_environment(host, kind, name, cluster):
    if kind == "node":
        lines = host.file("/etc/network-environment").content_string.splitlines()
        assert f"DEFAULT_IPV4={cluster.address(name)}" in lines
