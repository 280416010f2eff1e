# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A role's variables do not depend on the play or on the user's ansible.cfg."""

from __future__ import annotations

import pathlib
import re

import pytest
import yaml
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles

TOP = pathlib.Path(__file__).parents[3]
CLUSTER = "plainkube.cluster.cluster"
IMPORTS = ("ansible.builtin.import_role", "ansible.builtin.include_role")
ROLES = sorted(path.name for path in (TOP / "roles").iterdir() if path.name != "cluster")
PLAYBOOKS = sorted(path.stem for path in (TOP / "playbooks").glob("*.yml"))


def load(path):
    return yaml.safe_load((TOP / path).read_text(encoding="utf-8"))


def imports(tasks):
    """The options of each import of a role, in order, those in blocks too."""
    found = []
    for task in tasks:
        found += [{**task[key], "how": key.rpartition(".")[2]} for key in IMPORTS if key in task]
        found += imports(task.get("block", []))
    return found


def plays():
    """(file, play) of the playbooks, imported ones left out."""
    return [(name, play) for name in PLAYBOOKS for play in load(f"playbooks/{name}.yml") if "hosts" in play]


def test_no_role_needs_variables_that_another_one_publishes():
    """The user's ansible.cfg may have private_role_vars. A role has those of its dependency, and reads others by lookup."""
    tasks = {path: load(path.relative_to(TOP)) or [] for path in sorted(TOP.glob("roles/*/tasks/*.yml"))}
    found = [(str(path), one) for path, some in tasks.items() for one in imports(some)]
    found += [(name, one) for name, play in plays() for one in imports(play.get("tasks", []))]
    assert len(found) > 30
    assert [where for where, one in found if "public" in one or "rolespec_validate" in one] == []


def _owner(name):
    """The role that a variable belongs to, by its prefix."""
    return max(
        (role for role in (*ROLES, "cluster") if re.match(rf"(__)?{role}_", name)), key=len, default="certificates"
    )


@pytest.mark.parametrize(
    "path", sorted(TOP.glob("roles/*/[dv]*s/**/*.yml")), ids=lambda path: str(path.relative_to(TOP))
)
def test_variables_refer_to_those_of_their_role_and_of_role_cluster(path):
    role = path.relative_to(TOP / "roles").parts[0]
    # Of another template language.
    text = re.sub(r"'{{[^']*}}'", "''", path.read_text(encoding="utf-8"))
    expressions = " ".join(re.findall(r"{[{%].*?[}%]}", text, flags=re.DOTALL))
    # Text in quotes is a value, or what a lookup takes.
    expressions = re.sub(r"'[^'\n]*'", "''", expressions)
    names = {name for name in re.findall(r"\b_{0,2}[a-z]\w*", expressions) if name in _roles.variables()}
    assert {name for name in names if _owner(name) not in (role, "cluster")} == set()


def test_a_play_names_its_strategy_so_that_the_users_is_not_taken():
    assert len(plays()) > 20
    strategies = {play["name"]: play.get("strategy") for dummy, play in plays()}
    assert {name for name, strategy in strategies.items() if strategy != "ansible.builtin.linear"} == {
        "Run control planes and nodes in parallel"
    }
    assert strategies["Run control planes and nodes in parallel"] == "ansible.builtin.free"


def test_every_playbook_begins_with_hosts_that_refuse_half_a_run():
    for name in PLAYBOOKS:
        first = load(f"playbooks/{name}.yml")[0]
        if name == "rotate":
            continue  # imported by others, which begin so
        assert (
            first.get("ansible.builtin.import_playbook") == "groups.yml"
            or "plainkube.cluster.whole_run" in first["hosts"]
        )


@pytest.mark.parametrize("role", ROLES)
def test_a_role_depends_on_role_cluster_only(role):
    assert load(f"roles/{role}/meta/main.yml")["dependencies"] == [CLUSTER]


def test_there_is_something_to_look_at():
    assert len(ROLES) == 16
    assert sum(len(imports(play.get("tasks", []))) for play in load("playbooks/site.yml")) > 20
