# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import os

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _sockets
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import firewall
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _firewall, _nft

RULES = {"accept": [{"name": "x", "ports": ["2379"], "sources": ["192.0.2.1"]}]}
OTHER = {"accept": [{"name": "x", "ports": ["2379"], "sources": ["192.0.2.2"]}]}


def listed(rules):
    """How the fake nft lists what it was given; none for a file that only deletes."""
    return rules.partition(_firewall.REPLACE)[2].replace("\t", " ")


class Host:
    """nft, systemd and its timer, as far as the module asks them."""

    def __init__(self):
        self.live = ""
        self.states = {}
        self.enabled = False
        self.commands = []
        self.nft = True
        self.refuse = ""

    def time_is_up(self):
        """The timer elapses."""
        if self.states.pop(firewall.TIMER, "") == "active":
            self.live = listed(_files.read(firewall.FORMER))

    def systemctl(self, verb, *arguments):
        names = [argument for argument in arguments if not argument.startswith("--")]
        if verb == "show":
            enabled = "enabled" if self.enabled else "disabled"
            return "\n".join(
                f"ActiveState={self.states.get(name, 'inactive')}\nUnitFileState={enabled}\n" for name in names
            )
        if verb in ("enable", "disable"):
            self.enabled = verb == "enable"
        if verb == "start":
            self.states.update(dict.fromkeys(names, "active"))
        if verb == "stop" or "--now" in arguments:
            self.states.update(dict.fromkeys(names, "inactive"))
        return ""

    def run_command(self, command, data=None, **dummy):
        self.commands.append(command)
        program, *arguments = command
        if program == "systemctl":
            return 0, self.systemctl(*arguments), ""
        if program == "systemd-run":
            self.states[firewall.TIMER] = "active"
            return 0, "", ""
        if program == "unshare":
            return (1, "", self.refuse) if self.refuse else (0, listed(data), "")
        assert program == "nft", command
        if arguments[:2] == ["-f", "-"]:
            self.live = listed(data)
            return 0, "", ""
        return (0, self.live, "") if self.live else (1, "", "No such file or directory")


@pytest.fixture
def host(monkeypatch, tmp_path):
    fake = Host()
    monkeypatch.setattr(AnsibleModule, "run_command", lambda self, *a, **k: fake.run_command(*a, **k))
    monkeypatch.setattr(
        AnsibleModule, "get_bin_path", lambda self, name, *a, **k: f"/usr/sbin/{name}" if fake.nft else None
    )
    monkeypatch.setattr(_sockets, "ssh_ports", lambda module: {22})
    monkeypatch.setattr(_firewall, "RULES", str(tmp_path / "kubernetes/firewall.nft"))
    monkeypatch.setattr(_nft, "UNIT_PATH", str(tmp_path / "system" / _firewall.UNIT))
    monkeypatch.setattr(firewall, "FORMER", str(tmp_path / "former"))
    owned = firewall.owned_files
    monkeypatch.setattr(firewall, "owned_files", lambda rules: [{**file, **_files.me()} for file in owned(rules)])
    write = _files.write
    monkeypatch.setattr(_files, "write", lambda module, file: write(module, {**file, **_files.me()}))
    return fake


def on_disk():
    return [path for path in (_firewall.RULES, _nft.UNIT_PATH) if os.path.exists(path)]


@pytest.fixture
def guarded(host, run_module):
    """A host with rules that are confirmed."""
    run_module(firewall, **RULES)
    run_module(firewall, **RULES, confirm=True)
    host.commands.clear()
    return host


APPLIES = ("apply", "nftables table inet plainkube", "")


def writes():
    return [("write", path, "") for path in (_firewall.RULES, _nft.UNIT_PATH)]


def test_check_do_check_do(host, run_module):
    plan = run_module(firewall, **RULES, _ansible_check_mode=True)
    assert plan["actions"] == [*writes(), APPLIES]
    assert (plan["changed"], plan["probation"]) == (True, 0)
    assert (host.live, on_disk()) == ("", [])
    done = run_module(firewall, **RULES)
    assert {key: done[key] for key in ("changed", "actions", "diff")} == {
        key: plan[key] for key in ("changed", "actions", "diff")
    }
    assert done["probation"] == 15
    kept = run_module(firewall, **RULES, confirm=True)
    assert not kept.get("failed")
    assert on_disk() == [_firewall.RULES, _nft.UNIT_PATH]
    assert (host.enabled, host.states[_firewall.UNIT], host.states[firewall.TIMER]) == (True, "active", "inactive")
    assert not os.path.exists(firewall.FORMER)
    for more in ({"_ansible_check_mode": True}, {}):
        again = run_module(firewall, **RULES, **more)
        assert (again["changed"], again["actions"], again["diff"], again["probation"]) == (False, [], [], 0)


def test_the_diff_is_the_text_of_the_rules(host, run_module):
    diff = {entry["after_header"]: entry for entry in run_module(firewall, **RULES, _ansible_check_mode=True)["diff"]}
    assert "ip saddr 192.0.2.1 tcp dport 2379 accept" in diff[_firewall.RULES]["after"]
    assert "ip saddr 192.0.2.1 tcp dport 2379 accept" in diff["nftables table inet plainkube"]["after"]


