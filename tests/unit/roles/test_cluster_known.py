# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Role cluster is known wherever another role's tasks run, and is loaded once a play of site.yml, whatever the user's ansible.cfg says."""

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


def imports(tasks):
    """The options of each import of a role, in order, those in blocks too."""
    found = []
    for task in tasks:
        found += [{**task[key], "how": key.rpartition(".")[2]} for key in IMPORTS if key in task]
        found += imports(task.get("block", []))
    return found


def imports_of(play):
    # Under `roles`, a role could not say that its variables are public.
    assert not {"roles", "pre_tasks", "post_tasks"} & play.keys()
    return imports(play.get("tasks", []))


def imported(tasks):
    """(role, entry point)."""
    return [(one["name"], one.get("tasks_from", "main")) for one in imports(tasks)]


def roles_of(play):
    return [(one["name"], one.get("tasks_from", "main")) for one in imports_of(play)]


def plays():
    """(file, play) of the playbooks, imported ones left out."""
    return [(name, play) for name in PLAYBOOKS for play in load(f"playbooks/{name}.yml") if "hosts" in play]


def test_a_role_gives_its_variables_to_the_play_also_with_private_role_vars():
    tasks = {path: load(path.relative_to(TOP)) or [] for path in sorted(TOP.glob("roles/*/tasks/*.yml"))}
    found = [(str(path), one) for path, some in tasks.items() for one in imports(some)]
    found += [(name, one) for name, play in plays() for one in imports_of(play)]
    # What is included keeps its variables to itself, unless somebody needs them.
    wanted = [(where, one) for where, one in found if one["how"] != "include_role"]
    assert len(wanted) > 80
    assert [where for where, one in wanted if one.get("public") is not True] == []


def test_a_play_names_its_strategy_so_that_the_users_is_not_taken():
    assert len(plays()) > 20
    strategies = {play["name"]: play.get("strategy") for dummy, play in plays()}
    assert {name for name, strategy in strategies.items() if strategy != "ansible.builtin.linear"} == {
        "Run control planes and nodes, side by side"
    }
    assert strategies["Run control planes and nodes, side by side"] == "ansible.builtin.free"


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
