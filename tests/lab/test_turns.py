# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import collections
import re
import subprocess
import sys

import pytest

from lab import turns
from lab.base import CHECKOUT, LabError
from tests import matrix

MOLECULE = CHECKOUT / "molecule"


@pytest.fixture(autouse=True)
def checkout(monkeypatch, tmp_path):
    """A checkout with one commit, without the variables that override it."""
    for name in ("TURN", "SEED", "CORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(turns, "CHECKOUT", tmp_path)
    for name in turns.SOURCES:
        (tmp_path / name).mkdir()
    (tmp_path / "plugins" / "a.py").write_text("1\n")
    return tmp_path


@pytest.fixture
def git(checkout):
    def run(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=checkout, check=True, capture_output=True)

    run("init")
    run("add", ".")
    run("commit", "--message=one")
    return run


def everything():
    return turns.seed(), turns.turn(), turns.choose("a", range(1000)), turns.exports()


def test_the_same_commit_has_the_same_turn(git, checkout):
    first = everything()
    assert everything() == first
    (checkout / "plugins" / "a.py").write_text("2\n")
    assert everything() == first
    assert "with changes that are not committed" in turns.summary()
    git("commit", "--all", "--message=two")
    assert turns.seed() != first[0]
    assert "not committed" not in turns.summary()


def test_without_git_the_files_count(checkout):
    first = everything()
    (checkout / "plugins" / "__pycache__").mkdir()
    (checkout / "plugins" / "__pycache__" / "a.pyc").write_text("x")
    assert everything() == first
    (checkout / "plugins" / "a.py").write_text("2\n")
    assert turns.seed() != first[0]
    assert "no git repository" in turns.summary()


def test_another_repository_around_it_says_nothing(git, checkout, monkeypatch):
    inner = checkout / "unpacked"
    inner.mkdir()
    monkeypatch.setattr(turns, "CHECKOUT", inner)
    assert "no git repository" in turns.summary()


def test_every_turn_comes(monkeypatch):
    found = collections.Counter()
    for number in range(1000):
        monkeypatch.setenv("SEED", str(number))
        found[turns.turn()] += 1
    assert set(found) == set(turns.TURNS)
    assert min(found.values()) > 500 / len(turns.TURNS)


def test_choices_of_one_seed_are_independent(monkeypatch):
    found = set()
    for number in range(300):
        monkeypatch.setenv("SEED", str(number))
        found.add((turns.choose("one", "ab"), turns.choose("two", "ab")))
    assert len(found) == 4


def test_what_is_said_repeats_it(git, monkeypatch):
    first, said = everything(), turns.summary()
    (settings,) = re.findall(r"`make test TURN=(\S+) SEED=(\d+)`", said)
    monkeypatch.setenv("TURN", settings[0])
    monkeypatch.setenv("SEED", settings[1])
    git("commit", "--allow-empty", "--message=two")
    assert everything() == first


@pytest.mark.parametrize(("name", "value"), [("TURN", "haa"), ("SEED", "x"), ("CORE", "2.19")])
def test_what_is_no_choice_is_refused(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(LabError, match=rf"{name} is '{value}': use "):
        matrix.cores()
    with pytest.raises(LabError, match="there is no turn 'haa' to mark a test with"):
        turns.runs("haa", "ha")


def test_make_test_stops_at_a_wrong_turn():
    done = subprocess.run(
        [sys.executable, "-m", "lab.turns", "--export"],
        cwd=CHECKOUT,
        env={"TURN": "haa"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("turns: TURN is 'haa': use one of default, ")


def test_sanity_takes_one_core_or_all(monkeypatch):
    found = set()
    for number in range(50):
        monkeypatch.setenv("SEED", str(number))
        (one,) = matrix.cores()
        found.add(one)
    assert found == set(matrix.CORES)
    monkeypatch.setenv("TURN", "all")
    assert matrix.cores() == [*matrix.CORES]
    monkeypatch.setenv("CORE", "2.21.5")
    assert matrix.cores() == ["2.21.5"]


def test_a_turn_is_all_of_its_marked_tests_or_none():
    assert turns.runs("ha", "ha")
    assert turns.runs("ha", "all")
    assert not turns.runs("ha", "growth")


def test_every_scenario_has_a_turn_and_every_mark_is_one_of_its_scenario():
    there = {path.parent.name for path in MOLECULE.glob("*/molecule.yml")}
    assert {*turns.scenarios(turns.ALL), *turns.APART} == there
    assert not {*turns.scenarios(turns.ALL)} & {*turns.APART}
    for path in MOLECULE.glob("*/*/test_*.py"):
        for name in re.findall(r"mark\.turn\(\"(\w+)\"\)", path.read_text(encoding="utf-8")):
            assert path.relative_to(MOLECULE).parts[0] in turns.scenarios(name), (path, name)


def test_nothing_in_the_tests_is_chosen_by_chance():
    """All choices come from turns.choose or from a generator with a seed."""
    chance = re.compile(r"SystemRandom|\brandom\.(?!Random\()\w+\(|\bshuf\b|\$\{?RANDOM")
    found = []
    for place in ("Makefile", ".ci", "benchmarks", "lab", "molecule", "tests"):
        path = CHECKOUT / place
        files = (
            [path] if path.is_file() else [one for one in path.rglob("*") if one.suffix in ("", ".py", ".sh", ".yml")]
        )
        for one in files:
            if one.is_file() and one.name != "test_turns.py":
                lines = one.read_text(encoding="utf-8").splitlines()
                found += [
                    f"{one}: {line.strip()}" for line in lines if chance.search(line) and "self.random." not in line
                ]
    assert found == []
