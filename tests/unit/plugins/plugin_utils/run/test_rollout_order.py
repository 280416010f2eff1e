# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _rollout_order


def host(
    name,
    state="member",
    to_do=("etcd", "control_plane"),
    running=True,
    leader=False,
    answers=True,
    live=True,
    ready=True,
    action="keep",
):
    """A host that was surveyed."""
    write = {"verb": "write", "subject": "/x", "reason": ""}
    component = {"components": {"x": {"running": running, "ready": ready}}, "actions": [write]}
    member = {"live": live, "leader": leader, "answers": answers, "action": action}
    return _rollout_order.Host(
        name, to_do, {"etcd_member": member, "etcd": component, "control_plane": component}, state
    )


def bare(name):
    return _rollout_order.Host(name, ["etcd_member", "etcd", "control_plane"], {}, "none")


def etcd(*hosts, total=3):
    return tuple(_rollout_order.etcd(hosts, total))


def test_a_new_cluster_starts_together():
    assert etcd(bare("k1"), bare("k2"), bare("k3")) == (["k1", "k2", "k3"], [])


def test_who_runs_is_changed_one_at_a_time_and_the_leader_last():
    assert etcd(host("k1", leader=True), host("k2"), host("k3")) == ([], ["k2", "k3", "k1"])
    assert etcd(host("k1", leader=True), host("k2", to_do=()), host("k3", to_do=["node"])) == ([], ["k1"])


def test_who_does_not_answer_comes_before_those_that_do():
    assert etcd(host("k1"), host("k2", leader=True), host("k3", answers=False)) == ([], ["k3", "k1", "k2"])


def test_the_only_member_has_no_turn():
    assert etcd(host("k1"), total=1) == (["k1"], [])
    assert etcd(bare("k1"), total=1) == (["k1"], [])


def test_growth_joins_one_at_a_time_before_the_others_change():
    assert etcd(host("k1", leader=True), bare("k2"), bare("k3")) == ([], ["k2", "k3", "k1"])


def test_a_member_with_another_address_comes_before_new_ones():
    """They could not reach it."""
    moved = host("k2", action="move", answers=False)
    assert etcd(host("k1", leader=True), moved, bare("k3")) == ([], ["k2", "k3", "k1"])


def test_a_lost_disk_joins_once_those_with_data_run():
    lost = host("k2", state="lost", running=False)
    assert etcd(host("k1", to_do=()), lost, host("k3", to_do=())) == ([], ["k2"])
    stopped = [host(name, running=False, live=False) for name in ("k1", "k3")]
    assert etcd(stopped[0], lost._replace(answers={}), stopped[1]) == (["k1", "k3"], ["k2"])


def test_members_without_a_quorum_start_together():
    hosts = [host(name, running=True, live=False) for name in ("k1", "k2", "k3")]
    assert etcd(*hosts) == (["k1", "k2", "k3"], [])


def test_an_interrupted_foundation_goes_on_together():
    hosts = [
        host("k1", state="founding", live=False),
        host("k2", state="founding", live=False, running=False),
        bare("k3"),
    ]
    assert etcd(*hosts) == (["k1", "k2", "k3"], [])


def test_who_is_out_of_sight_may_have_data():
    assert etcd(bare("k2"), bare("k3")) == ([], ["k2", "k3"])


def control_planes(*hosts, total=3):
    return tuple(_rollout_order.control_planes(hosts, total))


@pytest.mark.parametrize(
    "hosts",
    [
        [bare("k1"), bare("k2"), bare("k3")],
        [host("k1", to_do=()), bare("k2"), bare("k3")],
        [host("k1", to_do=["node"]), host("k2", to_do=["addons"]), host("k3", running=False)],
    ],
)
def test_where_nobody_is_interrupted_all_go_side_by_side(hosts):
    assert control_planes(*hosts) == ([], [])


def test_running_control_planes_go_one_at_a_time_after_those_that_start():
    assert control_planes(host("k1"), host("k2", running=False), bare("k3")) == (["k2", "k3"], ["k1"])
    assert control_planes(host("k1"), host("k2"), host("k3", to_do=())) == ([], ["k1", "k2"])
    assert control_planes(host("k1"), total=1) == ([], [])


def test_a_control_plane_that_is_not_well_is_mended_first():
    assert control_planes(host("k1"), host("k2"), host("k3", ready=False)) == ([], ["k3", "k1", "k2"])


def test_a_control_plane_whose_api_server_alone_is_stopped_is_repaired_first():
    """The gate of every other one waits for it."""
    stopped = host("k2")
    stopped.answers["control_plane"]["components"]["kube-apiserver"] = {"running": False, "ready": False}
    assert control_planes(host("k1"), stopped, host("k3")) == ([], ["k2", "k1", "k3"])


@pytest.mark.parametrize("components", [None, 1, "ready", [False], {"x": None}, {"x": {}}, {"x": {"ready": [False]}}])
def test_a_control_plane_may_answer_anything(components):
    liar = host("k2")
    liar.answers["control_plane"]["components"] = components
    assert control_planes(host("k1"), liar) == ([], ["k2", "k1"])


def test_a_control_plane_that_could_not_be_looked_at_may_run():
    unknown = _rollout_order.Host("k2", ["control_plane"], {"control_plane": {"failed": True}}, "member")
    assert control_planes(host("k1"), unknown) == ([], ["k2", "k1"])
