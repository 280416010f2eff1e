# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible_collections.plainkube.cluster.plugins.action import host_facts


class Context:
    remote_addr = "192.0.2.7"


class Connection:
    transport = "ssh"

    class _shell:  # noqa: N801
        tmpdir = "/nowhere"


class Task:
    check_mode = False
    async_val = 0
    delegate_to = None
    ignore_unreachable = False
    args: dict = {}
    vars: dict = {}


GOOD = {
    "addresses": [{"interface": "eth0", "address": "192.0.2.7", "prefix": 24}],
    "architecture": "amd64",
    "bounded": False,
    "cgroup_version": 2,
    "cni_before": [],
    "containerd": "",
    "containerd_files": {},
    "crictl": False,
    "distribution": "debian",
    "distribution_version": "13",
    "etcd_state": "none",
    "docker_problems": [],
    "docker_root": "/var/lib/docker",
    "firewall": False,
    "firewalls": [],
    "foreign_listeners": [],
    "foreign_units": {},
    "free_mb": {},
    "hostname": "n1",
    "installed": False,
    "installed_versions": {},
    "interfaces": ["lo", "eth0"],
    "kernel": "6.12",
    "leases": [{"subnet": "10.244.5.0/24", "address": "192.0.2.7", "mac": "0a:00:00:00:00:05"}],
    "leftovers": [],
    "linked": {},
    "machine_id": "a",
    "memory_mb": 1800,
    "name_servers": ["192.0.2.53"],
    "networkmanager": False,
    "networks": [],
    "nftables": True,
    "pki": {"public": {}, "secret": [], "encryption": None},
    "pod_bridge": "",
    "replaced_commands": {},
    "resolv_conf": "/etc/resolv.conf",
    "runtime": "",
    "runtime_change": False,
    "runtime_version": "",
    "services": [],
    "settled": {},
    "swap": [],
    "systemd": True,
    "unresolved": [],
}
NEEDS = {
    "untested_systems": False,
    "memory_mb": 1700,
    "disk_mb": 0,
    "networks": {},
    "kubelet_config": None,
}


class Host:
    """A host whose clock is ahead by `ahead`, behind a connection that takes `module` and then `command` seconds, half of it each way."""

    def __init__(self, monkeypatch, ahead, module, command):
        self.now, self.ahead, self.command, self.readings = 1000.0, ahead, command, 0
        self.plugin = host_facts.ActionModule(Task(), Connection, Context(), None, None, None)
        monkeypatch.setattr(host_facts.time, "time", lambda: self.now)
        monkeypatch.setattr(self.plugin, "_execute_module", lambda **dummy: self.answer(module))
        monkeypatch.setattr(self.plugin, "_low_level_execute_command", self.read)

    def clock(self, seconds):
        self.now += seconds / 2
        found = self.now + self.ahead
        self.now += seconds / 2
        return found

    def answer(self, seconds):
        return {"changed": False, "found": {**GOOD}, "time": self.clock(seconds)}

    def read(self, command, sudoable):
        self.readings += 1
        return {"stdout": f"{self.clock(self.command):.9f}\n", "stderr": ""}

    def offset(self):
        return self.plugin.run(task_vars={"inventory_hostname": "n1"})["ansible_facts"]["plainkube"]["clock_offset"]


@pytest.mark.parametrize(
    ("ahead", "module", "command", "offset", "readings"),
    [
        (0, 1, 0.1, 0, 0),
        (1.4, 1, 0.1, 0.9, 0),
        # So far off that a slow connection does not matter.
        (-60, 10, 0.1, -55, 0),
        (7, 1, 0.1, 6.5, 0),
        # A slow module could hide it, or be taken for it: the clock is read again.
        (3, 6, 0.2, 2.9, 1),
        (-3, 6, 0.2, -2.9, 1),
        (0, 6, 0.2, 0, 1),
        # Never to be told on this connection, so it is not held against the host.
        (3, 20, 20, 0, 3),
    ],
)
def test_the_clock(monkeypatch, ahead, module, command, offset, readings):
    host = Host(monkeypatch, ahead, module, command)
    assert (host.offset(), host.readings) == (offset, readings)


