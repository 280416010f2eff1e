# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args


@pytest.fixture
def run_module(capfd):
    """Run a module's main() with arguments as Ansible would; return its JSON result.

    `_ansible_check_mode=True` and `_ansible_diff=True` may be among the arguments.
    """

    def run(module, /, **arguments):
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        # What begins with _ansible_ is for Ansible itself, which takes it out: secrets to mask, for one. ansible-core 2.20 adds
        # the arguments.
        result = json.loads(capfd.readouterr().out)
        return {name: value for name, value in result.items() if not name.startswith(("_ansible_", "invocation"))}

    return run
