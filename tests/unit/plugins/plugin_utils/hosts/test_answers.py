# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _answers


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"msg": "Task failed: Module failed: no\n  room"}, "no room"),
        (
            {"msg": "non-zero return code", "stderr": "W: one\nE: the disk is full\n", "stdout": "x"},
            "E: the disk is full",
        ),
        (
            {"msg": "MODULE FAILURE: No start of json char found", "module_stderr": "", "module_stdout": "killed\n"},
            "killed",
        ),
        ({"msg": "non-zero return code", "stderr": "", "stdout": ""}, "non-zero return code"),
        (
            {"msg": "One or more items failed", "results": [{"msg": "fine"}, {"failed": True, "msg": "the second"}]},
            "the second",
        ),
        ({"msg": None}, "it gave no reason"),
        ({}, "it gave no reason"),
    ],
)
def test_the_reason_is_what_failed_said(result, reason):
    assert _answers.reason(result) == reason


SHAPE = {
    "name": str,
    "running": bool,
    "ports": [int],
    "node": _answers.Optional({"ready": bool}),
    "files": _answers.Each(str),
}
FITS = {"name": "etcd", "running": True, "ports": [2379], "node": None, "files": {"ca.crt": "x"}, "more": object()}


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({}, ""),
        ({"node": {"ready": False}}, ""),
        ({"name": 1}, ".name"),
        ({"running": "yes"}, ".running"),
        ({"running": 1}, ".running"),
        ({"ports": ["2379"]}, ".ports[0]"),
        ({"ports": [1, True]}, ".ports[1]"),
        ({"ports": {"a": 1}}, ".ports"),
        ({"node": {}}, ".node.ready"),
        ({"node": "n1"}, ".node"),
        ({"files": {"ca.crt": None}}, ".files.ca.crt"),
        ({"files": ["ca.crt"]}, ".files"),
    ],
)
def test_where_an_answer_is_not_as_it_should_be(changes, where):
    assert _answers.mismatch({**FITS, **changes}, SHAPE) == where


@pytest.mark.parametrize("answer", [None, [], "no", 0])
def test_what_is_no_answer_at_all(answer):
    assert _answers.mismatch(answer, SHAPE) == "."


def play(**variables):
    """What a task knows: k1 is in the run, n1 failed, n2 is not reached any more."""
    return {
        "ansible_play_hosts_all": ["k1", "n1", "n2"],
        "ansible_play_hosts": ["k1"],
        "ansible_failed_hosts": ["n1"],
        "hostvars": {"k1": {}, "n1": {}, "n2": {}, **variables},
    }


FAILED = {"failed": True, "msg": "kubelet does not start"}
GONE = {"unreachable": True, "msg": "No route to host"}


@pytest.mark.parametrize(
    ("host", "variables", "problem"),
    [
        ("k1", {"k1": {"second": FAILED}}, ""),
        ("n9", {}, ""),
        (
            "n1",
            {"n1": {"first": {"changed": True}, "second": FAILED}},
            "failed earlier in this run: kubelet does not start",
        ),
        ("n2", {"n2": {"first": FAILED, "second": GONE}}, "is unreachable: No route to host"),
        # Of a task that registers nothing, and with a result of another play that says that all is well.
        ("n1", {"n1": {"first": {"healthy": True}}}, "failed earlier in this run: the output of this run says why"),
        ("n2", {}, "is unreachable: the output of this run says why"),
    ],
)
def test_why_a_host_is_no_longer_part_of_the_run(host, variables, problem):
    found = _answers.lost(host, ["first", "second"], play(**variables))
    assert (_answers.problem(found) if found else "") == problem


@pytest.mark.parametrize("result", [{}, {"skipped": True}])
def test_a_host_that_nobody_looked_at(result):
    assert _answers.problem(result) == "was not checked in this run"
