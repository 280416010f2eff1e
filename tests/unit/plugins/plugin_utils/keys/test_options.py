# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""ansible-test compares a module's documentation with the options of its code only where both are in one file."""

from __future__ import annotations

import importlib

import pytest
import yaml

PLUGINS = "ansible_collections.plainkube.cluster.plugins"
COMPARED = ("type", "elements", "choices", "default", "required")


def facts(options, inner):
    return {
        name: {
            **{key: option[key] for key in COMPARED if option.get(key)},
            **({inner: facts(option[inner], inner)} if inner in option else {}),
        }
        for name, option in options.items()
    }


@pytest.mark.parametrize("name", ["authority_rotation", "certificate_sign"])
def test_the_documentation_has_the_options_of_the_code(name):
    text = importlib.import_module(f"{PLUGINS}.modules.{name}").DOCUMENTATION
    code = importlib.import_module(f"{PLUGINS}.plugin_utils.keys._{name}")
    documented = yaml.safe_load(text.replace("suboptions:", "options:"))["options"]
    assert facts(documented, "options") == facts(code.ARGUMENT_SPEC, "options")
