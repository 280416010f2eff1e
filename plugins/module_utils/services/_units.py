# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The state of units: what `systemctl show` prints, parsed, and a change of it in Ansible's diff. No I/O."""

from __future__ import annotations

import typing as t

# How the comment of a service's user ends in /etc/passwd. A user of this name with another comment is somebody else's.
USER_COMMENT = ", run by plainkube.cluster"

PROPERTIES = (
    "ActiveEnterTimestamp",
    "ActiveState",
    "DropInPaths",
    "FragmentPath",
    "InvocationID",
    "LoadState",
    "MainPID",
    "NRestarts",
    "NeedDaemonReload",
    "Result",
    "SubState",
    "UnitFileState",
)


def parse_show(text: str) -> dict[str, str]:
    """The `Key=value` lines of `systemctl show` as a dictionary."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key: value for key, dummy, value in pairs}


def parse_shows(text: str) -> list[dict[str, str]]:
    """The same for several units, which are separated by empty lines."""
    return [parse_show(block) for block in text.strip("\n").split("\n\n")]


def service_diff(
    service: str, state: t.Mapping[str, str], enable: bool, reasons: t.Sequence[str], more: t.Sequence[str] = ()
) -> list[dict[str, str]]:
    """A service's entry in Ansible's diff; `more` has lines about side effects of a restart."""
    after = [*(["enabled"] if enable else []), *(f"restarted: {reason}" for reason in reasons), *more]
    if not after:
        return []
    before = f"{state.get('ActiveState')}/{state.get('SubState')}\n"
    text = "".join(f"{line}\n" for line in after)
    return [{"before_header": service, "after_header": service, "before": before, "after": text}]
