# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import os
import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.modules import host_facts


def test_facts_agree_with_other_witnesses(run_module):
    result = run_module(host_facts)
    facts = result["ansible_facts"]["plainkube"]
    assert result["changed"] is False
    assert facts["hostname"] == os.uname().nodename
    assert facts["architecture"] == subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
    assert facts["memory_mb"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    assert facts["systemd"] is os.path.isdir("/run/systemd/system")


def test_the_address_is_that_of_the_default_route(run_module, monkeypatch):
    class Socket:
        def __init__(self, *dummy):
            self.where = None

        def __enter__(self):
            return self

        def __exit__(self, *dummy):
            return None

        def connect(self, where):
            self.where = where

        def getsockname(self):
            return ("192.0.2.7", 1) if self.where else ("0.0.0.0", 0)

    monkeypatch.setattr(host_facts.socket, "socket", Socket)
    assert run_module(host_facts)["ansible_facts"]["plainkube"]["address"] == "192.0.2.7"


def test_a_host_without_default_route_has_no_address(run_module, monkeypatch):
    def unreachable(self, where):
        raise OSError("Network is unreachable")

    class Socket(host_facts.socket.socket):
        connect = unreachable

    monkeypatch.setattr(host_facts.socket, "socket", Socket)
    assert run_module(host_facts)["ansible_facts"]["plainkube"]["address"] == ""


def test_an_old_nft_means_no_nftables_mode(run_module, monkeypatch):
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda self, name, **dummy: f"/usr/sbin/{name}")
    monkeypatch.setattr(AnsibleModule, "run_command", lambda self, command: (0, "nftables v0.9.8 (E.D.S.)\n", ""))
    assert run_module(host_facts)["ansible_facts"]["plainkube"]["nftables"] is False
