# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import functools
import time

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
    # Docker's options are the variables of role docker otherwise.
    args: dict = {"docker": None}
    vars: dict = {}


NEEDS = {
    "untested_systems": False,
    "memory_mb": 1700,
    "disk_mb": 0,
    "networks": {},
    "kubelet_config": None,
}


class Host:
    """A host whose clock is ahead by `ahead`, behind a connection that takes `module` and then `command` seconds, half of it each way."""

    def __init__(self, monkeypatch, facts, ahead, module, command):
        self.facts = facts
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
        return {"changed": False, "found": {**self.facts}, "time": self.clock(seconds)}

    def read(self, command, sudoable):
        self.readings += 1
        return {"stdout": f"{self.clock(self.command):.9f}\n", "stderr": ""}

    def offset(self):
        return self.plugin.run(task_vars={"inventory_hostname": "n1"})["ansible_facts"]["plainkube"]["clock_offset"]


@pytest.fixture
def make_host(monkeypatch, facts):
    return functools.partial(Host, monkeypatch, facts)


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
def test_the_clock(make_host, ahead, module, command, offset, readings):
    host = make_host(ahead, module, command)
    assert (host.offset(), host.readings) == (offset, readings)


def test_a_host_that_does_not_tell_the_time(make_host, monkeypatch):
    host = make_host(0, 6, 0.1)
    monkeypatch.setattr(
        host.plugin, "_low_level_execute_command", lambda *dummy, **more: {"stdout": "", "stderr": "no date"}
    )
    with pytest.raises(AnsibleActionFail, match="did not print the time .'no date'"):
        host.offset()


@pytest.mark.parametrize(
    ("memory", "installed", "refused"), [(1800, False, False), (900, False, True), (900, True, False)]
)
def test_a_host_that_falls_short_is_refused(make_host, facts, monkeypatch, memory, installed, refused):
    host = make_host(0, 1, 1)
    asked = []

    def answer(module_args, **dummy):
        asked.append(module_args)
        found = {**facts, "memory_mb": memory, "installed": installed}
        return {"changed": False, "found": found, "time": host.clock(1)}

    warned = []
    monkeypatch.setattr(host_facts.display, "warning", warned.append)
    monkeypatch.setattr(host.plugin, "_execute_module", answer)
    monkeypatch.setattr(Task, "args", {"components": [{"name": "a", "ports": [1]}], "docker": None, "needs": NEEDS})
    result = host.plugin.run(task_vars={"inventory_hostname": "n1"})
    assert asked == [{"components": [{"name": "a", "ports": [1]}], "docker": None}]
    assert result.get("failed", False) == refused
    assert not refused or result["msg"].startswith("n1 has 900 MiB of memory")
    assert [line.startswith("n1 has 900 MiB of memory") for line in warned] == [True] * installed


def test_a_component_whose_port_is_taken(make_host, facts, monkeypatch):
    host = make_host(0, 1, 1)
    taken = {"protocol": "tcp", "port": 2379, "address": "0.0.0.0:2379", "pid": 7, "process": "other"}
    found = {**facts, "foreign_listeners": [taken]}
    monkeypatch.setattr(
        host.plugin, "_execute_module", lambda **dummy: {"changed": False, "found": found, "time": host.clock(1)}
    )
    monkeypatch.setattr(
        Task, "args", {"components": [{"name": "etcd", "ports": [2379]}], "docker": None, "needs": NEEDS}
    )
    said = host.plugin.run(task_vars={"inventory_hostname": "n1"})["msg"]
    assert [word for word in ("etcd", "2379", "other") if word not in said] == []


DOCKER = {"options": {"data-root": "/srv/docker"}, "runs_pods": True}


@pytest.mark.parametrize(
    ("arguments", "variables", "delegate_to", "sent"),
    [
        ({}, {}, None, {"docker": DOCKER}),
        (
            {},
            {"cluster_runtime": "containerd", "docker_enabled": True},
            None,
            {"docker": {**DOCKER, "runs_pods": False}},
        ),
        ({}, {"cluster_runtime": "containerd"}, None, {"docker": None}),
        ({}, {"group_names": ["control_plane"]}, None, {"docker": None}),
        ({"docker": {"options": {}}}, {}, None, {"docker": {"options": {}}}),
        # These are the variables of another host.
        ({}, {}, "n2", {}),
    ],
)
def test_a_node_is_asked_about_docker_with_the_variables_of_role_docker(
    action_plugin, monkeypatch, facts, arguments, variables, delegate_to, sent
):
    """So a role that is used alone knows the same of Docker as site.yml, such as a data root that role docker is about to set."""
    plugin = action_plugin(host_facts, arguments)
    plugin._task.delegate_to, plugin._play_context, plugin._connection = delegate_to, Context(), Connection
    plugin._task.ignore_unreachable = False
    asked = []

    def answer(module_args, **dummy):
        asked.append(module_args)
        return {"changed": False, "found": facts, "time": time.time()}

    monkeypatch.setattr(plugin, "_execute_module", answer)
    inventory = {
        "inventory_hostname": "n1",
        "group_names": ["node"],
        "groups": {"control_plane": ["k1"], "node": ["n1"]},
    }
    plugin.run(task_vars={**inventory, "docker_options": DOCKER["options"], **variables})
    assert asked == [sent]


