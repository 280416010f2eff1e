# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import collections

import pytest
from ansible._internal._templating import _engine
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles

VARIABLES = {
    "base": "b",
    "shared": trust_as_template("{{ base | upper }}"),
    "twice": [trust_as_template("{{ shared }}1"), trust_as_template("{{ shared }}2")],
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


@pytest.fixture(autouse=True)
def roles(monkeypatch):
    monkeypatch.setattr(_roles, "variables", lambda: VARIABLES)
    monkeypatch.setattr(_roles, "shared", lambda: ("broken", "shared"))


def scope(share=False, **variables):
    return _roles.Scope(Templar(DataLoader()), variables, share=share)


def test_shared_variables_are_compiled_once(compiled):
    assert scope(share=True).variable("twice") == ["B1", "B2"]
    assert compiled["{{ base | upper }}"] == 1


def test_others_each_time(compiled):
    assert scope().variable("twice") == ["B1", "B2"]
    assert compiled["{{ base | upper }}"] == 2


def test_a_shared_variable_that_cannot_be_evaluated_fails_only_what_refers_to_it():
    assert scope(share=True).variable("twice") == ["B1", "B2"]
    with pytest.raises(AnsibleError, match="nobody_defines_this"):
        scope(share=True).variable("needs_broken")


def test_what_the_host_has_goes_before_what_roles_have():
    assert scope(base="x").variable("shared") == "X"
    assert "base" in scope()
    assert "nobody" not in scope()


def test_conditions():
    conditions = {"none": [], "both": ["base == 'b'", "true or false"], "one": ["false or true", "base == 'c'"]}
    assert scope().hold(conditions) == {"none": True, "both": True, "one": False}
    with pytest.raises(AnsibleError, match="nobody_defines_this"):
        scope().hold({"broken": ["broken"]})