def test_a_host_that_does_not_tell_the_time(monkeypatch):
    host = Host(monkeypatch, 0, 6, 0.1)
    monkeypatch.setattr(
        host.plugin, "_low_level_execute_command", lambda *dummy, **more: {"stdout": "", "stderr": "no date"}
    )
    with pytest.raises(AnsibleActionFail, match="did not print the time .'no date'"):
        host.offset()


@pytest.mark.parametrize(
    ("memory", "installed", "refused"), [(1800, False, False), (900, False, True), (900, True, False)]
)
def test_a_host_that_falls_short_is_refused(monkeypatch, memory, installed, refused):
    host = Host(monkeypatch, 0, 1, 1)
    asked = []

    def answer(module_args, **dummy):
        asked.append(module_args)
        found = {**GOOD, "memory_mb": memory, "installed": installed}
        return {"changed": False, "found": found, "time": host.clock(1)}

    warned = []
    monkeypatch.setattr(host_facts.display, "warning", warned.append)
    monkeypatch.setattr(host.plugin, "_execute_module", answer)
    monkeypatch.setattr(Task, "args", {"components": [{"name": "a", "ports": [1]}], "needs": NEEDS})
    result = host.plugin.run(task_vars={"inventory_hostname": "n1"})
    assert asked == [{"components": [{"name": "a", "ports": [1]}]}]
    assert result.get("failed", False) == refused
    assert not refused or result["msg"].startswith("n1 has 900 MiB of memory")
    assert [line.startswith("n1 has 900 MiB of memory") for line in warned] == [True] * installed


def test_a_component_whose_port_is_taken(monkeypatch):
    host = Host(monkeypatch, 0, 1, 1)
    taken = {"protocol": "tcp", "port": 2379, "address": "0.0.0.0:2379", "pid": 7, "process": "other"}
    found = {**GOOD, "foreign_listeners": [taken]}
    monkeypatch.setattr(
        host.plugin, "_execute_module", lambda **dummy: {"changed": False, "found": found, "time": host.clock(1)}
    )
    monkeypatch.setattr(Task, "args", {"components": [{"name": "etcd", "ports": [2379]}], "needs": NEEDS})
    said = host.plugin.run(task_vars={"inventory_hostname": "n1"})["msg"]
    assert [word for word in ("etcd", "2379", "other") if word not in said] == []


def test_an_unreachable_host_is_told_in_a_sentence(monkeypatch):
    host = Host(monkeypatch, 0, 1, 1)

    def fail(**dummy):
        raise AnsibleConnectionFailure("ssh: No route to host")

    monkeypatch.setattr(host.plugin, "_execute_module", fail)
    result = host.plugin.run(task_vars={"inventory_hostname": "n1"})
    assert result["unreachable"]
    assert result["msg"].startswith("n1 (192.0.2.7) is unreachable (ssh: No route to host): start it")
    warned = []
    monkeypatch.setattr(host_facts.display, "warning", warned.append)
    monkeypatch.setattr(Task, "ignore_unreachable", True)
    borne = host.plugin.run(task_vars={"inventory_hostname": "n1"})
    assert (borne["unreachable"], warned[-1]) == (False, result["msg"])
    # As the control node knows it; of two, a host that is down confirms none.
    known = {"plainkube": {}, "plainkube_unreached": True, "plainkube_address": "192.0.2.7"}
    assert borne["ansible_facts"] == known
    monkeypatch.setattr(host_facts._connected, "addresses", lambda *dummy: ["192.0.2.7", "192.0.2.8"])
    assert host.plugin.run(task_vars={"inventory_hostname": "n1"})["ansible_facts"]["plainkube_address"] == ""


@pytest.mark.parametrize(
    ("connected", "address"),
    [
        (["192.0.2.7"], "192.0.2.7"),
        (["192.0.2.6", "192.0.2.7"], "192.0.2.7"),
        # Role preflight refuses this one.
        (["192.0.2.6", "192.0.2.5"], "192.0.2.6"),
        ([], ""),
    ],
)
def test_a_host_only_confirms_its_address(monkeypatch, connected, address):
    host = Host(monkeypatch, 0, 1, 1)
    monkeypatch.setattr(host_facts._connected, "addresses", lambda *dummy: connected)
    told = {**GOOD, "address": "192.0.2.1"}
    monkeypatch.setattr(host, "answer", lambda seconds: {"changed": False, "found": told, "time": host.clock(seconds)})
    found = host.plugin.run(task_vars={"inventory_hostname": "n1"})["ansible_facts"]
    assert found["plainkube_address"] == address
    assert "address" not in found["plainkube"]