def test_an_unreachable_host_is_told_in_a_sentence(make_host, monkeypatch):
    host = make_host(0, 1, 1)

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
def test_a_host_only_confirms_its_address(make_host, facts, monkeypatch, connected, address):
    host = make_host(0, 1, 1)
    monkeypatch.setattr(host_facts._connected, "addresses", lambda *dummy: connected)
    told = {**facts, "address": "192.0.2.1"}
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
def test_a_module_that_fails_reports_its_own_error(make_host, monkeypatch, answer, message):
    host = make_host(0, 1, 1)
    monkeypatch.setattr(host.plugin, "_execute_module", lambda **dummy: answer)
    result = host.plugin.run(task_vars={"inventory_hostname": "n1"})
    assert (result["failed"], result.get("msg"), result["ansible_facts"]) == (True, message, NOTHING)
    assert {**answer, "failed": True, "ansible_facts": NOTHING}.items() <= result.items()


def test_a_host_that_was_down_once_counts_as_reached_again(make_host):
    host = make_host(0, 1, 1)
    found = host.plugin.run(task_vars={"inventory_hostname": "n1"})["ansible_facts"]
    assert (found["plainkube_unreached"], found["plainkube_address"]) == (False, "192.0.2.7")


def test_a_host_whose_address_is_known_is_not_asked(make_host, monkeypatch):
    host = make_host(0, 1, 1)
    monkeypatch.setattr(host.plugin, "_execute_module", None)
    monkeypatch.setattr(Task, "args", {"address": "192.0.2.1"})
    assert host.plugin.run(task_vars={"inventory_hostname": "n1"})["ansible_facts"] == NOTHING


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (lambda facts: None, "no facts"),
        (lambda facts: "text", "no facts"),
        (lambda facts: {}, "no valid addresses"),
        (
            lambda facts: {**facts, "addresses": [{"interface": "eth0", "address": "n1", "prefix": 24}]},
            "no valid addresses[0].address",
        ),
        (lambda facts: {**facts, "architecture": "../../ctl"}, "no valid architecture"),
        (lambda facts: {**facts, "memory_mb": True}, "no valid memory_mb"),
        (lambda facts: {**facts, "networks": [{"name": "a", "network": "10.0.0.1/8"}]}, "no valid networks[0].network"),
        (lambda facts: {**facts, "pki": {"public": {"ca.crt": 1}, "secret": []}}, "no valid pki.public.ca.crt"),
    ],
)
def test_facts_of_another_shape_are_refused(make_host, facts, monkeypatch, told, said):
    host = make_host(0, 1, 1)
    monkeypatch.setattr(
        host.plugin, "_execute_module", lambda **dummy: {"changed": False, "found": told(facts), "time": 1000.0}
    )
    result = host.plugin.run(task_vars={"inventory_hostname": "n1"})
    assert (result["failed"], result["ansible_facts"]) == (True, NOTHING)
    assert result["msg"].startswith(f"Host n1 answered module plainkube.cluster.host_facts with {said}: ")


def test_facts_that_nobody_asked_for_are_dropped(make_host, facts, monkeypatch):
    host = make_host(0, 1, 1)
    told = {**facts, "certificates_directory": "/tmp", "clock_offset": 99}
    monkeypatch.setattr(host, "answer", lambda seconds: {"changed": False, "found": told, "time": host.clock(seconds)})
    found = host.plugin.run(task_vars={"inventory_hostname": "n1"})["ansible_facts"]["plainkube"]
    assert found == {**facts, "clock_offset": 0.0}


@pytest.mark.parametrize("time", [None, "1000", True])
def test_a_time_that_is_none_is_refused(make_host, facts, monkeypatch, time):
    host = make_host(0, 1, 1)
    monkeypatch.setattr(
        host.plugin, "_execute_module", lambda **dummy: {"changed": False, "found": {**facts}, "time": time}
    )
    assert host.plugin.run(task_vars={"inventory_hostname": "n1"})["failed"]
