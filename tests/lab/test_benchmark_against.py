# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pathlib
import subprocess
import types

import pytest

from benchmarks import against, report
from benchmarks.against import Took
from lab import runs
from lab.base import LabError

FOUND = {
    report.STATUS: {
        "here": [Took(2.0, 1.0), Took(2.2, 1.0), Took(9.0, 1.0)],
        "there": [Took(2.0, 1.0), Took(2.0, 1.0), Took(10.0, 0.5)],
    },
    report.AGAIN: {"here": [Took(8.0, 3.0), Took(7.0, 3.0)], "there": [Took(4.0, 3.0), Took(7.0, 2.0)]},
}


def test_a_ratio_is_of_two_runs_of_one_round():
    """In the third round, the machine was busy for both."""
    assert against.ratios(FOUND, "here", "there") == {report.STATUS: (1.0, 1.0), report.AGAIN: (1.5, 1.25)}


def test_rows_are_in_the_order_of_the_other_tables():
    assert against.rows(FOUND, "here", "there") == [
        ["", "here, median (s)", "there, median (s)", "median ratio", "of CPU time"],
        [report.AGAIN, "7.5", "5.5", "1.500", "1.250"],
        [report.STATUS, "2.2", "2.0", "1.000", "1.000"],
    ]


def test_who_begins_changes_from_round_to_round():
    sides = tuple(types.SimpleNamespace(name=name) for name in ("here", "there"))
    order = []

    def measure(side):
        order.append(side.name)
        return {report.STATUS: Took(len(order), 0)}

    found = against.alternate(sides, 3, measure)
    assert order == ["here", "there", "there", "here", "here", "there"]
    assert found == {report.STATUS: {"here": [(1, 0), (4, 0), (5, 0)], "there": [(2, 0), (3, 0), (6, 0)]}}


@pytest.mark.parametrize(("clock", "code"), [(1.04, 0), (1.06, 1)])
def test_the_exit_code_tells_whether_one_is_slower(monkeypatch, capsys, clock, code):
    sides = tuple(types.SimpleNamespace(name=name) for name in ("here", "there"))
    monkeypatch.setattr(against, "sides", lambda commit: _context(sides))
    monkeypatch.setattr(against, "live", lambda *arguments: _context({}))
    monkeypatch.setattr(
        against,
        "one_cluster",
        lambda labs, only: lambda side: {report.STATUS: Took(clock if side.name == "here" else 1.0, 1.0)},
    )
    assert against.main("x", "bench", ["k1"], 3, ["status"]) == code
    printed = capsys.readouterr().out
    assert f"| {clock:.3f} | 1.000 |" in printed
    assert ("times as long as at there, the bar is 1.05" in printed) == bool(code)


class _context:
    def __init__(self, value):
        self.value = value

    def __enter__(self):
        return self.value

    def __exit__(self, *error):
        return False


def done(changed=0, restarts=None):
    output = f"PLAY RECAP\nk1 : ok=1 changed={changed} unreachable=0 failed=0\n"
    events = [{"event": "ok", "changed": True, "host": "k1", "restarts": restarts}] if restarts else []
    return runs.Run(0, output, 1.0, events)


@pytest.mark.parametrize(
    ("name", "run", "right"),
    [
        ("second-run", done(), True),
        ("second-run", done(1), False),
        ("status", done(), True),
        ("flag", done(1, {"etcd": "a"}), True),
        ("flag", done(), False),
        ("flag", done(2, {"etcd": "a", "kubelet": "b"}), False),
    ],
)
def test_a_run_that_does_something_else_counts_for_nothing(name, run, right):
    side = types.SimpleNamespace(name="here")
    if right:
        against.expect(side, name, run)
    else:
        with pytest.raises(LabError, match=f"here: {name} changed "):
            against.expect(side, name, run)


@pytest.fixture
def checkout(monkeypatch, tmp_path):
    """A repository with one commit and an uncommitted change."""
    monkeypatch.setattr(against, "CHECKOUT", tmp_path)
    (tmp_path / "galaxy.yml").write_text("one\n")
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for arguments in (("init",), ("add", "."), (*identity, "commit", "--message=one")):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "galaxy.yml").write_text("two\n")
    return tmp_path


def test_the_other_commit_is_unpacked_and_gone_afterwards(checkout):
    with against.sides("HEAD") as (here, there):
        collection = pathlib.Path(
            there.environment["ANSIBLE_COLLECTIONS_PATH"], "ansible_collections/plainkube/cluster"
        )
        assert (collection / "galaxy.yml").read_text() == "one\n"
        assert (here.tree / "galaxy.yml").read_text() == "two\n"
        assert here.name != there.name
    assert not there.tree.exists()
    # Nothing stays in the repository.
    assert not (checkout / ".git" / "worktrees").exists()


def test_a_commit_that_is_none(checkout):
    with pytest.raises(LabError, match="--against is 'v9', and there is no such commit here"), against.sides("v9"):
        pass
