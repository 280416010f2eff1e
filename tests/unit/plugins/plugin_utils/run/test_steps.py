# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The steps of site.yml, as the roles' tasks declare them, and the pending steps of a host."""

from __future__ import annotations

import importlib
import re

import pytest
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _rollout_order, _steps

NAMES = [step.name for step in _steps.steps()]
CODE = "ansible_collections.plainkube.cluster.plugins.module_utils.modules"


def host(name="k1", to_do=(), steps=("etcd", "docker"), **more):
    """The variables of a host that has been surveyed."""
    survey = {"survey": "now", "to_do": [*to_do], "steps": [*steps], "answers": {}}
    return {"inventory_hostname": name, "__survey_result": survey, **more}


def test_the_steps_in_the_order_of_the_run():
    first = ["artifacts", "certificates", "firewall", "etcd_member", "etcd", "etcd_rbac", "flannel_network"]
    assert NAMES[: len(first)] == first
    # The play that migrates nodes takes some of these before, but most hosts are not in it.
    assert NAMES.index("control_plane") < NAMES.index("flannel") < NAMES.index("docker") < NAMES.index("node")
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("step", _steps.steps(), ids=NAMES)
def test_a_step_can_be_asked_for(step):
    code = importlib.import_module(f"{CODE}.{step.module}")
    assert callable(code.run)
    assert set(step.options) <= set(code.SPEC)
    assert set(getattr(code, "SURVEY", {})) <= set(code.SPEC)
    assert set(step.builds_on) <= set(NAMES)


def taken_by(play):
    """The steps that bring a host into a play, of those that the play has."""
    steps = [
        task.name for task in _steps._tasks(play.get("tasks", []), "", _steps.Above()) if task.builds_on is not None
    ]
    service = re.search(r"plainkube.cluster.rollout', '(\w+)'", play.get("vars", {}).get("rollout", ""))
    if service:
        return {*steps} & {*{"etcd": _rollout_order.ETCD, "control_plane": _rollout_order.CONTROL_PLANE}[service[1]]}
    pending = re.search(r"plainkube.cluster.pending'(.*)\)", play.get("hosts", ""))
    terms = re.findall(r"'(\w+)'", pending[1]) if pending else []
    return {*steps} & {*terms} if terms else {*steps}


def test_a_host_with_nothing_but_one_step_to_take_is_in_a_play_that_takes_it():
    assert set().union(*map(taken_by, _roles.load(_steps.SITE))) == {*NAMES}


def test_conditions_and_options_of_blocks_and_files_are_the_steps_own():
    entries = [
        {
            "when": "a",
            "module_defaults": {"plainkube.cluster.component": {"components": "c", "wait": 1}},
            "block": [
                {
                    "plainkube.cluster.component": {"wait": 2},
                    "when": ["b", "c"],
                    "register": "__x_result",
                    "vars": {"builds_on": ["y"]},
                }
            ],
        },
        {"plainkube.cluster.component": None},
    ]
    found = list(_steps._tasks(entries, "x", _steps.Above()))
    assert found == [
        _steps.Task("x", "component", {"components": "c", "wait": 2}, ("a", "b", "c"), "__x_result", ("y",))
    ]


def test_shared_variables_refer_only_to_those_above_them():
    names = _roles.shared()
    for number, name in enumerate(names):
        words = {*re.findall(r"\w+", str(_roles.variables()[name]))}
        assert not words & {*names[number:]}, name


def test_what_builds_on_a_step_is_taken_too():
    assert _steps.closure([]) == []
    assert _steps.closure(["node_object"]) == ["node_object"]
    # containerd_network builds on flannel, which builds on flannel_network.
    assert {"flannel", "containerd_network", "docker", "artifacts_images", "node"} <= {
        *_steps.closure(["flannel_network"])
    }
    assert "control_plane" not in _steps.closure(["etcd"])
    assert not {"certificates", "firewall", "node_object"} & {*_steps.closure(["artifacts"])}


def test_what_the_survey_found_is_pending_until_it_is_taken():
    found = host(to_do=["etcd", "docker"])
    assert _steps.pending(found, network_changed=False) == ["etcd", "docker"]
    found["__etcd_result"] = {"changed": True, "survey": "now"}
    assert _steps.pending(found, network_changed=False) == ["docker"]
    # From the pass before, which certificates.yml runs.
    found["__etcd_result"] = {"changed": True, "survey": "before"}
    assert _steps.pending(found, network_changed=False) == ["etcd", "docker"]
    # Skipped, or with nothing registered.
    found["__etcd_result"] = {"changed": False, "skipped": True}
    assert _steps.pending(found, network_changed=False) == ["etcd", "docker"]


def test_all_steps_are_pending_with_new_cas_or_another_network():
    assert _steps.pending(host(), network_changed=False) == []
    assert _steps.pending(host(), network_changed=True) == ["etcd", "docker"]
    signed = {"hosts": {"k1": {"replaced": ["/etc/kubernetes/pki/ca.crt"]}, "n1": {"replaced": []}}}
    assert _steps.pending(host(__certificates_signed=signed), network_changed=False) == ["etcd", "docker"]
    assert _steps.pending(host("n1", __certificates_signed=signed), network_changed=False) == []


def test_nothing_is_pending_without_a_survey():
    assert _steps.pending({"inventory_hostname": "k1"}, network_changed=True) == []
    assert (
        _steps.pending({"inventory_hostname": "k1", "__survey_result": {"skipped": True}}, network_changed=True) == []
    )


def test_the_network_has_changed_if_a_member_has_changed_it_in_this_pass():
    changed = {"__flannel_network_result": {"changed": True, "survey": "now"}}
    assert _steps.changed_network([host(), host(**changed)])
    assert not _steps.changed_network([host(), host(__flannel_network_result={"changed": False, "survey": "now"})])
    assert not _steps.changed_network([host(__flannel_network_result={"changed": True, "survey": "before"})])


def test_files_that_were_replaced_in_this_pass():
    results = {
        "__artifacts_result": {"replaced": ["/usr/local/bin/etcd"], "survey": "now"},
        "__certificates_result": {"made": ["/etc/kubernetes/pki/etcd/server.key"], "survey": "now"},
        "__certificates_signed": {"hosts": {"k1": {"replaced": ["/etc/kubernetes/pki/ca.crt"]}}},
    }
    paths = ["/usr/local/bin/etcd", "/etc/kubernetes/pki/etcd/server.key", "/etc/kubernetes/pki/ca.crt"]
    assert _steps.replaced(host(**results)) == paths
    results["__artifacts_result"]["survey"] = "before"
    assert _steps.replaced(host(**results)) == paths[1:]
    # A role in a play of the user's, without a survey.
    assert _steps.replaced({"inventory_hostname": "k1", "__artifacts_result": {"replaced": ["/a"]}}) == ["/a"]
    assert _steps.replaced({"inventory_hostname": "k1"}) == []


def test_hosts_that_were_surveyed_are_in_the_inventorys_order():
    known = {"n1": host("n1"), "k1": host("k1"), "k2": {"inventory_hostname": "k2"}, "db": host("db")}
    groups = {"all": ["k1", "k2", "n1", "db"], "plainkube_hosts": ["n1", "k2", "k1"]}
    assert list(_steps.surveyed({"groups": groups, "hostvars": known})) == ["k1", "n1"]
    assert _steps.surveyed({"groups": {"all": ["k1"]}, "hostvars": known}) == {}


def test_what_site_registers_is_in_the_order_of_the_run():
    results = _steps.results()
    assert results.index("__artifacts_result") < results.index("__certificates_signed") < results.index("__node_result")
