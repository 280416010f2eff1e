# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json
import subprocess

import pytest
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _steps

from benchmarks import scale
from lab.base import LabError

EVENTS = [
    {"task": "one", "seconds": 1.0, "cpu": 1.0},
    {"signed": {}},
    {"task": "two", "seconds": 2.0, "cpu": 4.0},
    {"task": "one", "seconds": 5.0, "cpu": 5.0},
    {"task": "", "seconds": 7.0, "cpu": 6.0},
]


def test_tasks_of_one_name_are_added():
    assert scale.costs(EVENTS) == {"one": scale.Cost(3.0, 4.0), "two": scale.Cost(3.0, 1.0)}


@pytest.mark.parametrize(("cpu", "ratio"), [(50.0, 1.0), (55.0, 1.1), (250.0, 5.0)])
def test_growth_is_one_where_a_host_costs_the_same(cpu, ratio):
    assert scale.growth(scale.Cost(1, 10.0), scale.Cost(1, cpu), (100, 500)) == pytest.approx(ratio)


def test_the_table_ends_with_the_whole():
    few = scale.Measured(100, scale.Cost(5.0, 10.0), {"one": scale.Cost(1.0, 2.0)})
    many = scale.Measured(500, scale.Cost(30.0, 66.0), {"one": scale.Cost(6.0, 12.0)})
    dummy, one, whole = scale.rows(few, many)
    assert (one[-1], whole[-1]) == ("1.20", "1.32")
    assert whole[1:3] == ["10.00", "66.00"]


def test_five_hundred_hosts_have_their_own_names_and_addresses():
    assert len(set(scale.host_names(500))) == 500
    assert len({scale.address(number) for number in range(1, 501)}) == 500


def test_stub_answers_for_the_module_and_prefers_the_host_s_own_answer(tmp_path):
    scale.shared_answers(tmp_path / "answers")
    scale.host_answers(tmp_path / "hosts" / "h001", "h001", 1, {"kernel": "6"}, installed=False)

    def ask(module):
        sent = f"#!/usr/bin/python3\nmodule_fqn='ansible_collections.plainkube.cluster.plugins.modules.{module}',\n"
        stub = str(tmp_path / "hosts" / "h001" / "python")
        return json.loads(subprocess.run([stub], input=sent, capture_output=True, text=True, check=True).stdout)

    assert ask("artifacts")["actions"] == []
    facts = ask("host_facts")["found"]
    assert (facts["hostname"], facts["kernel"]) == ("h001", "6")


def test_a_survey_answers_for_every_step():
    assert sorted(scale.steps()) == sorted(step.name for step in _steps.steps())


def test_the_mean_of_runs():
    runs = [
        scale.Measured(100, scale.Cost(4.0, 2.0), {"one": scale.Cost(1.0, 2.0)}),
        scale.Measured(100, scale.Cost(6.0, 4.0), {"one": scale.Cost(3.0, 6.0)}),
    ]
    assert scale.mean(runs) == scale.Measured(100, scale.Cost(5.0, 3.0), {"one": scale.Cost(2.0, 4.0)})


class Simulated:
    """Made-up hosts whose second runs have begun and end as they are told to."""

    def __init__(self, count, goes_on):
        self.names = scale.host_names(count)
        self.left = iter(goes_on)
        self.cores, self.killed, self.ended = [], False, 0

    def begin(self):
        return self

    def pin(self, core):
        self.cores.append(core)

    def goes_on(self):
        return next(self.left)

    def kill(self):
        self.killed = True


@pytest.fixture
def ends(monkeypatch):
    """Every run costs a CPU second more than the one before."""

    def measured(simulation, dummy):
        simulation.ended += 1
        return scale.Measured(len(simulation.names), scale.Cost(1.0, simulation.ended), {})

    monkeypatch.setattr(scale, "measured", measured)
    monkeypatch.setattr(scale.os, "sched_getaffinity", lambda dummy: {3, 5, 7})


def test_runs_beside_each_other_change_places_and_end_with_the_large_one(ends):
    few, many = Simulated(2, []), Simulated(8, [True, True, False])
    small, large = scale.measure_beside(few, many)
    assert (few.cores, many.cores) == ([3, 5, 3], [5, 3, 5])
    assert small.whole.cpu == 1.5, "the third one outlasted the large one"
    assert (few.ended, large.hosts, many.killed) == (3, 8, False)


def test_a_large_run_that_is_too_short_is_no_measure(ends):
    with pytest.raises(LabError, match="8 hosts were too few to compare 2 with"):
        scale.measure_beside(Simulated(2, []), Simulated(8, [False]))


def test_nothing_is_left_running(ends, monkeypatch):
    def measured(simulation, dummy):
        raise LabError("changed something")

    monkeypatch.setattr(scale, "measured", measured)
    few, many = Simulated(2, []), Simulated(8, [])
    with pytest.raises(LabError, match="changed something"):
        scale.measure_beside(few, many)
    assert many.killed


def test_a_large_run_that_failed_says_so(ends, monkeypatch):
    def measured(simulation, dummy):
        if len(simulation.names) == 8:
            raise LabError("the simulated second run failed")
        return scale.Measured(2, scale.Cost(1.0, 1.0), {})

    monkeypatch.setattr(scale, "measured", measured)
    with pytest.raises(LabError, match="the simulated second run failed"):
        scale.measure_beside(Simulated(2, []), Simulated(8, [False]))
