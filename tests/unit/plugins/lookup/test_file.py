# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible.errors import AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.plainkube.cluster.plugins.lookup import file
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles

TEXT = "#!/bin/sh\necho '{{ name }}' '{% if %}' \\\\n ü\n\n"


@pytest.fixture
def lookup(tmp_path, monkeypatch):
    """The lookup, with the file aname/x.sh."""
    monkeypatch.setattr(_roles, "ROLES", tmp_path)
    (tmp_path / "aname" / "files").mkdir(parents=True)
    (tmp_path / "aname" / "files" / "x.sh").write_text(TEXT, encoding="utf-8")
    made = file.LookupModule()
    # Ansible knows the options of plugins that it has loaded itself.
    made.set_options = lambda **dummy: None
    return lambda term: made.run([term], {})


def test_a_file_comes_as_it_is(lookup):
    """Also through a variable, which Ansible evaluates."""
    (found,) = lookup("aname/x.sh")
    assert found == TEXT
    templar = Templar(DataLoader(), variables={"found": found, "name": "etcd"})
    assert templar.template(trust_as_template("{{ found }}")) == TEXT


@pytest.mark.parametrize("term", ["aname/nowhere.sh", "nobody/x.sh", "x.sh", "aname"])
def test_a_missing_file_is_named(lookup, term):
    with pytest.raises(AnsibleLookupError, match=f"there is no file {term}: give ROLE/FILE"):
        lookup(term)
