# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Environment variables of a service that nobody but root may read, in a file that its unit names by EnvironmentFile=.

Anybody may ask systemd for the Environment= of a unit (`systemctl show`), and of EnvironmentFile= only for the name. The file is
no input of the service's stamp either, which anybody may read too: a password could be guessed by its digest. Another content makes
another generation of the stamp, and so a restart.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files

DIRECTORY = "/etc/kubernetes"
_LINE = re.compile(r'^(\w+)="((?:[^"\\]|\\.)*)"$', re.MULTILINE)


def path(service: str) -> str:
    """Where the variables of a service are."""
    return f"{DIRECTORY}/plainkube-{service}.env"


def render(service: str, values: t.Mapping[str, str]) -> str:
    """The file's text, as systemd reads it (systemd.exec(5))."""
    quoted = {name: re.sub(r'(["\\])', r"\\\1", str(value)) for name, value in values.items()}
    lines = [f'{name}="{value}"\n' for name, value in sorted(quoted.items())]
    return f"# Written by plainkube.cluster for {service}.service.\n{''.join(lines)}"


def parse(text: str) -> dict[str, str]:
    """The variables in a text that render made."""
    return {name: re.sub(r"\\(.)", r"\1", value) for name, value in _LINE.findall(text)}


def wanted(service: str, values: t.Mapping[str, str]) -> list[dict[str, t.Any]]:
    """The desired file; none without variables."""
    if not values:
        return []
    content = render(service, values)
    return [
        {"path": path(service), "content": content, "owner": "root", "group": "root", "mode": "0600", "secret": True}
    ]


def left_over(service: str, values: t.Mapping[str, str]) -> list[str]:
    """The obsolete file of an earlier run."""
    return [path(service)] if not values and os.path.lexists(path(service)) else []


def differs(service: str, values: t.Mapping[str, str]) -> list[str]:
    """The file, where it has to be written with another content."""
    return [one["path"] for one in wanted(service, values) if _files.read(one["path"]) != one["content"]]
