# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import os
import time

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _kernel, _probe
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _overlay
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _docker_settings

FILE = "# Comment\nnet.ipv4.ip_forward = 1\n-kernel.panic = 10\nnet.bridge.bridge-nf-call-iptables=1\n"
SERVICE = {
    "flannel": None,
    "docker": False,
    "cni": False,
    "services": {"address": "10.96.0.1", "port": 443, "config": "", "health_url": "http://127.0.0.1:1/livez"},
}


@pytest.fixture(autouse=True)
def old(monkeypatch, request):
    """Every process has run for a minute, and Docker has its defaults."""
    monkeypatch.setattr(_docker_settings, "read", lambda: _docker_settings.Found("", [], {}, "", None, {}))
    if "age" not in request.node.name:
        monkeypatch.setattr(_kernel, "age", lambda pid: 60)


class Module:
    """Answers commands."""

    def __init__(self, *answer):
        self.answer, self.commands = answer, []

    def run_command(self, command, **dummy):
        self.commands.append(command)
        return self.answer


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Kernel settings that a test can write, and directories of sysctl.d."""
    monkeypatch.setattr(_kernel, "_path", lambda setting: f"{tmp_path}/{setting}")
    directories = [tmp_path / name for name in ("usr", "etc")]
    for directory in directories:
        directory.mkdir()
    monkeypatch.setattr(_kernel, "_SYSCTL_DIRECTORIES", tuple(map(str, directories)))

    def write(name, text):
        (tmp_path / name).write_text(text, encoding="utf-8")

    write("net.ipv4.ip_forward", "1\n")
    write("net.bridge.bridge-nf-call-iptables", "1\n")
    return write


def faults(tmp_path):
    return _kernel.sysctl_faults(f"{tmp_path}/etc/zz-plainkube.conf", FILE)


def test_settings_as_the_file_has_them(kernel, tmp_path):
    assert faults(tmp_path) == []


def test_a_setting_that_another_file_overrides(kernel, tmp_path):
    kernel("net.ipv4.ip_forward", "0\n")
    assert faults(tmp_path) == ["net.ipv4.ip_forward is 0, not 1"]
    kernel("usr/10-default.conf", "net.ipv4.ip_forward = 0\n")
    kernel("etc/99-cis.conf", "net.ipv4.ip_forward=0\n")
    kernel("etc/99-other.conf", "net.ipv4.ip_forward=1\n")
    kernel("etc/zz-plainkube.conf", FILE)
    assert faults(tmp_path) == [f"net.ipv4.ip_forward is 0, not 1 (see {tmp_path}/etc/99-cis.conf)"]


def test_a_setting_of_a_module_that_is_not_loaded(kernel, tmp_path):
    os.unlink(tmp_path / "net.bridge.bridge-nf-call-iptables")
    assert faults(tmp_path) == ["net.bridge.bridge-nf-call-iptables is not in the kernel, not 1"]


@pytest.mark.parametrize(
    ("mode", "answer", "said"),
    [
        ("nftables", (0, "table ip kube-proxy {", ""), []),
        (
            "nftables",
            (1, "", "Error: No such file or directory"),
            ["its nftables rules for 10.96.0.1:443, the API's Service, are gone"],
        ),
        ("nftables", (1, "", "Operation not permitted"), []),
        (
            "iptables",
            (1, "", "iptables: No chain/target/match by that name."),
            ["its iptables rules for 10.96.0.1:443, the API's Service, are gone"],
        ),
        ("iptables", (0, "-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -j KUBE-SVC-X\n", ""), []),
        (
            "iptables",
            (0, "-N KUBE-SERVICES\n", ""),
            ["its iptables rules for 10.96.0.1:443, the API's Service, are gone"],
        ),
        ("ipvs", (1, "", ""), []),
    ],
)
def test_rules_of_services(tmp_path, monkeypatch, mode, answer, said):
    monkeypatch.setattr(_kernel._probe, "get", lambda url: _probe.Answer(200, "ok", url))
    config = tmp_path / "kube-proxy.yaml"
    config.write_text(f"apiVersion: v1\nmode: {mode}\n", encoding="utf-8")
    wanted = {**SERVICE, "services": {**SERVICE["services"], "config": str(config)}}
    assert _kernel.faults(Module(*answer), wanted, 1) == said


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("-P PREROUTING ACCEPT\n-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n", []),
        ("-P PREROUTING ACCEPT\n", ["its iptables rules are gone, so hostPorts do not work"]),
    ],
)
def test_rules_of_docker(rules, said):
    assert _kernel.faults(Module(0, rules, ""), {"flannel": None, "services": None, "docker": True}, 1) == said


@pytest.mark.parametrize(
    ("setting", "written"),
    [(None, True), (True, True), ("1", True), (False, False), ("0", False), ("F", False)],
)
def test_a_docker_that_writes_no_rules(monkeypatch, setting, written):
    current, flags = ({}, {"iptables": setting}) if isinstance(setting, str) else ({"iptables": setting}, {})
    found = _docker_settings.Found("dockerd", [], flags, "daemon.json", None, current if setting is not None else {})
    monkeypatch.setattr(_docker_settings, "read", lambda: found)
    assert bool(_kernel.docker_faults(Module(0, "", ""))) == written
    # If the rules cannot be read, a restart would not help.
    assert _kernel.docker_faults(Module(1, "", "iptables: Permission denied")) == []


def test_a_docker_with_settings_that_cannot_be_read(monkeypatch):
    def read():
        raise ValueError("daemon.json is not JSON")

    monkeypatch.setattr(_docker_settings, "read", read)
    assert len(_kernel.docker_faults(Module(0, "", ""))) == 1


@pytest.mark.parametrize(
    ("mtu", "done"), [(1450, []), (1400, [["ip", "link", "set", "dev", "flannel.1", "mtu", "1450"]])]
)
def test_an_interface_with_another_mtu_is_repaired_before_the_restart(tmp_path, monkeypatch, mtu, done):
    (tmp_path / "subnet.env").write_text("FLANNEL_SUBNET=10.244.5.1/24\nFLANNEL_MTU=1450\n", encoding="utf-8")
    monkeypatch.setattr(_kernel, "device", lambda: _overlay.Device("10.244.5.0", "0a:00:00:00:00:05", mtu, True))
    module = Module(0, "", "")
    wanted = {"subnet_file": f"{tmp_path}/subnet.env", "tunnel": True, "direct": False, "leases": []}
    _kernel.prepare(module, {"flannel": wanted, "services": None, "docker": False})
    assert module.commands == done


def test_a_component_that_maintains_nothing():
    assert _kernel.faults(Module(), None, 1) == []


def test_flannel_without_a_lease_is_judged_by_its_health_only(tmp_path):
    wanted = {"subnet_file": f"{tmp_path}/none", "tunnel": True, "direct": False, "leases": []}
    assert _kernel.faults(Module(), {"flannel": wanted, "services": None, "docker": False}, 1) == []


def test_the_age_of_a_process():
    started = _kernel.age(os.getpid())
    assert 0 <= started < 24 * 3600
    time.sleep(0.2)
    assert 0.1 < _kernel.age(os.getpid()) - started < 10
    assert _kernel.age(0) == 0


def test_the_address_that_flanneld_registers(monkeypatch):
    text = "/usr/local/bin/flanneld\0--iface=192.0.2.7\0--public-ip=192.0.2.7\0--ip-masq=true\0-public-ip=192.0.2.8\0"
    monkeypatch.setattr(_kernel._files, "read", lambda path: text if path == "/proc/7/cmdline" else None)
    assert _kernel.public_address(7) == "192.0.2.8"
    assert _kernel.public_address(8) == ""


def test_a_component_that_was_just_started_may_not_have_written_its_rules_yet(monkeypatch):
    monkeypatch.setattr(_kernel._probe, "get", lambda url: _probe.Answer(200, "ok", url))
    monkeypatch.setattr(_kernel, "age", lambda pid: 9)
    assert _kernel.faults(Module(1, "", "No such file or directory"), SERVICE, 1) == []
    # Without a Node, it waits for one.
    monkeypatch.setattr(_kernel, "age", lambda pid: 29)
    monkeypatch.setattr(_kernel._probe, "get", lambda url: _probe.Answer(0, "Connection refused", url))
    assert _kernel.faults(Module(1, "", "No such file or directory"), SERVICE, 1) == []
