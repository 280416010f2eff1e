# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Every module keeps the contract of `actions` (module_utils/run/_actions.py). Fixture run_module also checks it in each run of a module."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pathlib

import pytest
import yaml
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions

PLUGINS = pathlib.Path(__file__).parents[4] / "plugins"
NAMES = sorted(path.stem for path in (PLUGINS / "modules").glob("*.py"))
# Only their action plugins have code.
NO_CODE = {"certificate_summary", "plan_summary", "role_variables", "status_summary"}
# They inspect, wait or print.
NEVER_CHANGE = {
    *NO_CODE,
    "control_plane_gate",
    "encryption_usage",
    "host_facts",
    "kube_checkstatus",
    # What it writes again has no other content.
    "kube_rewrite",
    "survey",
}


def nodes(name, kind):
    """The syntax of a module's code."""
    files = (PLUGINS / f"module_utils/modules/{name}.py", PLUGINS / f"plugin_utils/keys/_{name}.py")
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files if path.exists()]
    assert len(trees) == (name not in NO_CODE)
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, kind)]


def called(call):
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def may_change(name):
    """Whether the code has a `changed` that is not always false."""
    values = [keyword.value for call in nodes(name, ast.Call) for keyword in call.keywords if keyword.arg == "changed"]
    for mapping in nodes(name, ast.Dict):
        values += [
            value
            for key, value in zip(mapping.keys, mapping.values)
            if isinstance(key, ast.Constant) and key.value == "changed"
        ]
    results = [call for call in nodes(name, ast.Call) if ast.unparse(call.func) == "_actions.result"]
    return bool(results) or any(not (isinstance(one, ast.Constant) and one.value is False) for one in values)


def verbs(call):
    """The verbs that a call of Action may have."""
    first = call.args[0]
    return [one.value for one in ast.walk(first) if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def returned(name):
    """The documentation of what a module returns, with its fragments, as Ansible merges them."""
    module = importlib.import_module(f"ansible_collections.plainkube.cluster.plugins.modules.{name}")
    found = yaml.safe_load(module.RETURN) or {}
    for fragment in found.pop("extends_documentation_fragment", []):
        path = PLUGINS / "doc_fragments" / f"{fragment.rpartition('.')[2]}.py"
        # ansible-test lets modules import nothing but module_utils.
        spec = importlib.util.spec_from_file_location(path.stem, path)
        source = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(source)
        for key, value in yaml.safe_load(source.ModuleDocFragment.RETURN).items():
            found[key] = {**value, **found[key]}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_module_that_may_change_something_documents_its_actions(name):
    assert may_change(name) is (name not in NEVER_CHANGE)
    assert ("actions" in returned(name)) is may_change(name)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NEVER_CHANGE])
def test_actions_are_documented_alike(name):
    documented = returned(name)["actions"]
    other = returned("component")["actions"]
    assert documented["contains"] == other["contains"]
    assert documented["contains"]["verb"]["choices"] == [*_actions.VERBS]
    assert (documented["type"], documented["elements"], documented["returned"]) == ("list", "dict", "success")
    assert documented["description"][0].startswith("What was, or would be, done.")
    for one in documented["sample"]:
        assert one["verb"] in _actions.VERBS
        assert _actions.Action(**one).subject


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NEVER_CHANGE])
def test_verbs_are_of_the_closed_set(name):
    """Also those that no test's run of the module has."""
    found = [verb for call in nodes(name, ast.Call) if called(call) == "Action" for verb in verbs(call)]
    assert set(found) <= set(_actions.VERBS)
    helpers = {"starts", "written", "writes", "removals", "actions"}
    assert found or helpers & {called(call) for call in nodes(name, ast.Call)}
