# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import ast

from lab import inventory, ssh, sums


def test_render():
    text = inventory.render("x", {"k1": "192.0.2.11", "n1": "192.0.2.21", "n2": "192.0.2.22"}, {"a": {"b": False}})
    assert text.splitlines()[1:] == [
        *("[all]", "k1 ansible_host=192.0.2.11", "n1 ansible_host=192.0.2.21", "n2 ansible_host=192.0.2.22", ""),
        *("[control_plane]", "k1", "", "[node]", "n1", "n2", "", "[all:vars]", "a={'b': False}"),
    ]


def test_etcd_hosts_have_a_group():
    assert "[etcd]\ne1\n" in inventory.render("x", {"e1": "192.0.2.31"}, {})


def test_a_host_may_be_control_plane_and_node():
    text = inventory.render("x", {"b1": "192.0.2.31", "n1": "192.0.2.21"}, {})
    assert "[control_plane]\nb1\n\n[node]\nb1\nn1\n" in text


def test_values_are_literals_for_the_format(monkeypatch, tmp_path):
    monkeypatch.setattr(ssh, "key", lambda: tmp_path / "key")
    values = {**inventory.variables("x", "http://192.0.2.1:8000"), **inventory.of_containers(1)}
    lines = dict(line.split("=", 1) for line in inventory.render("x", {}, values).splitlines() if "=" in line)
    assert ast.literal_eval(lines["node_kubelet_config"])["failSwapOn"] is False
    assert lines["artifacts_mirror"] == "http://192.0.2.1:8000"


def test_settings_for_cgroup_v1_only_where_it_is():
    assert {"failCgroupV1", "cgroupRoot"} <= set(inventory.kubelet_config(1))
    assert not {"failCgroupV1", "cgroupRoot"} & set(inventory.kubelet_config(2))


def test_only_containers_have_other_settings_than_users(monkeypatch, tmp_path):
    monkeypatch.setattr(ssh, "key", lambda: tmp_path / "key")
    own = inventory.variables("x", None)
    assert all(name.startswith("ansible_") for name in own)
    assert {*inventory.of_containers(2, bounded=True)} == {
        "node_kubelet_config",
        "node_kube_proxy_config",
        "containerd_runc_path",
    }


def test_waits_are_options_of_the_roles():
    known = sums._roles.variables()
    public = {name for name, value in known.items() if name.endswith("_wait") and value and name[0] != "_"}
    # A lab does not wait longer for resets, and nothing else is given a limit.
    assert public - {"reset_wait"} == {*inventory.WAITS}
    assert {*inventory.of_emulated()} == {*inventory.WAITS, "ansible_ssh_timeout"}
    assert all(known[name] < inventory.of_emulated()[name] for name in inventory.WAITS)
