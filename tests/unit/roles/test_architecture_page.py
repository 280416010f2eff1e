# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""docs/architecture.md lists the files on the path of one setting: those that name it, and those whose functions get its value."""

from __future__ import annotations

import functools
import pathlib
import re
import sys
import types

import pytest
from ansible_collections.plainkube.cluster.plugins.action import role_variables, survey
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import component
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import survey as on_host

TOP = pathlib.Path(__file__).resolve().parents[3]
SETTING, VALUE = "etcd_auto_compaction_retention", "7h13m"
FACTS = {
    "installed": True,
    "firewall": False,
    "nftables": True,
    "runtime": "",
    "pod_bridge": "",
    "runtime_change": False,
}
FACTS |= {"architecture": "amd64", "distribution_version": "13", "cgroup_version": 2, "services": [], "crictl": False}


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


@pytest.fixture
def carriers(action_plugin, monkeypatch):
    """The files of plugins whose functions get or return the value, from the checks until the host knows what it would change."""
    found = set()

    def profile(frame, event, returned):
        path = file(frame.f_code.co_filename) if event == "return" else ""
        if path.startswith("plugins/"):
            names = frame.f_code.co_varnames[: frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount]
            if has_value(returned) or any(has_value(frame.f_locals.get(name)) for name in names):
                found.add(path)

    groups = {"all": ["k1"], "control_plane": ["k1"], "node": []}
    variables = {"inventory_hostname": "k1", "group_names": ["control_plane"], "groups": groups, SETTING: VALUE}
    variables |= {"ansible_play_hosts_all": ["k1"], "ansible_play_hosts": ["k1"], "ansible_play_batch": ["k1"]}
    variables["ansible_facts"] = {"plainkube": FACTS, "plainkube_address": "192.0.2.11"}
    variables["hostvars"] = {"k1": {**variables, "inventory_dir": "/srv"}}
    asking = action_plugin(survey)
    asked = []

    def execute(module_name, module_args, task_vars):
        asked.extend(module_args["steps"])
        return {"answers": {}}

    monkeypatch.setattr(asking, "_execute_module", execute)
    monkeypatch.setattr(component._systemd, "show", lambda module, unit: {})
    module = types.SimpleNamespace(no_log_values=set())
    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        checked = action_plugin(role_variables, variables=variables).run(task_vars=variables)
        asking.run(task_vars=variables)
        (etcd,) = [step for step in asked if step["name"] == "etcd"]
        answer = on_host.ask(module, etcd)
    finally:
        sys.setprofile(before)
    assert not checked["failed"], checked["msg"]
    assert {"verb": "write", "subject": "/etc/systemd/system/etcd.service", "reason": ""} in answer["actions"], answer
    return found


def test_the_path_is_short_and_its_files_exist():
    assert 10 < len(listed()) <= 14
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
    assert named - {*listed()} == set()


def test_no_file_whose_functions_get_the_value_is_left_out(carriers):
    assert len(carriers) > 8
    assert {path for path in carriers if f"`{path}`" not in section()} == set()
