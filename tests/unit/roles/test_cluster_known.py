# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Role cluster is known wherever another role's tasks run, and is loaded once a play of site.yml."""

from __future__ import annotations

import pathlib

import pytest
import yaml

TOP = pathlib.Path(__file__).parents[3]
CLUSTER = "plainkube.cluster.cluster"
IMPORTS = ("ansible.builtin.import_role", "ansible.builtin.include_role")
ROLES = sorted(path.name for path in (TOP / "roles").iterdir() if path.name != "cluster")
PLAYBOOKS = sorted(path.stem for path in (TOP / "playbooks").glob("*.yml"))


def load(path):
    return yaml.safe_load((TOP / path).read_text(encoding="utf-8"))


def imported(tasks):
    """(role, entry point), in order, those in blocks too."""
    found = []
    for task in tasks:
        found += [(task[key]["name"], task[key].get("tasks_from", "main")) for key in IMPORTS if key in task]
        found += imported(task.get("block", []))
    return found


def roles_of(play):
    listed = [(role, "main") for role in play.get("roles", [])]
    return imported(play.get("pre_tasks", [])) + listed + imported(play.get("tasks", []))


@pytest.mark.parametrize("role", ROLES)
def test_a_role_begins_with_it_and_depends_on_nothing(role):
    assert load(f"roles/{role}/meta/main.yml")["dependencies"] == []
    assert imported(load(f"roles/{role}/tasks/main.yml"))[0] == (CLUSTER, "main")


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_a_play_knows_it_before_it_takes_part_of_a_role(playbook):
    for play in load(f"playbooks/{playbook}.yml"):
        roles = roles_of(play)
        if any(entry != "main" for dummy, entry in roles):
            assert roles[0] == (CLUSTER, "main"), play["name"]


def test_site_knows_it_once_a_play():
    for play in load("playbooks/site.yml"):
        taken = [role for role in roles_of(play) if role[1] == "main"]
        assert taken in ([], [(CLUSTER, "main")]), play["name"]


def test_there_is_something_to_look_at():
    assert len(ROLES) == 17
    assert sum(len(roles_of(play)) for play in load("playbooks/site.yml")) > 30
