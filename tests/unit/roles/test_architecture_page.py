# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""docs/architecture.md lists the files on the path of one setting: those that name it, and those whose functions get its value."""

from __future__ import annotations

import functools
import inspect
import json
import pathlib
import re
import sys
import types

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.plainkube.cluster.plugins.action import on_host, role_variables, survey
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import component
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import survey as survey_on_host

TOP = pathlib.Path(__file__).resolve().parents[3]
SETTING, VALUE = "etcd_auto_compaction_retention", "7h13m"


def section():
    text = (TOP / "docs" / "architecture.md").read_text(encoding="utf-8")
    return text[text.index("#### Files on this path") : text.index("## Roles\n")]


def listed():
    return re.findall(r"^\| `([\w/.]+)` \|", section(), re.MULTILINE)


def has_value(thing):
    """Whether it contains the value. All variables together are no path of this one."""
    if isinstance(thing, dict):
        return SETTING not in thing and any(map(has_value, thing.values()))
    if isinstance(thing, (list, tuple)):
        return any(map(has_value, thing))
    return isinstance(thing, str) and VALUE in thing


@functools.cache
def file(name):
    """A file of this collection by its path below TOP; empty for any other one."""
    path = pathlib.Path(name).resolve()
    return str(path.relative_to(TOP)) if path.is_relative_to(TOP) else ""


def arguments(frame):
    """The values that a function got, also those that it only passes on."""
    code = frame.f_code
    more = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + more]
    return [frame.f_locals.get(name) for name in names]


@pytest.fixture
def sent(monkeypatch):
    """The arguments that Ansible sends to the host, by module."""
    found = {}

    def execute(plugin, module_name=None, module_args=None, **dummy):
        found[module_name or plugin._task.action] = module_args or plugin._task.args
        return {"answers": {}}

    monkeypatch.setattr(ActionBase, "_execute_module", execute)
    return found


@pytest.fixture
def host(monkeypatch, tmp_path):
    """A host without etcd; a function that runs module component on it, and returns the unit."""
    monkeypatch.setattr(component, "UNITS", str(tmp_path))
    monkeypatch.setattr(component, "SYSUSERS", str(tmp_path))
    monkeypatch.setattr(component, "user_exists", lambda name: True)
    monkeypatch.setattr(component._systemd, "show", lambda module, unit: {})
    monkeypatch.setattr(component._systemd, "systemctl", lambda module, *dummy: "")
    write, me = component._files.write, component._files.me()
    monkeypatch.setattr(component._files, "write", lambda module, wanted: write(module, {**wanted, **me}))
    module = types.SimpleNamespace(no_log_values=set(), add_cleanup_file=lambda path: None)

    def run(options, check):
        text = re.sub("/etc/kubernetes|/usr/local/bin", str(tmp_path), json.dumps(options, default=str))
        here = json.loads(text)
        if check:
            return survey_on_host.ask(module, {"module": "component", "options": here})["actions"]
        prepared = survey_on_host.prepare(module, component.SPEC, here)
        prepared.check_mode = False
        return component.run(prepared)["actions"]

    return run


@pytest.fixture
def carriers(action_plugin, facts, sent, host, tmp_path):
    """The files of plugins whose functions get or return the value, from the checks until the unit is written."""
    found = set()

    def profile(frame, event, returned):
        path = file(frame.f_code.co_filename) if event == "return" else ""
        if path.startswith("plugins/") and (has_value(returned) or any(map(has_value, arguments(frame)))):
            found.add(path)

    groups = {"all": ["k1"], "control_plane": ["k1"], "node": []}
    variables = {"inventory_hostname": "k1", "group_names": ["control_plane"], "groups": groups, SETTING: VALUE}
    variables |= {"ansible_play_hosts_all": ["k1"], "ansible_play_hosts": ["k1"], "ansible_play_batch": ["k1"]}
    variables["ansible_facts"] = {"plainkube": {**facts, "installed": True}, "plainkube_address": "192.0.2.11"}
    variables["etcd_etcd_flags"] = {"log-level": "debug"}
    variables["hostvars"] = {"k1": {**variables, "inventory_dir": "/srv"}}
    surveying, running = action_plugin(survey), action_plugin(on_host)
    for plugin, name in ((surveying, "survey"), (running, "component")):
        plugin._task.action = f"plainkube.cluster.{name}"
        plugin._task.delegate_to = None
    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        checked = action_plugin(role_variables, variables=variables).run(task_vars=variables)
        surveying.run(task_vars=variables)
        (etcd,) = [step for step in sent["plainkube.cluster.survey"]["steps"] if step["name"] == "etcd"]
        planned = host(etcd["options"], check=True)
        running._task.args = dict(etcd["options"])
        running.run(task_vars=variables)
        done = host(sent["plainkube.cluster.component"], check=False)
    finally:
        sys.setprofile(before)
    assert not checked["failed"], checked["msg"]
    assert planned == done
    unit = (tmp_path / "etcd.service").read_text(encoding="utf-8")
    assert f"  --auto-compaction-retention={VALUE} \\\n  --log-level=debug\n" in unit
    return found


def test_the_path_is_short_and_its_files_exist():
    assert len({*listed()}) == len(listed()) <= 14
    assert [path for path in listed() if not (TOP / path).is_file()] == []


def test_no_file_that_names_the_setting_is_left_out():
    files = [path for top in ("roles", "plugins", "playbooks") for path in (TOP / top).rglob("*.*")]
    texts = {
        str(path.relative_to(TOP)): path.read_text(encoding="utf-8")
        for path in files
        if path.is_file() and path.suffix in (".py", ".yml", ".j2", ".sh")
    }
    named = {path for path, text in texts.items() if SETTING in text}
    assert len(named) > 3
    # The refusal of another flag recommends this setting.
    assert named - {*listed()} == {"plugins/plugin_utils/inputs/_operator_flags.py"}


def test_no_file_whose_functions_get_the_value_is_left_out(carriers):
    assert carriers - {*listed()} == set()


def test_each_plugin_in_the_table_gets_the_value(carriers):
    plugins = {path for path in listed() if path.startswith("plugins/")}
    # This one handles all variables together.
    assert plugins - carriers == {"plugins/action/role_variables.py"}
