# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Role survey asks for what the roles' tasks do."""

from __future__ import annotations

import pathlib
import re

import pytest
import yaml

ROLES = pathlib.Path(__file__).parents[3] / "roles"
# What only says how to go about it: what to wait for, what the run has done before, and which way downloads take.
MANNERS = {"wait", "available", "replaced", "state", "http_proxy", "https_proxy", "no_proxy"}


def load(path):
    return yaml.safe_load((ROLES / path).read_text(encoding="utf-8"))


STEPS = {
    value["name"]: value
    for value in load("survey/vars/main.yml").values()
    if isinstance(value, dict) and "module" in value
}
# Step -> the file of tasks that takes it.
TASKS = {
    "artifacts": "artifacts/tasks/missing.yml",
    "certificates": "certificates/tasks/ask.yml",
    "firewall": "firewall/tasks/run.yml",
    "etcd_member": "etcd/tasks/run.yml",
    "etcd": "etcd/tasks/run.yml",
    "etcd_rbac": "etcd/tasks/access.yml",
    "flannel_network": "flannel/tasks/network.yml",
    "load_balancer": "load_balancer/tasks/run.yml",
    "control_plane": "control_plane/tasks/run.yml",
    "addons": "addons/tasks/run.yml",
    "flannel": "flannel/tasks/run.yml",
    "runtime": "node/tasks/leave_runtime.yml",
    "containerd": "containerd/tasks/run.yml",
    "pod_network": "containerd/tasks/run.yml",
    "docker": "docker/tasks/run.yml",
    "images": "artifacts/tasks/images.yml",
    "node": "node/tasks/run.yml",
    "node_object": "node/tasks/labels.yml",
    "load_balancer_removal": "load_balancer/tasks/remove.yml",
}


def test_shared_variables_follow_those_that_they_refer_to():
    shared = load("survey/vars/main.yml")["__survey_shared"]
    known = {**load("cluster/vars/main.yml"), **load("artifacts/vars/main.yml")}
    for number, name in enumerate(shared):
        later = set(shared[number:]) & set(re.findall(r"__\w+", str(known[name])))
        assert not later, name


def essential(options):
    return {name: value for name, value in options.items() if name not in MANNERS}


def test_every_step_is_known():
    assert list(STEPS) == list(TASKS)
    assert load("cluster/vars/main.yml")["__cluster_steps"] == list(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_a_step_has_the_options_of_its_task(name):
    module = f"plainkube.cluster.{STEPS[name]['module']}"
    tasks = [task for task in load(TASKS[name]) if module in task]
    assert tasks
    for task in tasks:
        assert essential(STEPS[name]["options"]) == essential(task[module])
