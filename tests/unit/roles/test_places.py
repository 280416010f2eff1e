# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Paths, names and ports on hosts that both roles and modules use are written once for each, and both are the same.

A path that only one of them uses, such as that of a component's file, is not covered."""

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
CATALOGUE = yaml.safe_load(ROLES_PLACES.with_name("components.yml").read_text(encoding="utf-8"))["__cluster_catalogue"]
MODULES = {name: value for name, value in vars(_places).items() if name.isupper()}
# Of the modules only: in the roles, each path below these directories is a whole one.
DIRECTORIES = ("UNITS", "SYSUSERS", "CONFIGURATION")
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


def constants(path):
    """The texts and numbers in a Python file, and the constant parts of its f-strings."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, int)):
            yield node.value


def in_roles(place):
    """The lines of the roles' files with a place, except for places.yml. A slash before a path ends the scheme of a URL."""
    before = r"[\w.-]" if str(place).startswith("/") else r"[\w./-]"
    word = re.compile(rf"(?<!{before}){re.escape(str(place))}(?![\w.-])")
    return [
        f"{path.relative_to(ROOT)}: {line}"
        for path in ROLE_FILES
        for line in path.read_text(encoding="utf-8").splitlines()
        if word.search(line) and not re.match(r"\s*(#|- name:|\"\"\")", line)
    ]


def test_roles_and_modules_agree():
    places = {name.removeprefix("__cluster_").upper(): value for name, value in ROLES.items()}
    places["ETCD_CLIENT_PORT"] = CATALOGUE["etcd"]["ports"]["client"]
    assert {**places, **{name: MODULES[name] for name in DIRECTORIES}} == MODULES


@pytest.mark.parametrize("place", sorted(MODULES.values(), key=str))
def test_no_other_file_of_the_modules_repeats_a_place(place):
    repeated = [
        f"{path.relative_to(ROOT)}: {value}"
        for path in MODULE_FILES
        for value in constants(path)
        if value == place
        or str(value).startswith(f"{place}/")
        or (isinstance(place, int) and f":{place}" in str(value))
    ]
    assert repeated == []


@pytest.mark.parametrize("place", sorted(ROLES.values(), key=str))
def test_no_other_file_of_the_roles_repeats_a_place(place):
    assert in_roles(place) == []


def test_only_the_catalogue_has_the_port_of_etcds_clients():
    (line,) = in_roles(_places.ETCD_CLIENT_PORT)
    assert line.startswith("roles/cluster/vars/main/components.yml: ")


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
    texts = [file.read_text(encoding="utf-8").replace('"', "") for file in COMPONENT_FILES]
    text = re.sub(r"\{\{ (\w+) \}\}", lambda found: str(ROLES.get(found[1], found[0])), "\n".join(texts))
    paths = {*re.findall(r"^\s+- path: (/\S+)$", text, re.MULTILINE)}
    assert {_places.KUBELET_YAML, _places.CNI_PROGRAM} <= paths
    unit = _stamp.append("[Service]\n", sorted(paths), _stamp.Stamp("a" * 64, "1"))
    assert len(paths) > 10
    assert paths - _reset.configuration([unit]) == STAY
