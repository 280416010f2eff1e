# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A module's file contains its documentation. Its code is in module_utils/modules, or, if it runs on the control node, in its action plugin."""

from __future__ import annotations

import pathlib

import pytest

PLUGINS = pathlib.Path(__file__).parents[4] / "plugins"
CODE = {path.stem for path in (PLUGINS / "module_utils/modules").glob("[!_]*.py")}
MODULES = {path.stem: path.read_text(encoding="utf-8") for path in (PLUGINS / "modules").glob("*.py")}
CALL = """
from ansible_collections.plainkube.cluster.plugins.module_utils.modules.{} import main

if __name__ == "__main__":
    main()
"""
BEGIN, RETURN, END = "from __future__ import annotations\n\nDOCUMENTATION =", '\n\nRETURN = r"""\n', '\n"""\n'


def test_all_code_is_a_modules():
    assert CODE
    assert set(MODULES) >= CODE


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_modules_file_has_its_documentation_and_calls_its_code(name):
    before, documentation = MODULES[name].split(BEGIN)
    assert [line for line in before.splitlines() if not line.startswith("#")] == []
    code = documentation.split(RETURN)[1].split(END)[1] if RETURN in documentation else documentation.split(END)[-1]
    assert code == (CALL.format(name) if name in CODE else "")


@pytest.mark.parametrize("name", sorted(set(MODULES) - CODE))
def test_a_module_without_code_for_hosts_runs_nothing_on_them(name):
    action = (PLUGINS / "action" / f"{name}.py").read_text(encoding="utf-8")
    assert "_requires_connection = False" in action
    assert "_execute_module" not in action
