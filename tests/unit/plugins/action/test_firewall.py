# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

from ansible.errors import AnsibleConnectionFailure
from ansible_collections.plainkube.cluster.plugins.action import firewall

ACTIONS = [{"verb": "apply", "subject": "nftables table inet plainkube", "reason": ""}]
LOADED = {"changed": True, "actions": ACTIONS, "probation": 15}


class Connection:
    class _shell:  # noqa: N801
        tmpdir = "/nowhere"

    def __init__(self):
        self.resets = 0

    def reset(self):
        self.resets += 1


class Task:
    check_mode = False
    async_val = 0
    args = {"accept": []}
    vars: dict = {}


class Host:
    """A host that answers the module as told, one answer after the other; an exception is raised."""

    def __init__(self, monkeypatch, *answers):
        self.answers, self.asked, self.now = [*answers], [], 0.0
        self.connection = Connection()
        self.plugin = firewall.ActionModule(Task(), self.connection, None, None, None, None)
        monkeypatch.setattr(self.plugin, "_execute_module", self.execute)
        monkeypatch.setattr(firewall.time, "monotonic", lambda: self.now)

    def execute(self, module_name, module_args, task_vars):
        assert module_name == "plainkube.cluster.firewall"
        self.asked.append((module_args.get("confirm", False), self.connection.resets))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            self.now += 10
            raise answer
        return answer

    def run(self):
        return self.plugin.run(task_vars={})


def refused():
    return AnsibleConnectionFailure("Connection timed out.")


def test_nothing_to_confirm(monkeypatch):
    host = Host(monkeypatch, {"changed": False, "probation": 0})
    assert not host.run()["changed"]
    assert host.asked == [(False, 0)]


def test_a_module_that_fails(monkeypatch):
    host = Host(monkeypatch, {"failed": True, "msg": "no nft"})
    assert host.run()["msg"] == "no nft"
    assert host.asked == [(False, 0)]


def test_confirmed_over_a_connection_of_its_own(monkeypatch):
    host = Host(monkeypatch, LOADED, {"changed": True, "probation": 0})
    result = host.run()
    assert (result["changed"], result["actions"]) == (True, ACTIONS)
    assert host.asked == [(False, 0), (True, 1)]


def test_a_network_that_stumbles(monkeypatch):
    host = Host(monkeypatch, LOADED, refused(), {"changed": True, "probation": 0})
    assert not host.run().get("failed")
    assert host.asked[-1] == (True, 2)


def test_cut_off_and_taken_back(monkeypatch):
    back = {"failed": True, "msg": "the previous rules are restored."}
    host = Host(monkeypatch, LOADED, refused(), refused(), back)
    result = host.run()
    assert (result["failed"], result["changed"], result["actions"]) == (True, False, [])
    assert "lock out the control node (Connection timed out; the previous rules are restored.)" in result["msg"]


def test_never_seen_again(monkeypatch):
    result = Host(monkeypatch, LOADED, refused()).run()
    assert (result["failed"], result["changed"]) == (True, False)
    assert "even after 15 s" in result["msg"]


def test_a_connection_that_cannot_be_reset(monkeypatch):
    class Plain(firewall.ConnectionBase):
        transport = "local"
        _shell = Connection._shell

        def __init__(self):
            pass

        def _connect(self): ...

        def exec_command(self, *dummy): ...

        def put_file(self, *dummy): ...

        def fetch_file(self, *dummy): ...

        def close(self): ...

    host = Host(monkeypatch, LOADED, {"changed": True})
    host.plugin._connection = Plain()
    assert not host.run().get("failed")
