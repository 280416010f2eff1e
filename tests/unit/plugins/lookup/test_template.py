# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible.errors import AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.lookup.template import LookupModule as Builtin
from ansible.template import Templar, trust_as_template
from ansible_collections.plainkube.cluster.plugins.lookup import template

VARIABLES = {"name": "etcd", "nested": trust_as_template("{{ name }}.key"), "many": ["x", "y"]}
TEXT = """{# a comment #}
[Service]
ExecStart=/bin/{{ name }} --key={{ nested }} \\d
{% for one in many %}
  - {{ one }}
{% endfor %}
{% if more is defined %}
more={{ more }}

{% endif %}
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


def lookup(path, plugin=template.LookupModule, **options):
    loader = DataLoader()
    made = plugin(loader=loader, templar=Templar(loader=loader, variables=VARIABLES))
    # Ansible knows the options of plugins that it has loaded itself.
    made.set_options = lambda **dummy: None
    made.get_option = {**OPTIONS, **options}.__getitem__
    return made.run([str(path)], VARIABLES, **options)


@pytest.mark.parametrize("options", [{}, {"template_vars": {"more": 1}}])
def test_it_gives_what_the_builtin_gives(tmp_path, options):
    path = tmp_path / "x.j2"
    path.write_text(TEXT, encoding="utf-8")
    found = lookup(path, **options)
    assert "--key=etcd.key" in found[0]
    assert ("more=1" in found[0]) == bool(options)
    assert found == lookup(path, Builtin, **options)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AnsibleLookupError, match="there is no template .*nowhere.j2"):
        lookup(tmp_path / "nowhere.j2")
