# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Each role works in a separate play, after the prerequisites on its page, and changes nothing here."""

from __future__ import annotations

import pathlib

import pytest

from lab import runs
from lab.base import CHECKOUT

PLAYS = pathlib.Path(__file__).resolve().parent.parent / "roles_alone"
# cluster has no tasks; build is the only role of playbooks/build.yml, and may take minutes; reset removes the cluster; nodes with containerd are in
# scenario runtimes.
ELSEWHERE = {"build", "cluster", "containerd", "reset"}


def test_no_role_is_left_out():
    roles = {path.name for path in (CHECKOUT / "roles").iterdir()}
    assert {path.stem for path in PLAYS.glob("*.yml")} == roles - ELSEWHERE


@pytest.mark.parametrize("role", sorted(path.stem for path in PLAYS.glob("*.yml")))
def test_a_role_alone_changes_nothing(cluster, role):
    run = runs.playbook(str(PLAYS / role), cluster.inventory).demand()
    assert run.changed == 0, run.output
    assert f"plainkube.cluster.{role} :" in run.output


def test_the_survey_needs_no_role(cluster):
    assert runs.playbook(str(PLAYS.with_name("without_roles") / "survey"), cluster.inventory).demand().changed == 0


@pytest.mark.parametrize(
    ("role", "sentence"),
    [
        ("artifacts", "There are no facts about host n1: run role plainkube.cluster.preflight"),
        ("flannel", "The IPv4 address of host k1 is unknown: run role plainkube.cluster.preflight"),
        ("node", "There are no facts about host n1: run role plainkube.cluster.preflight"),
    ],
)
def test_a_role_says_what_it_lacks(cluster, tmp_path, role, sentence):
    """Without facts, and without an address in the inventory."""
    inventory = tmp_path / "inventory.ini"
    inventory.write_text("[control_plane]\nk1\n[node]\nn1\n", encoding="utf-8")
    play = tmp_path / "play.yml"
    play.write_text(
        f"- hosts: n1\n  gather_facts: false\n  connection: local\n  roles: [plainkube.cluster.{role}]\n",
        encoding="utf-8",
    )
    run = runs.playbook(str(play.with_suffix("")), inventory)
    assert run.code != 0
    assert run.changed == 0
    assert sentence in " ".join(run.output.split())
