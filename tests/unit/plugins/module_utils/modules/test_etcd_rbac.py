# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.etcd import _etcdctl
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import etcd_rbac

REFUSED = (1, "", '{"level":"warn","error":"connection refused"}\nError: context deadline exceeded\n')
WANTED = {
    "roles": [
        {"name": "flannel", "permissions": [{"key": "/coreos.com/network/", "prefix": True}]},
        {"name": "apiserver", "permissions": [{"key": "/registry/", "prefix": True}, {"key": "compact_rev_key"}]},
    ],
    "users": [{"name": "flanneld", "roles": ["flannel"]}, {"name": "kube-apiserver", "roles": ["apiserver"]}],
}


@pytest.fixture
def run(run_module, monkeypatch):
    """Run the module on an empty etcd, or one with a given answer; return its result and the etcdctl commands."""

    def run_it(answer=(0, "{}", ""), **arguments):
        commands = []

        def run_command(self, command, **dummy):
            commands.append(" ".join(command[3:]))
            return answer

        monkeypatch.setattr(AnsibleModule, "run_command", run_command)
        monkeypatch.setattr(_etcdctl, "dial", lambda endpoint: "")
        monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda *dummy, **dummies: "etcdctl")
        certificates = {"ca": "", "cert": "", "key": "", "wait": 0}
        return run_module(etcd_rbac, **certificates, **arguments), commands

    return run_it


COMMANDS = [
    "role add flannel",
    "role grant-permission flannel readwrite --prefix /coreos.com/network/",
    "role add apiserver",
    "role grant-permission apiserver readwrite --prefix /registry/",
    "role grant-permission apiserver readwrite compact_rev_key",
    "user add flanneld --no-password",
    "user grant-role flanneld flannel",
    "user add kube-apiserver --no-password",
    "user grant-role kube-apiserver apiserver",
    "user add root --no-password",
    "user grant-role root root",
    "auth enable",
]
CHANGED = ("role flannel", "role apiserver", "user flanneld", "user kube-apiserver", "user root", "auth")
ACTIONS = [("apply", f"etcd's {name}", "") for name in CHANGED]
READS = ["auth status", "role list", "user list"]


def test_check_mode_only_reads(run):
    result, commands = run(**WANTED, _ansible_check_mode=True)
    assert result["changed"]
    assert commands == READS
    assert result["actions"] == ACTIONS
    assert "auth: on" in result["diff"]["after"]


def test_applies_what_check_mode_told(run):
    told, dummy = run(**WANTED, _ansible_check_mode=True)
    result, commands = run(**WANTED)
    assert commands == READS + COMMANDS
    assert result == told


def test_no_etcd_yet(run):
    result, dummy = run(REFUSED, **WANTED, _ansible_check_mode=True)
    assert result["changed"]
    result, dummy = run(REFUSED, **WANTED)
    assert "connection refused" in result["msg"]


def test_a_user_with_an_unknown_role_is_refused_before_etcd_is_asked(run):
    result, commands = run(users=[{"name": "u", "roles": ["missing"]}])
    assert "missing" in result["msg"]
    assert commands == []


def test_on_a_real_etcd(run_module, etcd):
    def run(**arguments):
        return run_module(etcd_rbac, **etcd.options(), **{**WANTED, **arguments})

    assert run(_ansible_check_mode=True)["changed"]
    first = run()
    assert first["changed"], first
    assert first["actions"] == ACTIONS
    again = run()
    assert again["changed"] is False, again
    assert etcd.etcdctl("put", "/coreos.com/network/config", "{}", user="flanneld").returncode == 0
    assert etcd.etcdctl("put", "compact_rev_key", "1", user="kube-apiserver").returncode == 0
    for user, key in (
        ("flanneld", "/registry/x"),
        ("flanneld", "compact_rev_key"),
        ("kube-apiserver", "/coreos.com/x"),
    ):
        assert "permission denied" in etcd.etcdctl("get", key, user=user).stderr

    # An additional role and an additional permission for flannel.
    etcd.etcdctl("role", "grant-permission", "flannel", "read", "--prefix", "/registry/")
    etcd.etcdctl("user", "grant-role", "flanneld", "apiserver")
    assert etcd.etcdctl("get", "/registry/x", user="flanneld").returncode == 0
    narrowed = run()
    assert narrowed["actions"] == [("apply", "etcd's role flannel", ""), ("apply", "etcd's user flanneld", "")]
    assert "permission denied" in etcd.etcdctl("get", "/registry/x", user="flanneld").stderr


def test_a_real_etcd_refuses_a_user_without_the_right(run_module, etcd):
    run_module(etcd_rbac, **etcd.options(), **WANTED)
    result = run_module(etcd_rbac, **etcd.options("flanneld"), **WANTED)
    assert "permission denied" in result["msg"]
    assert json.dumps(result).count("flanneld.crt")
