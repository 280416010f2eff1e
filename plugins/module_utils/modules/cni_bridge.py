# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module cni_bridge."""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _kernel
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command, _places
from ansible_collections.plainkube.cluster.plugins.module_utils.host._places import CNI_PATH, CNI_SERVICE
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _systemd

SPEC: dict[str, t.Any] = {
    "wait": {"type": "int", "default": 60},
}


def differences(module: AnsibleModule) -> list[str]:
    """The differences from flannel's subnet, as text."""
    try:
        found = _kernel.cni_faults(module)
    except _command.Failed as error:
        module.fail_json(msg=str(error))
    if not os.path.exists(_places.CNI_PROGRAM):
        return found
    watched = _systemd.show(module, CNI_PATH).get("ActiveState") == "active"
    return [*found, *([] if watched else [f"{CNI_PATH} is not active, so a new subnet would be missed"])]


def repair(module: AnsibleModule) -> None:
    """Let the service repair it, and check the result. Pods with a wrong address disappear once the kubelet notices that they ended."""

    def attempt() -> list[str]:
        _systemd.systemctl(module, "start", CNI_PATH, CNI_SERVICE)
        return differences(module)

    left = poll(attempt, lambda left: not left, module.params["wait"], interval=0.5)
    if left:
        module.fail_json(
            msg=f"The pod network does not match flannel's subnet after {module.params['wait']} s: {left[0]}; "
            f"read `journalctl --unit {CNI_SERVICE}`."
        )


def run(module: AnsibleModule) -> dict[str, t.Any]:
    found = differences(module)
    if found and not module.check_mode:
        repair(module)
    actions = [Action("apply", line) for line in found]
    return {**_actions.result(actions), "diff": {"prepared": "".join(f"{line}\n" for line in found)}}


def main() -> None:
    _run.main(SPEC, run)
