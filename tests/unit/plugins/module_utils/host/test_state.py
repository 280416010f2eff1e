# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json
import os
import types

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _state

STATE = {"docker": {"settings": {"debug": True}}, "runtime_change": {"to": "docker"}}


def test_a_subject_changes_and_the_others_stay():
    assert _state.changed(STATE, "docker", {"settings": {}}) == {**STATE, "docker": {"settings": {}}}
    assert _state.changed(STATE, "docker", None) == {"runtime_change": {"to": "docker"}}
    assert _state.changed(STATE, "other", None) == STATE


def test_the_written_state_is_read_again():
    file = _state.file(STATE)
    assert _state.parse(file["content"]) == STATE
    assert (file["path"], file["mode"], file["secret"]) == ("/var/lib/plainkube/state.json", "0600", True)


@pytest.mark.parametrize("text", [None, "", "{}"])
def test_without_a_file_nothing_is_remembered(text):
    assert _state.parse(text) == {}


@pytest.mark.parametrize("text", ["{", "[]", "1", '{"docker": true}'])
def test_a_damaged_file_is_reported(text):
    with pytest.raises(ValueError, match=r"^/var/lib/plainkube/state\.json is damaged, so .*; remove it$"):
        _state.parse(text)


def test_update(tmp_path):
    root, path = str(tmp_path), f"{tmp_path}{_state.PATH}"
    real = types.SimpleNamespace(check_mode=False, add_cleanup_file=lambda path: None)
    check = types.SimpleNamespace(check_mode=True)
    for subject, value in STATE.items():
        assert _state.update(check, subject, value, root)
        assert _state.update(real, subject, value, root)
        assert not _state.update(check, subject, value, root)
        assert not _state.update(real, subject, value, root)
    assert _state.read(root) == STATE
    assert os.stat(path).st_mode & 0o777 == 0o600
    for left, subject in ((["runtime_change"], "docker"), ([], "runtime_change")):
        assert _state.update(check, subject, None, root)
        assert _state.update(real, subject, None, root)
        assert [*_state.read(root)] == left
    assert os.listdir(os.path.dirname(path)) == []
    assert not _state.update(real, "docker", None, root)


def test_a_run_that_is_killed_while_it_writes_keeps_the_old_state(tmp_path, monkeypatch):
    root = str(tmp_path)
    module = types.SimpleNamespace(check_mode=False, add_cleanup_file=lambda path: None)
    _state.update(module, "docker", STATE["docker"], root)

    def killed(*dummy):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        _state.update(module, "runtime_change", STATE["runtime_change"], root)
    assert _state.read(root) == {"docker": STATE["docker"]}
    with open(f"{root}{_state.PATH}", encoding="utf-8") as stream:
        assert json.load(stream) == {"docker": STATE["docker"]}
