# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import os
import types

import pytest
from ansible_collections.plainkube.cluster.plugins.plugin_utils.keys import _here


def test_a_module_gets_its_params_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    left = tmp_path / ".plainkube-x"

    def run(module):
        left.write_text("x")
        module.add_cleanup_file(str(left))
        return {"params": module.params, "check_mode": module.check_mode}

    module = types.SimpleNamespace(run=run)
    found = _here.run(module, {"directory": "~/pki", "state": "checked"}, True)
    assert found == {"params": {"directory": os.path.join(tmp_path, "pki"), "state": "checked"}, "check_mode": True}
    assert not left.exists()


def test_it_leaves_nothing_when_it_fails(tmp_path):
    left = tmp_path / "x"

    def run(module):
        left.write_text("x")
        module.add_cleanup_file(str(left))
        raise KeyError

    with pytest.raises(KeyError):
        _here.run(types.SimpleNamespace(run=run), {"directory": "/d"}, False)
    assert not left.exists()
