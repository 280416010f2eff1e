# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible.errors import AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.lookup.template import LookupModule as Builtin
from ansible.template import Templar, trust_as_template
from ansible_collections.plainkube.cluster.plugins.lookup import file
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles

VARIABLES = {
    "name": "etcd",
    "nested": trust_as_template("{{ name }}.key"),
    "many": ["x", "y"],
    # What comes from variables stays as it is: YAML has read their backslashes, and expressions in them are YAML's too.
    "backslash": r"a\n",
    "pattern": trust_as_template(r"{{ 'b' | regex_replace('(b)', '\1\1') }}"),
}
PROGRAM = "#!/bin/sh\necho '{{ name }}' '{% if %}' \\\\n ü\n\n"
TEXT = """{# a comment #}
[Service]
ExecStart=/bin/{{ name }} --key={{ nested }} \\d{{ ' \\\\\\n  --more\\t' ~ name }} {{ backslash }} {{ pattern }}
{% for one in many %}
  - {{ one }}
{% endfor %}
"""


# What the builtin one has by default.
OPTIONS = {
    "template_vars": {},
    "trim_blocks": True,
    "variable_start_string": "{{",
    "variable_end_string": "}}",
    "comment_start_string": "{#",
    "comment_end_string": "#}",
}


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The file behind aname/x.j2."""
    monkeypatch.setattr(_roles, "ROLES", tmp_path)
    path = tmp_path / "aname" / "templates" / "x.j2"
    path.parent.mkdir(parents=True)
    path.write_text(TEXT, encoding="utf-8")
    (tmp_path / "aname" / "files").mkdir()
    (tmp_path / "aname" / "files" / "x.sh").write_text(PROGRAM, encoding="utf-8")
    return path


def lookup(path, plugin=file.LookupModule):
    loader = DataLoader()
    made = plugin(loader=loader, templar=Templar(loader=loader, variables=VARIABLES))
    # Ansible knows the options of plugins that it has loaded itself.
    made.set_options = lambda **dummy: None
    made.get_option = OPTIONS.__getitem__
    return made.run([str(path)], VARIABLES)


def test_it_gives_what_the_builtin_gives(path):
    found = lookup("aname/x.j2")
    assert "--key=etcd.key \\d \\\n  --more\tetcd a\\n bb\n" in found[0]
    assert found == lookup(path, Builtin)


def test_a_file_comes_as_it_is(path):
    """Also through a variable, which Ansible evaluates."""
    (found,) = lookup("aname/x.sh")
    assert found == PROGRAM
    templar = Templar(DataLoader(), variables={"found": found, "name": "etcd"})
    assert templar.template(trust_as_template("{{ found }}")) == PROGRAM


@pytest.mark.parametrize("term", ["aname/nowhere.j2", "nobody/x.j2", "x.j2", "aname/nowhere.sh", "aname/x", "x.sh"])
def test_a_missing_file_is_named(path, term):
    place = "templates" if term.endswith(".j2") else "files"
    with pytest.raises(AnsibleLookupError, match=rf"there is no file roles/\S*/{place}/\S*: give ROLE/FILE"):
        lookup(term)
