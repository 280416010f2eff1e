# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.plainkube.cluster.plugins.plugin_utils.keys import _here


@pytest.fixture
def run_module(run_module, told):
    """The same for hosts' modules; the control node's, which have no main(), run as their action plugins run them."""

    def run(module, /, **arguments):
        if hasattr(module, "main"):
            return run_module(module, **arguments)
        options = {name: value for name, value in arguments.items() if not name.startswith("_ansible_")}
        checked = ArgumentSpecValidator(module.ARGUMENT_SPEC).validate(options)
        assert not checked.error_messages
        result = _here.run(module, checked.validated_parameters, arguments.get("_ansible_check_mode", False))
        return told(module, json.loads(json.dumps(result)))

    return run
