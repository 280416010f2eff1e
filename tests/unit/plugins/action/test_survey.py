# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.action import survey
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import docker_rebridge
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _steps

RUNS = {"installed": True, "runtime": "docker", "pod_bridge": "docker0"}


@pytest.fixture
def ask(monkeypatch, action_plugin, facts):
    """What is asked of n1, a node, and what the survey makes of its answers."""

    def ask(answers, **others):
        variables = {
            "inventory_hostname": "n1",
            "group_names": ["node"],
            "groups": {"control_plane": ["k1"], "node": ["n1"]},
            "ansible_facts": {"plainkube": {**facts, **RUNS, **others}, "plainkube_address": "192.0.2.21"},
            "ansible_play_hosts_all": ["k1", "n1"],
        }
        variables["hostvars"] = {"n1": variables, "k1": {"ansible_facts": {"plainkube_address": "192.0.2.11"}}}
        plugin = action_plugin(survey)
        asked = []

        def execute(module_name, module_args, task_vars):
            asked.extend(module_args["steps"])
            return answers if "failed" in answers else {"changed": False, "answers": answers}

        monkeypatch.setattr(plugin, "_execute_module", execute)
        return plugin.run(task_vars=variables), {step["name"]: step for step in asked}

    return ask


NAMES = [step.name for step in _steps.steps()]
# A node with Docker takes these, and not those.
OF_A_NODE = {"artifacts", "certificates", "flannel", "docker", "artifacts_images", "node", "node_object"}
OF_OTHERS = {
    "firewall",
    "etcd_member",
    "etcd",
    "etcd_rbac",
    "control_plane",
    "containerd",
    "load_balancer",
    "node_runtime",
}
WELL = {name: {"changed": False, "actions": []} for name in NAMES}
WORK = {"changed": True, "actions": [{"verb": "restart", "subject": "x", "reason": "its unit file changes"}]}


def test_a_host_is_asked_for_the_steps_that_concern_it(ask):
    found, asked = ask(WELL)
    steps = found["steps"]
    assert steps == [*asked] == [name for name in NAMES if name in steps]
    assert OF_A_NODE <= {*steps} <= {*NAMES} - OF_OTHERS
    assert {*NAMES} > OF_OTHERS
    assert (found["to_do"], found["changed"], found["answers"]) == ([], False, {name: WELL[name] for name in steps})
    # What it is asked is 100 KB, which ansible-playbook would keep of every host.
    assert "invocation" not in found
    assert asked["node"]["module"] == "component"
    kubelet = next(one for one in asked["node"]["options"]["components"] if one["name"] == "kubelet")
    assert "/usr/local/bin/kubelet" in kubelet["unit"]


def test_a_survey_does_not_wait_or_download(ask):
    dummy, asked = ask(WELL)
    assert asked["artifacts"]["options"]["state"] == "planned"
    assert not [name for name, step in asked.items() if "wait" in step["options"]]


def test_a_required_option_is_never_left_out(ask, monkeypatch):
    monkeypatch.setitem(docker_rebridge.SPEC, "wait", {"type": "int", "required": True})
    dummy, asked = ask(WELL)
    assert "wait" in asked["docker"]["options"]


def test_what_differs_is_to_do_with_what_builds_on_it(ask):
    found, dummy = ask({**WELL, "docker": WORK})
    assert found["to_do"][0] == "docker"
    assert {"artifacts_images", "node"} < {*found["to_do"]} < {*found["steps"]} - {"artifacts", "flannel"}
    found, dummy = ask({**WELL, "node_object": {"failed": True, "msg": "no API server responds"}})
    assert found["to_do"] == ["node_object"]


def test_pending_work_is_told_and_to_do(ask):
    waits = {"changed": False, "actions": [{"verb": "wait", "subject": "/opt/plainkube/.staged", "reason": ""}]}
    found, dummy = ask({**WELL, "artifacts": waits, "docker": WORK, "node": {"actions": ["wait"]}})
    assert found["waiting"] == ["artifacts"]
    assert "artifacts" in found["to_do"]
    assert ask(WELL)[0]["waiting"] == []


def test_each_survey_has_a_mark_of_its_own(ask):
    marks = {ask(WELL)[0]["survey"] for dummy in range(3)}
    assert len(marks) == 3
    assert "" not in marks


def test_a_bare_host_has_to_take_all_steps_and_is_not_asked(ask):
    found, asked = ask({}, installed=False)
    assert (found["to_do"], asked, found["answers"]) == (found["steps"], {}, {})
    assert {*found["steps"]} >= OF_A_NODE


def test_an_answer_that_is_missing_is_to_do(ask):
    found, dummy = ask({name: answer for name, answer in WELL.items() if name != "node_object"})
    assert found["to_do"] == ["node_object"]


def test_a_host_answers_for_its_steps_only(ask):
    found, dummy = ask({**WELL, "etcd": WORK, "flannel_network": WORK})
    assert found["to_do"] == []
    assert list(found["answers"]) == found["steps"]
    assert not OF_OTHERS & {*found["steps"]}
    found, dummy = ask({**WELL, "docker": "nothing"})
    assert found["failed"]
    assert "Host n1 answered module plainkube.cluster.survey with no valid docker: inspect that host" in found["msg"]


def test_a_module_that_fails_ends_the_run(ask):
    found, dummy = ask({"failed": True, "msg": "no Python"})
    assert (found["failed"], found["msg"]) == (True, "no Python")
