# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Programs are in files that ruff, mypy and shellcheck read, and a unit starts only programs of its own component."""

from __future__ import annotations

import os
import pathlib
import re

import pytest
import yaml

ROLES = pathlib.Path(__file__).parents[3] / "roles"
PLACES = ("templates/*", "vars/**/*.yml", "defaults/*.yml", "tasks/*.yml", "handlers/*.yml")
# The beginning of a program: its first line, what follows a shell's -c, awk, or a statement of Python.
SHELL = r"\b(?:ba)?sh\b['\",\s-]*-\w*c\b.*\n?.*"
PROGRAM = re.compile(rf"#!|{SHELL}|\bawk\b|^(?:import|from|def) \w", re.MULTILINE)
FILES = [path for path in sorted(ROLES.glob("*/files/*")) if path.read_bytes().startswith(b"#!")]
UNITS = sorted(ROLES.glob("*/templates/*.service.j2"))


def name(path):
    return str(path.relative_to(ROLES))


def programs(text):
    """Where a text has programs, but for those that it gets from a role's files."""
    return [found[0] for found in PROGRAM.finditer(text) if "lookup('plainkube.cluster.file'" not in found[0]]


@pytest.mark.parametrize("path", [path for place in PLACES for path in sorted(ROLES.glob(f"*/{place}"))], ids=name)
def test_programs_are_in_files_of_their_own(path):
    assert programs(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "content: '#!/usr/bin/python3'",
        "#!/bin/bash -eu\n",
        "ExecStop=/bin/bash -c 'kill $MAINPID; \\\n",
        "argv:\n  - sh\n  - -ec\n  - |\n    true\n",
        "argv: ['sh', '-c', 'true']",
        "awk '{print}'",
        "import os\n",
    ],
)
def test_a_program_is_recognized(text):
    assert programs(text)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_linters_find_it(path):
    """shellcheck by its first line, ruff and mypy by its name."""
    text = path.read_text(encoding="utf-8")
    assert path.suffix == (".py" if "python" in text.splitlines()[0] else ".sh")
    assert os.access(path, os.X_OK)
    assert "{{" not in text


@pytest.mark.parametrize("unit", UNITS, ids=name)
def test_a_unit_starts_programs_of_its_component(unit):
    """Then a change of the program restarts the service, and reset.yml removes it."""
    role = unit.parents[1]
    started = re.findall(r"^Exec\w+=[-+!:@]*(/etc/\S+|\{\{ \w+ \}\}$)", unit.read_text(encoding="utf-8"), re.MULTILINE)
    sources = [path for place in ("vars/main.yml", "tasks/*.yml") for path in role.glob(place)]
    text = str([yaml.safe_load(path.read_text(encoding="utf-8")) for path in sources])
    files = re.findall(r"'path': '([^']+)'", text)
    assert {*started} <= {*files}
    for path in started:
        assert f"'path': '{path}', 'content': \"{{{{ lookup('plainkube.cluster.file', '{role.name}/" in text
