# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A unit's state according to systemd."""

from __future__ import annotations

import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command
from ansible_collections.plainkube.cluster.plugins.module_utils.services._units import (
    PROPERTIES,
    parse_show,
    parse_shows,
)

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


def systemctl(module: AnsibleModule, *arguments: str, check: bool = True) -> str:
    """Run systemctl; with `check`, a failure ends the module with the command and its output."""
    command = ["systemctl", *arguments]
    code, out, err = _command.run(module, command)
    if code != 0 and check:
        module.fail_json(msg=f"`{' '.join(command)}` failed with code {code}: {(err or out).strip()}")
    return out


def show(module: AnsibleModule, unit: str) -> dict[str, str]:
    """The state of one unit (see PROPERTIES); LoadState is not-found if it does not exist."""
    return parse_show(systemctl(module, "show", f"--property={','.join(PROPERTIES)}", unit))


def show_all(module: AnsibleModule, units: t.Sequence[str], *more: str) -> list[dict[str, str]]:
    """The state of several units with one call, in their order: PROPERTIES and more; times as @SECONDS."""
    properties = ",".join((*PROPERTIES, *more))
    out = systemctl(module, "show", "--timestamp=unix", f"--property={properties}", *units)
    return parse_shows(out)


def journal(module: AnsibleModule, unit: str, lines: int = 15) -> str:
    """The last lines of a unit's journal, for error messages."""
    dummy, out, _err = _command.run(
        module, ["journalctl", "--unit", unit, "--lines", str(lines), "--output", "cat", "--no-pager"]
    )
    return out.strip()