def test_nothing_is_on_disk_before_somebody_came_in(host, run_module):
    run_module(firewall, **RULES)
    assert "192.0.2.1" in host.live
    assert on_disk() == []
    timer = next(command for command in host.commands if command[0] == "systemd-run")
    assert "--on-active=15" in timer
    assert timer[-2:] == ["-f", firewall.FORMER]


def test_the_timer_is_set_before_rules_are_loaded(host, run_module):
    run_module(firewall, **RULES)
    programs = [command[0] for command in host.commands if command[0] == "systemd-run" or command[-2:] == ["-f", "-"]]
    assert programs == ["systemd-run", "nft"]


def test_rules_that_nobody_confirmed_go_and_late_confirmation_fails(guarded, run_module):
    before = guarded.live
    run_module(firewall, **OTHER)
    assert guarded.live != before
    guarded.time_is_up()
    assert guarded.live == before
    late = run_module(firewall, **OTHER, confirm=True)
    assert late["failed"]
    assert "no connection through the new rules within 15 s, so the previous rules are restored" in late["msg"]
    assert "192.0.2.1" in _files.read(_firewall.RULES)


def test_the_first_rules_ever_go_without_trace(host, run_module):
    run_module(firewall, **RULES)
    host.time_is_up()
    assert (host.live, on_disk()) == ("", [])


def test_a_run_that_was_killed_on_probation(guarded, run_module):
    run_module(firewall, **OTHER)
    plan = run_module(firewall, **RULES, _ansible_check_mode=True)
    why = "unconfirmed rules of a killed run are active, and will be rolled back"
    assert plan["actions"][-1] == ("wait", "nftables table inet plainkube", why)
    # What it left is taken back, so that nothing comes back later.
    done = run_module(firewall, **RULES)
    assert (done["changed"], done["probation"]) == (False, 0)
    assert "192.0.2.1" in guarded.live
    guarded.time_is_up()
    assert "192.0.2.1" in guarded.live


def test_hand_edits_of_the_live_table_are_mended(guarded, run_module):
    right = guarded.live
    guarded.live = right.replace("drop", "accept")
    plan = run_module(firewall, **RULES, _ansible_check_mode=True)
    assert (plan["changed"], [entry["after_header"] for entry in plan["diff"]]) == (
        True,
        ["nftables table inet plainkube"],
    )
    run_module(firewall, **RULES)
    run_module(firewall, **RULES, confirm=True)
    assert guarded.live == right


def test_a_file_edited_by_hand_is_mended_and_nobody_has_to_confirm_that(guarded, run_module):
    with open(_firewall.RULES, "a", encoding="utf-8") as stream:
        stream.write("# by hand\n")
    done = run_module(firewall, **RULES)
    assert (done["changed"], done["probation"], done["actions"]) == (True, 0, [("write", _firewall.RULES, "")])
    assert "by hand" not in _files.read(_firewall.RULES)


@pytest.mark.parametrize("state", ["disabled", "stopped"])
def test_a_unit_that_would_not_come_back(guarded, run_module, state):
    if state == "disabled":
        guarded.enabled = False
    else:
        guarded.states[_firewall.UNIT] = "inactive"
    done = run_module(firewall, **RULES)
    actions = {
        "disabled": ("enable", "plainkube-firewall", "it would not start at boot"),
        "stopped": ("start", "plainkube-firewall", "it is not running"),
    }
    assert (done["changed"], done["actions"]) == (True, [actions[state]])
    assert (guarded.enabled, guarded.states[_firewall.UNIT]) == (True, "active")
    assert not run_module(firewall, **RULES)["changed"]


def test_rules_that_nft_refuses_change_nothing(host, run_module):
    host.refuse = "syntax error"
    for more in ({"_ansible_check_mode": True}, {}):
        done = run_module(firewall, **RULES, **more)
        assert done["failed"]
        assert "syntax error" in done["msg"]
    assert (host.live, on_disk(), host.states) == ("", [], {})


def test_wrong_options_are_told_in_a_sentence(host, run_module):
    done = run_module(firewall, ssh_sources=["10.0.0.1/8"])
    assert (
        done["msg"] == "The host's firewall: has '10.0.0.1/8', which has host bits set: write the network, 10.0.0.0/8."
    )
    assert "use 5 seconds or more" in run_module(firewall, revert_after=1)["msg"]


def test_without_nft(host, run_module):
    host.nft = False
    assert run_module(firewall, **RULES, _ansible_check_mode=True)["changed"]
    assert "install the package nftables" in run_module(firewall, **RULES)["msg"]
    assert not run_module(firewall, state="absent")["changed"]


def test_removed_again(guarded, run_module):
    plan = run_module(firewall, state="absent", _ansible_check_mode=True)
    gone = ["nftables table inet plainkube", _firewall.RULES, _nft.UNIT_PATH]
    assert plan["actions"] == [("remove", name, "") for name in gone]
    assert on_disk() == [_firewall.RULES, _nft.UNIT_PATH]
    done = run_module(firewall, state="absent")
    assert (done["changed"], done["actions"], done["diff"]) == (True, plan["actions"], plan["diff"])
    assert (guarded.live, on_disk(), guarded.enabled, guarded.states[_firewall.UNIT]) == ("", [], False, "inactive")
    assert not run_module(firewall, state="absent")["changed"]
