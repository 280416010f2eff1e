# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import types

import pytest
from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _connected


def connection(transport="ssh", **options):
    return types.SimpleNamespace(transport=transport, get_option=options.get)


def test_an_address_in_the_inventory():
    assert _connected.addresses(connection(ssh_executable="/nowhere"), "192.0.2.7") == ["192.0.2.7"]


def test_an_alias_of_the_ssh_configuration(tmp_path):
    """By OpenSSH itself."""
    config = tmp_path / "config"
    config.write_text("Host n1\n  HostName 192.0.2.7\nHost n2\n  HostName %h.invalid\n")
    by_config = connection(ssh_common_args=f"-F '{config}'")
    assert _connected.addresses(by_config, "n1") == ["192.0.2.7"]
    assert _connected.addresses(by_config, "n2") == []
    assert _connected.addresses(by_config, "localhost") == ["127.0.0.1"]


@pytest.mark.parametrize("transport", ["ssh", "paramiko_ssh", "community.docker.docker"])
def test_a_name_as_the_control_node_resolves_it(monkeypatch, transport):
    asked = []

    def resolve(name, *dummy):
        asked.append(name)
        return [(2, 1, 6, "", ("192.0.2.7", 0)), (2, 1, 6, "", ("192.0.2.7", 0)), (2, 1, 6, "", ("192.0.2.8", 0))]

    monkeypatch.setattr(_connected.socket, "getaddrinfo", resolve)
    assert _connected.addresses(connection(transport), "n1.example.org") == ["192.0.2.7", "192.0.2.8"]
    assert asked == ["n1.example.org"]


@pytest.mark.parametrize("ssh", ["/nowhere/ssh", "/bin/false"])
def test_without_an_ssh_that_answers(ssh):
    assert _connected.addresses(connection(ssh_executable=ssh), "localhost") == ["127.0.0.1"]


def test_the_control_node_itself(monkeypatch):
    """The source address that the kernel chooses for a destination, here one that every machine reaches."""
    monkeypatch.setattr(_connected, "_ELSEWHERE", ("127.0.0.9", 9))
    assert _connected.addresses(connection("local"), "localhost") == ["127.0.0.1"]


def test_the_control_node_without_a_default_route(monkeypatch):
    class Socket(_connected.socket.socket):
        def connect(self, where):
            raise OSError("Network is unreachable")

    monkeypatch.setattr(_connected.socket, "socket", Socket)
    assert _connected.addresses(connection("local"), "localhost") == []


@pytest.mark.parametrize(
    ("printed", "name"),
    [("host a\nhostname 192.0.2.7\nport 22\n", "192.0.2.7"), ("", ""), ("xhostname b\n", "")],
)
def test_what_ssh_prints(printed, name):
    assert _connected.host_name(printed) == name
