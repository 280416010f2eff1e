# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _firewall, _nft

SHOWN = "ActiveState={}\nUnitFileState={}\n"


class Host:
    """A host's nft, and systemd as far as it is asked."""

    def __init__(self):
        self.live, self.answer = "", ("active", "enabled")
        self.broken = False
        self.commands = []

    def get_bin_path(self, name, opt_dirs=None):
        return f"/usr/sbin/{name}"

    def run_command(self, command, data=None, **dummy):
        self.commands.append(command)
        if command[0] == "systemctl":
            return 0, SHOWN.format(*self.answer), ""
        if command[0] == "unshare":
            return (1, "", "syntax error,\n unexpected rubbish") if "rubbish" in data else (0, f"listed {data}", "")
        if self.broken:
            return 1, "", "Operation not permitted"
        return (0, self.live, "") if self.live else (1, "", "Error: No such file or directory")


@pytest.fixture
def host():
    return Host()


@pytest.fixture
def installed(host, tmp_path, monkeypatch):
    """The firewall as the last run left it."""
    rules, unit = tmp_path / "firewall.nft", tmp_path / _firewall.UNIT
    monkeypatch.setattr(_firewall, "RULES", str(rules))
    monkeypatch.setattr(_nft, "UNIT_PATH", str(unit))
    rules.write_text("rules", encoding="utf-8")
    unit.write_text(_firewall.unit("rules"), encoding="utf-8")
    host.live = "listed rules"
    return rules


def test_a_table_that_is_not_there_is_empty(host):
    assert _nft.live(host) == ""
    host.broken = True
    with pytest.raises(_nft._command.Failed, match="Operation not permitted"):
        _nft.live(host)


def test_rules_are_tried_where_nobody_sees_them(host):
    assert _nft.canonical(host, "rules") == "listed rules"
    with pytest.raises(_nft._command.Failed, match="syntax error, unexpected rubbish"):
        _nft.canonical(host, "rubbish")
    assert all(command[:2] == ["unshare", "--net"] for command in host.commands)


def test_no_drift(host, installed):
    assert _nft.drift(host) == ""


def test_by_hand_in_the_kernel(host, installed):
    host.live = "something else"
    assert "changed manually in nftables table inet plainkube" in _nft.drift(host)
    host.live = ""
    assert "is off" in _nft.drift(host)


def test_by_hand_in_the_file(host, installed):
    installed.write_text("other rules", encoding="utf-8")
    assert _nft.drift(host).startswith("has rules in ")


@pytest.mark.parametrize("answer", [("inactive", "enabled"), ("active", "disabled")])
def test_what_would_not_come_back(host, installed, answer):
    host.answer = answer
    assert "would not be loaded at boot" in _nft.drift(host)


def test_not_installed(host, installed):
    installed.unlink()
    assert _nft.drift(host) == "is not installed"


def test_unreadable(host, installed):
    host.broken = True
    assert _nft.drift(host).startswith("cannot be read: ")