NOTHING = {"plainkube": {}, "plainkube_unreached": False, "plainkube_address": ""}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"failed": True, "msg": "no Python"}, "no Python"),
        # Ansible adds what it has discovered to the answer of a module that failed, too.
        (
            {
                "failed": True,
                "msg": "Permission denied: '/etc/kubernetes/pki'",
                "ansible_facts": {"discovered_interpreter_python": "/usr/bin/python3.13"},
            },
            "Permission denied: '/etc/kubernetes/pki'",
        ),
        ({"failed": True, "msg": "late", "found": {"address": "192.0.2.1"}}, "late"),
        # An exception of the module is no `msg` in ansible-core 2.21.
        ({"failed": True, "exception": "Traceback"}, None),
    ],
)
def test_a_module_that_fails_reports_its_own_error(monkeypatch, answer, message):
    host = Host(monkeypatch, 0, 1, 1)
    monkeypatch.setattr(host.plugin, "_execute_module", lambda **dummy: answer)
    result = host.plugin.run(task_vars={"inventory_hostname": "n1"})
    assert (result["failed"], result.get("msg"), result["ansible_facts"]) == (True, message, NOTHING)
    assert {**answer, "failed": True, "ansible_facts": NOTHING}.items() <= result.items()


def test_a_host_that_was_down_once_counts_as_reached_again(monkeypatch):
    host = Host(monkeypatch, 0, 1, 1)
    found = host.plugin.run(task_vars={"inventory_hostname": "n1"})["ansible_facts"]
    assert (found["plainkube_unreached"], found["plainkube_address"]) == (False, "192.0.2.7")


def test_a_host_whose_address_is_known_is_not_asked(monkeypatch):
    host = Host(monkeypatch, 0, 1, 1)
    monkeypatch.setattr(host.plugin, "_execute_module", None)
    monkeypatch.setattr(Task, "args", {"address": "192.0.2.1"})
    assert host.plugin.run(task_vars={"inventory_hostname": "n1"})["ansible_facts"] == NOTHING


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (None, "no facts"),
        ("text", "no facts"),
        ({}, "no valid addresses"),
        (
            {**GOOD, "addresses": [{"interface": "eth0", "address": "n1", "prefix": 24}]},
            "no valid addresses[0].address",
        ),
        ({**GOOD, "architecture": "../../ctl"}, "no valid architecture"),
        ({**GOOD, "memory_mb": True}, "no valid memory_mb"),
        ({**GOOD, "networks": [{"name": "a", "network": "10.0.0.1/8"}]}, "no valid networks[0].network"),
        ({**GOOD, "pki": {"public": {"ca.crt": 1}, "secret": []}}, "no valid pki.public.ca.crt"),
    ],
)
def test_facts_of_another_shape_are_refused(monkeypatch, told, said):
    host = Host(monkeypatch, 0, 1, 1)
    monkeypatch.setattr(
        host.plugin, "_execute_module", lambda **dummy: {"changed": False, "found": told, "time": 1000.0}
    )
    result = host.plugin.run(task_vars={"inventory_hostname": "n1"})
    assert (result["failed"], result["ansible_facts"]) == (True, NOTHING)
    assert result["msg"].startswith(f"Host n1 answered module plainkube.cluster.host_facts with {said}: ")


def test_facts_that_nobody_asked_for_are_dropped(monkeypatch):
    host = Host(monkeypatch, 0, 1, 1)
    told = {**GOOD, "certificates_directory": "/tmp", "clock_offset": 99}
    monkeypatch.setattr(host, "answer", lambda seconds: {"changed": False, "found": told, "time": host.clock(seconds)})
    found = host.plugin.run(task_vars={"inventory_hostname": "n1"})["ansible_facts"]["plainkube"]
    assert found == {**GOOD, "clock_offset": 0.0}


@pytest.mark.parametrize("time", [None, "1000", True])
def test_a_time_that_is_none_is_refused(monkeypatch, time):
    host = Host(monkeypatch, 0, 1, 1)
    monkeypatch.setattr(
        host.plugin, "_execute_module", lambda **dummy: {"changed": False, "found": {**GOOD}, "time": time}
    )
    assert host.plugin.run(task_vars={"inventory_hostname": "n1"})["failed"]
