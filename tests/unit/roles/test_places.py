# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Paths on hosts are written once for the roles and once for the modules, and both are the same."""

from __future__ import annotations

import ast
import pathlib
import re

import pytest
import yaml
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places
from ansible_collections.plainkube.cluster.plugins.module_utils.removal import _reset
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _stamp

ROOT = pathlib.Path(__file__).parents[3]
ROLES_PLACES = ROOT / "roles" / "cluster" / "vars" / "main" / "places.yml"
ROLES = yaml.safe_load(ROLES_PLACES.read_text(encoding="utf-8"))
MODULES = {name: value for name, value in vars(_places).items() if name.isupper()}
# Without plugins/modules: a module's documentation repeats the defaults of its options.
MODULE_FILES = [
    path
    for folder in ("action", "filter", "lookup", "module_utils", "plugin_utils")
    for path in sorted((ROOT / "plugins" / folder).rglob("*.py"))
    if path.name != "_places.py"
]
ROLE_FILES = [
    path
    for folder in ("defaults", "files", "handlers", "tasks", "templates", "vars")
    for path in sorted((ROOT / "roles").glob(f"*/{folder}/**/*"))
    if path.is_file() and path != ROLES_PLACES
]
COMPONENT_FILES = [path for path in ROLE_FILES if path.suffix == ".yml" and path.parts[-2] in ("tasks", "vars")]
# Files of components that stay after reset.yml: the lock of iptables belongs to every program that uses it, until the next boot.
STAY = {"/run/xtables.lock"}


def texts(path):
    """The text constants of a Python file, and the constant parts of its f-strings."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_roles_and_modules_agree():
    assert {name.removeprefix("__cluster_").upper(): value for name, value in ROLES.items()}.items() <= MODULES.items()


@pytest.mark.parametrize("place", sorted(MODULES.values()))
def test_no_other_file_of_the_modules_repeats_a_place(place):
    repeated = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in MODULE_FILES
        for text in texts(path)
        if text == place or text.startswith(f"{place}/")
    ]
    assert repeated == []


@pytest.mark.parametrize("place", sorted(ROLES.values()))
def test_no_other_file_of_the_roles_repeats_a_place(place):
    word = re.compile(rf"(?<![\w./-]){re.escape(place)}(?![\w.-])")
    repeated = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in ROLE_FILES
        for line in path.read_text(encoding="utf-8").splitlines()
        if word.search(line) and not re.match(r"\s*(#|- name:|\"\"\")", line)
    ]
    assert repeated == []


def components(value):
    """Whatever in a role's variables has `inputs`."""
    if isinstance(value, dict) and "inputs" in value:
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from components(one)


def test_what_a_component_only_reads_is_not_among_the_files_that_reset_removes():
    """The trailer of a unit does not tell files that the collection wrote from others; `files` of a component are the former, `inputs` the latter."""
    found = [one for file in COMPONENT_FILES for one in components(yaml.safe_load(file.read_text(encoding="utf-8")))]
    assert len(found) > 5
    assert [one["name"] for one in found if re.search(r"(?<!\w)/etc/", str(one["inputs"]))] == []


def test_reset_removes_every_file_of_a_component():
    """It finds them in the trailers of units, so there is no list to extend."""
    paths = {
        path
        for file in COMPONENT_FILES
        for path in re.findall(r"^\s+- path: (/\S+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    unit = _stamp.append("[Service]\n", sorted(paths), _stamp.Stamp("a" * 64, "1"))
    assert len(paths) > 10
    assert paths - _reset.configuration([unit]) == STAY
