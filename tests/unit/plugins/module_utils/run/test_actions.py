# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action


@pytest.mark.parametrize(
    ("actions", "changed"),
    [
        ([], False),
        ([Action("wait", "x", "it is not ready")], False),
        ([Action("wait", "x"), Action("write", "/x")], True),
    ],
)
def test_a_result_has_changed_if_it_does_more_than_wait(actions, changed):
    result = _actions.result(actions)
    assert result == {"changed": changed, "actions": [action._asdict() for action in actions]}


def test_every_verb_but_that_of_pending_work_is_a_change():
    assert [verb for verb in _actions.VERBS if not _actions.changes([Action(verb, "x")])] == [_actions.PENDING]


@pytest.mark.parametrize(("running", "verb"), [(True, "restart"), (False, "start")])
def test_who_runs_is_restarted(running, verb):
    """Whatever the reasons say."""
    reasons = ["it is not running", "its unit file changes"]
    assert _actions.starts("x", reasons, running) == [(verb, "x", "it is not running; its unit file changes")]
    assert _actions.starts("x", reasons, running, enable=True) == _actions.starts("x", reasons, running)
    assert _actions.starts("x", [], running) == []
    assert _actions.starts("x", [], running, enable=True) == [("enable", "x", "it would not start at boot")]


@pytest.mark.parametrize(
    ("answer", "pending"),
    [
        ({}, False),
        ({"actions": []}, False),
        ({"actions": [{"verb": "restart", "subject": "x", "reason": ""}]}, False),
        ({"actions": [{"verb": "write"}, {"verb": "wait"}]}, True),
        # A host may answer anything.
        ({"actions": "wait"}, False),
        ({"actions": ["wait", None, {"verb": ["wait"]}]}, False),
    ],
)
def test_pending_work(answer, pending):
    assert _actions.is_pending(answer) is pending
