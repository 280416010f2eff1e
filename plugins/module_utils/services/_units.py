# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""What `systemctl show` prints, parsed."""

from __future__ import annotations

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
