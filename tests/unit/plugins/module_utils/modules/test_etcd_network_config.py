# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import base64
import json

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.etcd import _etcdctl
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import etcd_network_config

KEY = "/coreos.com/network/config"
LEASE = "/coreos.com/network/subnets/10.244.5.0-24"
VALUE = '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}'
OTHER = '{"Network":"10.99.0.0/16","Backend":{"Type":"vxlan"}}'
REFUSED = (1, "", '{"level":"warn","error":"connection refused"}\nError: context deadline exceeded\n')


def encoded(text):
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def run(run_module, monkeypatch):
    """Run the module on an etcd that is a dictionary; return its result and the etcdctl commands."""

    def run_it(stored, answer=None, **arguments):
        commands = []

        def run_command(self, command, data=None, **dummy):
            commands.append(command[3])
            if answer:
                return answer
            kvs = [{"key": encoded(key), "value": encoded(value)} for key, value in stored.items()]
            if command[3] == "get":
                return 0, json.dumps({"kvs": kvs}), ""
            if command[3] == "txn" and KEY in stored:
                return 0, json.dumps({"responses": [{"Response": {"response_range": {"kvs": kvs[:1]}}}]}), ""
            return 0, json.dumps({"succeeded": True, "responses": [{"Response": {"response_put": {}}}]}), ""

        monkeypatch.setattr(AnsibleModule, "run_command", run_command)
        monkeypatch.setattr(_etcdctl, "dial", lambda endpoint: "")
        monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda *dummy, **dummies: "etcdctl")
        certificates = {"ca": "", "cert": "", "key": "", "wait": 0}
        return run_module(etcd_network_config, **{**certificates, **arguments}), commands

    return run_it


@pytest.mark.parametrize(
    ("stored", "check", "changed", "commands"),
    [
        ({}, False, True, ["txn"]),
        ({}, True, True, ["get"]),
        ({KEY: VALUE}, False, False, ["txn"]),
        ({KEY: VALUE}, True, False, ["get"]),
        ({KEY: '{"network":"10.244.0.0/16","SubnetLen":24,"backend":{"type":"vxlan"}}'}, False, False, ["txn"]),
    ],
)
def test_present(run, stored, check, changed, commands):
    result, ran = run(stored, network="10.244.0.0/16", _ansible_check_mode=check)
    assert result["changed"] is changed
    assert result["actions"] == ([("write", KEY, "")] if changed else [])
    assert ran == commands
    assert (result["diff"]["before"] != result["diff"]["after"]) is changed
    expected = json.loads(stored.get(KEY, VALUE))
    assert result["config"] == expected


@pytest.mark.parametrize("check", [False, True])
def test_another_network_is_an_error_with_both_values(run, check):
    result, dummy = run({KEY: OTHER}, network="10.244.0.0/16", _ansible_check_mode=check)
    assert result["failed"]
    for part in ("10.99.0.0/16", "10.244.0.0/16", "every node would get a new subnet", "state=absent"):
        assert part in result["msg"]


def test_a_value_that_flannel_refuses_is_an_error(run):
    result, dummy = run({KEY: "nonsense"}, network="10.244.0.0/16")
    assert "flannel refuses" in result["msg"]


def test_the_wanted_value_is_checked_before_etcd_is_asked(run):
    result, commands = run({}, network="10.244.0.1/16")
    assert "write 10.244.0.0/16" in result["msg"]
    assert commands == []


def test_no_key_is_shown(run):
    live = '{"Network":"10.244.0.0/16","Backend":{"Type":"wireguard","PSK":"old hush"}}'
    backend = {"Type": "wireguard", "PSK": "new hush"}
    result, dummy = run({KEY: live}, network="10.244.0.0/16", backend=backend)
    assert result["failed"]
    assert "hush" not in json.dumps(result)
    result, dummy = run({}, network="10.244.0.0/16", backend=backend)
    assert result["changed"]
    assert "hush" not in json.dumps(result)


@pytest.mark.parametrize("state", ["present", "absent"])
def test_no_etcd_yet(run, state):
    result, dummy = run({}, REFUSED, network="10.244.0.0/16", state=state)
    assert result["failed"]
    assert "connection refused" in result["msg"]
    result, dummy = run({}, REFUSED, network="10.244.0.0/16", state=state, _ansible_check_mode=True)
    assert result["changed"] is (state == "present")


def test_another_error_fails_in_check_mode_too(run):
    denied = (1, "", "Error: etcdserver: permission denied\n")
    result, dummy = run({}, denied, network="10.244.0.0/16", _ansible_check_mode=True)
    assert "permission denied" in result["msg"]


@pytest.mark.parametrize(
    ("stored", "force", "check", "changed", "commands"),
    [
        ({}, False, False, False, ["get"]),
        ({LEASE: "{}"}, False, False, False, ["get"]),
        ({KEY: VALUE}, False, False, True, ["get", "del"]),
        ({KEY: VALUE}, False, True, True, ["get"]),
        ({KEY: VALUE, LEASE: "{}"}, True, False, True, ["get", "del"]),
    ],
)
def test_absent(run, stored, force, check, changed, commands):
    result, ran = run(stored, state="absent", force=force, _ansible_check_mode=check)
    assert result["changed"] is changed
    assert result["actions"] == ([("remove", KEY, "")] if changed else [])
    assert ran == commands
    assert result["config"] == {}


def test_absent_is_refused_while_leases_exist(run):
    result, commands = run({KEY: VALUE, LEASE: "{}"}, state="absent")
    assert "10.244.5.0/24" in result["msg"]
    assert commands == ["get"]


def test_on_a_real_etcd(run_module, etcd):
    def run(**arguments):
        return run_module(etcd_network_config, **etcd.options(), **arguments)

    wanted = {"network": "10.244.0.0/16", "backend": {"Type": "vxlan", "VNI": 3}}
    assert run(**wanted, _ansible_check_mode=True)["changed"]
    assert run(**wanted)["changed"]
    value = '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan","VNI":3}}'
    assert etcd.etcdctl("get", KEY, "--print-value-only").stdout.strip() == value
    assert not run(**wanted)["changed"]
    assert "Backend.VNI" in run(network="10.244.0.0/16")["msg"]
    etcd.etcdctl("put", LEASE, "{}")
    assert "10.244.5.0/24" in run(state="absent")["msg"]
    assert run(state="absent", force=True)["changed"]
    assert etcd.etcdctl("get", KEY).stdout == ""


def test_waits_for_a_real_etcd_and_says_who_is_silent(run_module, etcd):
    etcd.process.terminate()
    etcd.process.wait()
    result = run_module(etcd_network_config, **{**etcd.options(), "wait": 0}, network="10.244.0.0/16")
    assert "Connection refused" in result["msg"]
    assert etcd.endpoint in result["msg"]
