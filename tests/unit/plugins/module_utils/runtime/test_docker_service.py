# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _bridge, _docker_service


class Module:
    """Responds to commands by their first words; an unknown one succeeds silently."""

    def __init__(self, answers):
        self.answers, self.commands = answers, []

    def run_command(self, command, **dummy):
        line = " ".join(command)
        self.commands.append(line)
        return next((answer for words, answer in self.answers.items() if line.startswith(words)), (0, "", ""))


RULES = "-P POSTROUTING ACCEPT\n-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\n-A POSTROUTING -j FLANNEL-POSTRTG\n"


def test_stop_removes_the_remains_of_the_bridge(tmp_path, monkeypatch):
    monkeypatch.setattr(_bridge, "INTERFACE", str(tmp_path))
    module = Module({"iptables -w -t nat -S": (0, RULES, "")})
    _docker_service.stop(module, rebuild=True)
    assert module.commands == [
        "systemctl stop docker.socket docker.service",
        "iptables -w -t nat -S POSTROUTING",
        "iptables -w -t nat -D POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
        "ip link delete docker0",
    ]


def test_a_bridge_that_stays_is_not_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(_bridge, "INTERFACE", str(tmp_path))
    module = Module({})
    _docker_service.stop(module, rebuild=False)
    assert "ip link delete docker0" not in module.commands


def test_start_reports_why_docker_failed():
    module = Module(
        {
            "systemctl show": (0, "ActiveState=failed\nSubState=failed\n", ""),
            "journalctl": (0, "failed to start daemon: why\n", ""),
        }
    )
    with pytest.raises(_command.Failed, match="Docker did not start: failed to start daemon: why"):
        _docker_service.start(module, 1)


def test_start_reports_how_long_it_waited():
    module = Module({"systemctl show": (0, "ActiveState=activating\nSubState=start-pre\n", "")})
    message = "Docker did not start within 0 s, and its state is activating/start-pre: "
    with pytest.raises(_command.Failed, match=message):
        _docker_service.start(module, 0)
