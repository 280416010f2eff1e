# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Stops and starts Docker Engine around a change of its bridge."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command, _places
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _bridge, _docker
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime._docker_settings import SERVICE
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _systemd

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


def stop(module: AnsibleModule, rebuild: bool) -> None:
    """Stop Docker and the socket that would start it, and remove the remains of the old bridge."""
    _command.check(module, "systemctl", "stop", "docker.socket", SERVICE)
    rules = _command.output(module, "iptables", "-w", "-t", "nat", "-S", "POSTROUTING")
    for rule in _bridge.docker_masquerades(rules):
        _command.output(module, "iptables", "-w", "-t", "nat", "-D", *rule.split()[1:])
    # Docker recreates it at start.
    if rebuild and os.path.exists(_bridge.INTERFACE):
        _command.check(module, "ip", "link", "delete", _places.DOCKER_BRIDGE)


def start(module: AnsibleModule, wait: int) -> None:
    """Start Docker and wait until it has started or failed; systemd itself may wait forever."""
    _command.output(module, "systemctl", "reset-failed", SERVICE, "docker.socket", "containerd.service")
    _command.check(module, "systemctl", "start", "--no-block", SERVICE)

    def ended(state: dict[str, str]) -> bool:
        return state.get("ActiveState") in ("active", "failed") or "auto-restart" in state.get("SubState", "")

    state = poll(lambda: _systemd.show(module, SERVICE), ended, wait)
    if state.get("ActiveState") != "active":
        late = (
            ""
            if ended(state)
            else f" within {wait} s, and its state is {state.get('ActiveState')}/{state.get('SubState')}"
        )
        raise _command.Failed(f"Docker did not start{late}: {_docker.failure(_systemd.journal(module, SERVICE))}")
