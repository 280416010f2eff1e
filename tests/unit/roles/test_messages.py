# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Messages and documentation name playbooks by the name that users have.

Users who installed the collection have no playbooks/site.yml, and run plainkube.cluster.site from any directory; in a checkout, ansible.cfg makes
the same name work. So each text that Ansible shows, and each command in the documentation, has that name. Comments in the code name files.
"""

from __future__ import annotations

import ast
import pathlib
import re

import pytest
import yaml

TOP = pathlib.Path(__file__).parents[3]
PLAYBOOKS = "|".join(sorted(path.stem for path in (TOP / "playbooks").glob("*.yml")))
NAMED = re.compile(rf"\b(?:playbooks/)?(?:{PLAYBOOKS})\.yml\b")
# In documentation, prose may call a playbook by its file. A command may not: a code span with arguments, or a line with ansible-playbook.
COMMAND = re.compile(rf"`(?:playbooks/)?(?:{PLAYBOOKS})\.yml [^`]*`|ansible-playbook .*{NAMED.pattern}")
# Not said to anybody: which file Ansible takes.
PATHS = ("ansible.builtin.import_playbook", "ansible.builtin.import_tasks", "ansible.builtin.include_tasks")

PYTHON = sorted(str(path.relative_to(TOP)) for path in (TOP / "plugins").rglob("*.py"))
YAML = sorted(str(path.relative_to(TOP)) for top in ("roles", "playbooks") for path in (TOP / top).rglob("*.yml"))
TEXTS = sorted(
    str(path.relative_to(TOP)) for glob in ("README.md", "docs/*.md", "inventory/*") for path in TOP.glob(glob)
)


def python_texts(source):
    """All strings of a program but the docstrings: messages, and what `ansible-doc` shows."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body[0] for node in ast.walk(tree) if isinstance(node, documented) and node.body]
    docstrings = {id(first.value) for first in bodies if isinstance(first, ast.Expr)}
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings)
    return [node.value for node in constants if isinstance(node.value, str)]


def yaml_texts(value):
    if isinstance(value, dict):
        return [text for key, part in value.items() if key not in PATHS for text in yaml_texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in yaml_texts(part)]
    return [value] if isinstance(value, str) else []


def wrong(texts):
    # A name alone is a path in the code.
    return [text for text in texts if NAMED.search(text) and not NAMED.fullmatch(text)]


@pytest.mark.parametrize("path", PYTHON)
def test_plugins_name_playbooks_that_users_have(path):
    assert wrong(python_texts((TOP / path).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", YAML)
def test_roles_and_playbooks_name_playbooks_that_users_have(path):
    assert wrong(yaml_texts(yaml.safe_load((TOP / path).read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("path", TEXTS)
def test_documentation_has_commands_that_users_have(path):
    assert COMMAND.findall((TOP / path).read_text(encoding="utf-8")) == []


def test_there_is_something_to_look_at():
    assert (len(PYTHON) > 90, len(YAML) > 100, len(TEXTS) > 5) == (True, True, True)
    source = 'def f():\n    """As site.yml does."""\n    # status.yml\n    return f"{name} is stopped; run playbooks/site.yml"\n'
    assert wrong(python_texts(source)) == [" is stopped; run playbooks/site.yml"]
    tasks = [{"ansible.builtin.import_playbook": "site.yml"}, {"block": [{"fail": {"msg": "run reset.yml"}}]}]
    assert wrong(yaml_texts(tasks)) == ["run reset.yml"]
    assert COMMAND.search("see `status.yml`, or run `site.yml --limit k1`")
    assert COMMAND.search("ansible-playbook -i hosts.ini playbooks/site.yml")
    assert not COMMAND.search("`site.yml` does; `ansible-playbook plainkube.cluster.site`")
