# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The contract of `actions` (module_utils/_actions.py), of every module. Fixture run_module checks it in each real run of a module."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import pathlib
import sys

import pytest
import yaml
from ansible_collections.plainkube.cluster.plugins.module_utils import _actions
from ansible_collections.plainkube.cluster.plugins.modules import survey

PACKAGE = survey.__name__.rpartition(".")[0]
NAMES = sorted(path.stem for path in pathlib.Path(survey.__file__).parent.glob("*.py") if path.stem != "__init__")
# They look, wait or print.
NEVER_CHANGE = {
    "certificate_summary",
    "control_plane_gate",
    "encryption_usage",
    "host_facts",
    "kube_checkstatus",
    # What it writes again has no other content.
    "kube_rewrite",
    "plan_summary",
    "role_variables",
    "status_summary",
    "survey",
}


def load(name):
    return importlib.import_module(f"{PACKAGE}.{name}")


def sources(name):
    """The syntax of a module: of its own file, and of that with its code."""
    module = load(name)
    main = getattr(module, "main", None)
    files = {module.__name__, main.__module__ if main else module.__name__}
    return [ast.parse(inspect.getsource(sys.modules[file])) for file in sorted(files)]


def nodes(name, kind):
    return [node for tree in sources(name) for node in ast.walk(tree) if isinstance(node, kind)]


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
    found = yaml.safe_load(load(name).RETURN) or {}
    for fragment in found.pop("extends_documentation_fragment", []):
        path = pathlib.Path(survey.__file__).parents[1] / "doc_fragments" / f"{fragment.rpartition('.')[2]}.py"
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


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NEVER_CHANGE])
def test_no_key_says_the_same_again(name):
    former = {
        "changes",
        "commands",
        "differences",
        "join",
        "objects",
        "paths",
        "pending",
        "reasons",
        "restart",
        "tables",
    }
    assert not former & returned(name).keys()
