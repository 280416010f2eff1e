# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import ipaddress

import pytest

from lab import network
from lab.base import LabError

MACHINE = [
    {"dst": "default", "gateway": "192.0.2.1"},
    {"dst": "192.0.2.0/24", "protocol": "kernel"},
    {"type": "blackhole", "dst": "10.244.0.0/16", "protocol": network.PROTOCOL},
]


@pytest.mark.parametrize(
    ("wanted", "routes", "found"),
    [
        ("10.244.0.0/16", MACHINE, None),
        ("10.96.0.0/16", MACHINE, None),
        ("10.96.0.0/16", [{"dst": "10.0.0.0/8"}], "10.0.0.0/8"),
        ("10.244.0.0/16", [{"dst": "10.244.7.1"}], "10.244.7.1"),
        ("10.244.0.0/16", [{"type": "blackhole", "dst": "10.244.0.0/16"}], "10.244.0.0/16"),
    ],
)
def test_overlap(wanted, routes, found):
    assert network.overlap(wanted, routes) == found


@pytest.mark.parametrize(
    ("name", "taken", "subnet"),
    [
        ("demo", [], "172.30.0.0/24"),
        ("default", [], "172.30.1.0/24"),
        ("mine", [], "172.30.6.0/24"),
        ("mine", ["172.30.6.0/24", "172.30.7.128/25"], "172.30.8.0/24"),
        ("demo", ["172.30.0.0/20"], "172.30.16.0/24"),
    ],
)
def test_choose(name, taken, subnet):
    assert network.choose(name, [{"dst": dst} for dst in taken]) == subnet


def test_choose_says_when_nothing_is_free():
    with pytest.raises(LabError, match=r"no /24 of 172\.30\.0\.0/16 is free"):
        network.choose("demo", [{"dst": "172.16.0.0/12"}])


def test_nameservers():
    text = "search a\nnameserver 10.96.0.10\n# nameserver 10.0.0.1\nnameserver fd00::1\nnameserver 127.0.0.53\n"
    assert network.nameservers(text) == [ipaddress.ip_address("10.96.0.10"), ipaddress.ip_address("127.0.0.53")]


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine's routes, and the `ip` commands that change them."""
    commands = []
    monkeypatch.setattr(network, "run", lambda *command: commands.append(" ".join(command)))
    monkeypatch.setattr(network, "routes", lambda: MACHINE)
    monkeypatch.setattr(network, "resolvers", lambda: network.nameservers("nameserver 192.0.2.53\n"))
    return commands


def test_contain_adds_what_is_missing(machine):
    network.contain()
    assert machine == [f"ip route add blackhole {net} proto 144" for net in ("10.96.0.0/16", "198.51.100.0/24")]


def test_contain_refuses_a_network_that_the_machine_uses(machine, monkeypatch):
    monkeypatch.setattr(network, "routes", lambda: [*MACHINE, {"dst": "10.96.0.0/12"}])
    with pytest.raises(LabError, match=r"route to 10\.96\.0\.0/12 overlaps 10\.96\.0\.0/16"):
        network.contain()
    assert machine == []


def test_contain_refuses_a_network_with_the_machines_name_server(machine, monkeypatch):
    monkeypatch.setattr(network, "resolvers", lambda: network.nameservers("nameserver 10.96.0.10\n"))
    with pytest.raises(LabError, match=r"name server 10\.96\.0\.10 is in 10\.96\.0\.0/16"):
        network.contain()
    assert machine == []


def test_release_removes_ours_only(machine, monkeypatch):
    theirs = {"type": "blackhole", "dst": "10.96.0.0/16", "protocol": "static"}
    monkeypatch.setattr(network, "routes", lambda: [*MACHINE, theirs])
    network.release()
    assert machine == ["ip route del blackhole 10.244.0.0/16 proto 144"]
