# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""Stops and starts Docker Engine around a change of its bridge."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _bridge, _docker
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _systemd

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SERVICE = "docker.service"


class Failure(Exception):
    """A failure while Docker was being restarted; the text is a sentence."""


def output(module: AnsibleModule, *command: str) -> str:
    """The output of a command; empty if it fails or is not installed."""
    try:
        return _command.run(module, command, handle_exceptions=False)[1]
    except OSError:
        return ""


def systemctl(module: AnsibleModule, *arguments: str) -> None:
    command = ["systemctl", *arguments]
    code, out, err = _command.run(module, command)
    if code != 0:
        raise Failure(f"`{' '.join(command)}` failed: {(err or out).strip()}")


def delete_bridge(module: AnsibleModule) -> None:
    """Remove docker0, so that Docker recreates it at start."""
    if os.path.exists(_bridge.INTERFACE):
        code, dummy, err = _command.run(module, ["ip", "link", "delete", _bridge.NAME])
        if code != 0:
            raise Failure(f"`ip link delete {_bridge.NAME}` failed: {err.strip()}")


def stop(module: AnsibleModule, rebuild: bool) -> None:
    """Stop Docker and the socket that would start it, and remove the remains of the old bridge."""
    systemctl(module, "stop", "docker.socket", SERVICE)
    rules = output(module, "iptables", "-w", "-t", "nat", "-S", "POSTROUTING")
    for rule in _bridge.docker_masquerades(rules):
        output(module, "iptables", "-w", "-t", "nat", "-D", *rule.split()[1:])
    if rebuild:
        delete_bridge(module)


def start(module: AnsibleModule, wait: int) -> None:
    """Start Docker and wait until it has started or failed; systemd itself may wait forever."""
    output(module, "systemctl", "reset-failed", SERVICE, "docker.socket", "containerd.service")
    systemctl(module, "start", "--no-block", SERVICE)

    def ended(state: dict[str, str]) -> bool:
        return state.get("ActiveState") in ("active", "failed") or "auto-restart" in state.get("SubState", "")

    state = poll(lambda: _systemd.show(module, SERVICE), ended, wait)
    if state.get("ActiveState") != "active":
        late = (
            ""
            if ended(state)
            else f" within {wait} s, and its state is {state.get('ActiveState')}/{state.get('SubState')}"
        )
        raise Failure(f"Docker did not start{late}: {_docker.failure(_systemd.journal(module, SERVICE))}")
