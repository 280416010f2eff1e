# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import types

import pytest
from ansible import constants as C
from ansible.config.manager import ConfigManager
from ansible.plugins.action import ActionBase
from ansible_collections.plainkube.cluster.plugins.plugin_utils import _python


@pytest.fixture
def ansible_cfg(monkeypatch, tmp_path):
    """Have Ansible configured by a file, which is empty to begin with."""

    def write(text):
        path = tmp_path / "ansible.cfg"
        path.write_text(text)
        monkeypatch.setattr(C, "config", ConfigManager(str(path)))

    write("")
    return write


@pytest.fixture
def execute(monkeypatch, ansible_cfg):
    """Run a module, and tell which Python Ansible was asked for."""
    seen = {}

    def real(self, *args, task_vars=None, **options):
        seen.update(task_vars)
        return {}

    def run(variables, delegate_to=None):
        monkeypatch.setattr(ActionBase, "_execute_module", real)
        plugin = _python.JustModule.__new__(_python.JustModule)
        plugin._task = types.SimpleNamespace(delegate_to=delegate_to)
        plugin._execute_module(task_vars=variables)
        return seen

    return run


def test_python_is_found_without_a_warning(execute):
    assert execute({})["ansible_python_interpreter"] == "auto_silent"


@pytest.mark.parametrize("python", ["/opt/python", "auto_silent", "{{ mine }}"])
def test_what_somebody_has_said_holds(execute, python):
    assert execute({"ansible_python_interpreter": python}) == {"ansible_python_interpreter": python}


@pytest.mark.parametrize("python", ["/opt/python", "auto_silent"])
def test_what_ansible_cfg_says_holds(execute, ansible_cfg, python):
    ansible_cfg(f"[defaults]\ninterpreter_python = {python}\n")
    assert execute({}) == {}


def test_the_host_that_a_task_is_delegated_to(execute):
    seen = execute({"ansible_delegated_vars": {"k1": {}, "n1": {}}}, "n1")
    assert seen == {"ansible_delegated_vars": {"k1": {}, "n1": {"ansible_python_interpreter": "auto_silent"}}}
