# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import collections

import pytest
from ansible._internal._templating import _engine
from ansible.errors import AnsibleError, AnsibleUndefinedVariable
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.plainkube.cluster.plugins.lookup import evaluated

VARIABLES = {
    "base": "b",
    "shared": trust_as_template("{{ base | upper }}"),
    "twice": [trust_as_template("{{ shared }}1"), trust_as_template("{{ shared }}2")],
    "apart": trust_as_template("{{ base }}"),
    "broken": trust_as_template("{{ nobody_defines_this }}"),
    "needs_broken": trust_as_template("{{ broken }}"),
}


@pytest.fixture
def compiled(monkeypatch):
    """How often each template was compiled."""
    found = collections.Counter()
    compile_template = _engine.TemplateEngine._compile_template
    monkeypatch.setattr(
        _engine.TemplateEngine,
        "_compile_template",
        lambda self, template, *rest: found.update([str(template)]) or compile_template(self, template, *rest),
    )
    return found


def lookup(*names, shared=()):
    loader = DataLoader()
    made = evaluated.LookupModule(loader=loader, templar=Templar(loader=loader, variables=VARIABLES))
    made.set_options = lambda **dummy: None
    made.get_option = {"shared": shared}.__getitem__
    return made.run(list(names), VARIABLES)


def test_shared_variables_are_compiled_once(compiled):
    assert lookup("twice", "apart", shared=["shared"]) == [["B1", "B2"], "b"]
    assert compiled["{{ base | upper }}"] == 1


def test_others_each_time(compiled):
    assert lookup("twice") == [["B1", "B2"]]
    assert compiled["{{ base | upper }}"] == 2


def test_a_shared_variable_that_cannot_be_evaluated_fails_only_what_refers_to_it():
    assert lookup("twice", shared=["broken", "unknown", "shared"]) == [["B1", "B2"]]
    with pytest.raises(AnsibleError, match="nobody_defines_this"):
        lookup("needs_broken", shared=["broken"])


def test_an_unknown_variable():
    with pytest.raises(AnsibleUndefinedVariable, match="no variable steps"):
        lookup("steps")
