# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The check of molecule/variables/table.yml, which `make lint` runs."""

from __future__ import annotations

import pytest

from tests import variables

KNOWN = {"etcd_wait": {"type": "int", "default": 90}, "node_labels": {"type": "dict", "default": {}}}
WAIT = {"variable": "etcd_wait", "value": 7, "run": "waits", "prints": "after 7 s"}
LABELS = {"variable": "node_labels", "value": {"gpu": "true"}, "command": "kubectl get node n1", "prints": "true"}


def table(*entries, runs=()):
    named = [{"name": name, "playbook": "site"} for name in ("cluster", "waits")]
    return {"hosts": ["k1", "n1"], "runs": [*named, *runs], "variables": list(entries)}


def test_the_table_of_this_checkout_is_complete():
    assert variables.problems(variables.load(), variables.public()) == []


def test_a_table_with_an_entry_for_each_variable_is_well():
    assert variables.problems(table(WAIT, LABELS), KNOWN) == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (table(WAIT), "node_labels is in no entry: add one, with a value and a witness"),
        (table(WAIT, LABELS, {**WAIT, "variable": "etcd_wiat"}), "etcd_wiat has an entry and is no public variable"),
        (table({**WAIT, "value": 90}, LABELS), "the entry of etcd_wait has the default as its value, 90"),
        (table({**WAIT, "run": "wait"}, LABELS), "is of the run 'wait', which is not among the runs"),
        (table({**WAIT, "prints": "x?"}, LABELS), "which an empty output matches as well"),
        (table({**WAIT, "prints": "("}, LABELS), "which is no regular expression"),
        (table({**WAIT, "print": "x"}, LABELS), "has `print`, which is no key of an entry"),
        (table({**WAIT, "host": "n9"}, LABELS), "has `host: n9`: use one of k1, n1"),
        (table(WAIT, {**LABELS, "run": "cluster", "command": None, "where": "n9"}), "has `where: n9`: use one of"),
        (table(WAIT, {"variable": "node_labels", "value": {"a": "b"}, "prints": "b"}), "has no `command`"),
        (table({"variable": "etcd_wait", "value": 7, "run": "waits"}, LABELS), "has no `prints`: write it"),
        (table(WAIT, LABELS, runs=[{"name": "more"}]), "the run more has no `playbook`: write it"),
        (
            table(WAIT, LABELS, runs=[{"name": "more", "playbook": "site", "twice": True}]),
            "has `twice`, which is no key",
        ),
    ],
)
def test_what_is_wrong_is_told(given, sentence):
    (problem,) = variables.problems(given, KNOWN)
    assert sentence in problem


def test_the_command_fails_and_names_the_variable(monkeypatch, capsys):
    monkeypatch.setattr(variables, "public", lambda: {**KNOWN, "etcd_new": {"type": "str", "default": ""}})
    monkeypatch.setattr(variables, "load", lambda: table(WAIT, LABELS))
    with pytest.raises(SystemExit, match="1"):
        variables.main()
    assert "molecule/variables/table.yml: etcd_new is in no entry: add one" in capsys.readouterr().err
