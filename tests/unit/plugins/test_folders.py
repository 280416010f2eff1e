# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Folders of module_utils and plugin_utils import each other in one direction only."""

from __future__ import annotations

import ast
import graphlib
import pathlib

import pytest

PLUGINS = pathlib.Path(__file__).parents[3] / "plugins"
PREFIX = "ansible_collections.plainkube.cluster.plugins."


def imported(path):
    """The modules of this collection that a file imports from, by their names below plugins."""
    here = path.relative_to(PLUGINS).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield ".".join([*here[: -node.level], node.module or ""])
        elif isinstance(node, ast.ImportFrom) and node.module.startswith(PREFIX):
            yield node.module.removeprefix(PREFIX)


def folders(kind):
    """Each folder, and those that it imports from."""
    found = {}
    for path in (PLUGINS / kind).glob("*/*.py"):
        names = {tuple(name.split(".")[:2]) for name in imported(path)}
        found.setdefault((kind, path.parent.name), set()).update(names - {(kind, path.parent.name)})
    return found


@pytest.mark.parametrize("kind", ["module_utils", "plugin_utils"])
def test_there_is_no_cycle(kind):
    assert len([*graphlib.TopologicalSorter(folders(kind)).static_order()]) > 5


def test_hosts_get_nothing_that_is_the_control_nodes():
    assert {kind for names in folders("module_utils").values() for kind, *_folder in names} == {"module_utils"}


@pytest.mark.parametrize("kind", ["module_utils", "plugin_utils"])
def test_every_file_is_in_a_folder(kind):
    assert [path.name for path in (PLUGINS / kind).glob("*.py")] == []
    assert all((path / "__init__.py").read_text() == "" for path in (PLUGINS / kind).iterdir() if "__" not in path.name)
