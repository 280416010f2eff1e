# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Environment variables of a service that only root may read, in a file that the unit refers to with EnvironmentFile=.

Any user can read the Environment= of a unit (`systemctl show`), but only the file name of EnvironmentFile=. The file is also
not an input of the service's stamp, which any user can read too: a password could be guessed from its digest. A change of the content
increases the stamp's generation, which causes a restart.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files, _places

DIRECTORY = _places.CONFIGURATION
_LINE = re.compile(r'^(\w+)="((?:[^"\\]|\\.)*)"$', re.MULTILINE)


def path(service: str) -> str:
    """The path of a service's variables."""
    return f"{DIRECTORY}/plainkube-{service}.env"


def render(service: str, values: t.Mapping[str, str]) -> str:
    """The file's text, in the format of systemd.exec(5)."""
    quoted = {name: re.sub(r'(["\\])', r"\\\1", str(value)) for name, value in values.items()}
    lines = [f'{name}="{value}"\n' for name, value in sorted(quoted.items())]
    return f"# Written by plainkube.cluster for {service}.service.\n{''.join(lines)}"


def parse(text: str) -> dict[str, str]:
    """The variables in a text written by `render`."""
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
    """The obsolete file from an earlier run."""
    return [path(service)] if not values and os.path.lexists(path(service)) else []


def differs(service: str, values: t.Mapping[str, str]) -> list[str]:
    """The file, if its content must change."""
    return [one["path"] for one in wanted(service, values) if _files.read(one["path"]) != one["content"]]
