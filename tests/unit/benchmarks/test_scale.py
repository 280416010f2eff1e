# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import itertools
import json
import subprocess

import pytest

from benchmarks import scale

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


def test_a_machine_that_was_slower_is_no_growth():
    few = scale.Measured(100, scale.Cost(5.0, 10.0), {"one": scale.Cost(1.0, 2.0)}, 0.010)
    many = scale.Measured(500, scale.Cost(30.0, 66.0), {"one": scale.Cost(6.0, 12.0)}, 0.011)
    assert scale.growth(few.whole, many.whole, (100, 500), 1.1) == pytest.approx(1.2)
    dummy, one, whole = scale.rows(few, many)
    assert (one[-1], whole[-1]) == ("1.09", "1.20")
    assert whole[1:3] == ["10.00", "66.00"], "times are as they were taken"


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

    assert ask("component") == {"changed": False}
    facts = ask("host_facts")["ansible_facts"]["plainkube"]
    assert (facts["hostname"], facts["address"], facts["kernel"]) == ("h001", "10.77.0.2", "6")


def test_the_mean_of_runs():
    runs = [
        scale.Measured(100, scale.Cost(4.0, 2.0), {"one": scale.Cost(1.0, 2.0)}, 0.25),
        scale.Measured(100, scale.Cost(6.0, 4.0), {"one": scale.Cost(3.0, 6.0)}, 0.75),
    ]
    assert scale.mean(runs) == scale.Measured(100, scale.Cost(5.0, 3.0), {"one": scale.Cost(2.0, 4.0)}, 0.5)


def test_the_pace_is_the_cpu_time_of_the_same_work(monkeypatch):
    with scale.Pace() as pace:
        pass  # it is measured once at least
    assert 0.001 < pace.seconds < 1
    # However often it is measured: a second of CPU time each.
    monkeypatch.setattr(scale.time, "thread_time", itertools.count(1.0).__next__)
    with scale.Pace() as pace:
        pass
    assert pace.seconds == 1.0
