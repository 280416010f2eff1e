# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import re
import urllib.parse

import pytest

from lab import isolation, machine, proxy
from lab.base import LabError

LOG = """\
CONNECT   Nov 29 22:36:03.506 [27151]: Connect (file descriptor 4): 172.30.12.21
CONNECT   Nov 29 22:36:03.506 [27151]: Connect (file descriptor 6): 172.30.12.22
CONNECT   Nov 29 22:36:03.506 [27151]: Request (file descriptor 4): GET http://172.30.12.1:8000/images/SHA256SUMS HTTP/1.1
CONNECT   Nov 29 22:36:03.510 [27151]: Established connection to host "172.30.12.1" using file descriptor 5.
CONNECT   Nov 29 22:36:03.652 [27151]: Request (file descriptor 6): CONNECT 172.30.12.1:5443 HTTP/1.1
"""


def test_what_was_asked():
    found = proxy.requests(LOG)
    assert found == [
        ("172.30.12.21", "GET", "http://172.30.12.1:8000/images/SHA256SUMS"),
        ("172.30.12.22", "CONNECT", "172.30.12.1:5443"),
    ]
    assert [one.host for one in found] == ["172.30.12.1", "172.30.12.1"]


def test_the_password_is_one_that_has_to_be_decoded():
    url = urllib.parse.urlsplit(proxy.url("172.30.0.1"))
    assert url.password == proxy.ENCODED != proxy.PASSWORD
    assert urllib.parse.unquote(url.password) == proxy.PASSWORD
    # All that tinyproxy accepts.
    assert re.fullmatch(r"[-A-Za-z0-9._]+", proxy.PASSWORD)


def test_it_leads_to_the_lab_and_to_the_archive_only():
    lines = proxy.allowed("172.30.0.1", "http://archive.example.com/debian").splitlines()
    assert lines == [r"^172\.30\.0\.1$", r"^archive\.example\.com$"]
    text = proxy.configuration("172.30.0.1", "172.30.0.0/24", "/filter", [443, 5443])
    for line in ("Listen 172.30.0.1", "FilterDefaultDeny Yes", 'Filter "/filter"', "ConnectPort 5443"):
        assert f"{line}\n" in text
    assert f"BasicAuth {proxy.USER} {proxy.PASSWORD}\n" in text


def test_a_machine_behind_a_proxy_is_refused(monkeypatch):
    monkeypatch.setattr(machine, "apt_settings", lambda: ['Acquire::http::Proxy "http://proxy:3128";'])
    with pytest.raises(LabError, match="goes through a proxy"):
        proxy.ensure("demo", "172.30.0.1", "172.30.0.0/24", [])


def test_rules_are_found_again_and_those_of_others_are_not(monkeypatch):
    listed = [
        ["INPUT", "-i", "pk-demo", "-m", "comment", "--comment", "plainkube lab demo", "-j", "REJECT"],
        ["INPUT", "-i", "pk-demo2", "-m", "comment", "--comment", "plainkube lab demo2", "-j", "REJECT"],
        ["INPUT", "-i", "eth0", "-j", "ACCEPT"],
    ]
    assert isolation.ours("demo", listed) == listed[:1]
    for rule in isolation.rules("demo"):
        assert isolation.ours("demo", [rule]) == [rule]


def test_a_lab_is_closed_once_and_opened_again(monkeypatch):
    table: dict[str, list[str]] = {"DOCKER-USER": ["-A DOCKER-USER -j RETURN"], "INPUT": []}

    def run(*command):
        action, chain, *rule = command[2:]
        text = "-A " + " ".join([chain, *(f'"{word}"' if " " in word else word for word in rule)])
        if action == "-I":
            table[chain].insert(0, text)
        elif action == "-D":
            table[chain].remove(text)
        return "\n".join([f"-P {chain} ACCEPT", *table[chain]])

    monkeypatch.setattr(isolation, "run", run)
    monkeypatch.setattr(machine, "install", lambda *packages: None)
    isolation.close("demo")
    isolation.close("demo")
    assert len(table["INPUT"]) == 2
    assert "--dport 3128" in table["INPUT"][0]
    assert "REJECT" in table["INPUT"][1]
    assert len(table["DOCKER-USER"]) == 2
    isolation.open_again("demo")
    assert table == {"DOCKER-USER": ["-A DOCKER-USER -j RETURN"], "INPUT": []}
