# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""With real etcd members as processes. The fleet does what role etcd's unit does."""

from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import etcd_member
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _systemd


@pytest.fixture
def member(run_module, etcd_fleet, monkeypatch):
    """Run the module on a host of the fleet."""

    def run(name, *others, **more):
        path = etcd_fleet.host(name)
        monkeypatch.setattr(_places, "ETCD_DATA", str(path / "data"))
        monkeypatch.setattr(_places, "ETCD_FIRST_START", str(path / "first-start"))
        monkeypatch.setattr(_places, "UNITS", str(path))
        return run_module(etcd_member, **{**etcd_fleet.options(name, *others), **more})

    return run


@pytest.fixture
def prepare(member, etcd_fleet, monkeypatch):
    """Run the module on a host: in check mode and then really. Both answer alike."""
    monkeypatch.setattr(
        _systemd, "systemctl", lambda module, verb, unit, **dummy: etcd_fleet.stop(module.params["name"])
    )

    def run(name, *others, **more):
        plan = member(name, *others, **more, _ansible_check_mode=True)
        done = member(name, *others, **more)
        if not done.get("failed"):
            assert {key: plan[key] for key in ("changed", "action", "actions", "diff")} == {
                key: done[key] for key in ("changed", "action", "actions", "diff")
            }
        return done

    return run


@pytest.fixture
def join(member, etcd_fleet, prepare):
    """Start what was prepared, and give it its vote."""

    def run(name, *others):
        etcd_fleet.start(name)
        etcd_fleet.ready(name)
        result = member(name, *others, state="voting")
        assert result["changed"], result
        assert result["actions"] == [("join", "etcd as a voting member", "")]
        again = member(name, *others, state="voting")
        assert not again["changed"], again

    return run


@pytest.fixture
def found(etcd_fleet, prepare):
    """A cluster of these hosts."""

    def run(*names):
        for name in names:
            prepared = prepare(name, *(set(names) - {name}))
            assert prepared["action"] == "bootstrap"
            assert prepared["actions"] == [("write", str(etcd_fleet.host(name) / "first-start"), "")]
        etcd_fleet.start(*names)
        etcd_fleet.ready(*names)

    return run


def test_a_new_cluster_is_founded_once(etcd_fleet, prepare, found):
    found("k1", "k2", "k3")
    assert etcd_fleet.members("k2") == {"k1": True, "k2": True, "k3": True}
    again = prepare("k1", "k2", "k3")
    assert (again["action"], again["changed"], again["live"], again["answers"]) == ("keep", False, True, True)
    assert again["actions"] == []
    assert not (etcd_fleet.host("k1") / "first-start").exists()


def test_growth_and_a_run_that_was_killed_in_it(etcd_fleet, member, prepare, join, found):
    found("k1")
    etcd_fleet.etcdctl("k1", "put", "a", "1")
    added = prepare("k2", "k1", "k3")
    first_start = ("write", str(etcd_fleet.host("k2") / "first-start"), "")
    assert (added["action"], added["actions"]) == ("add", [("join", "etcd as a learner of k1", ""), first_start])
    # Killed before the file was written, and again before etcd was started.
    (etcd_fleet.host("k2") / "first-start").unlink()
    again = prepare("k2", "k1", "k3")
    waits = ("wait", "etcd", "k2 is a learner and must be promoted")
    joins = ("join", "etcd where it was added and has never started", "")
    assert (again["action"], again["actions"]) == ("resume", [joins, first_start, waits])
    again = prepare("k2", "k1", "k3")
    assert (again["action"], again["changed"], again["actions"]) == (
        "resume",
        False,
        [("wait", "etcd", "k2 is a learner and must be promoted")],
    )
    refused = prepare("k3", "k1", "k2", wait=0)
    assert "learner" in refused["msg"]
    assert "one at a time" in refused["msg"]
    # Killed before the promotion.
    etcd_fleet.start("k2")
    etcd_fleet.ready("k2")
    kept = prepare("k2", "k1", "k3")
    assert (kept["action"], kept["learner"]) == ("keep", True)
    # So that the next run's survey finds it, though nothing else is to do.
    assert kept["actions"] == [("wait", "etcd", "k2 is a learner and must be promoted")]
    assert etcd_fleet.members("k1") == {"k1": True, "k2": False}
    join_again = member("k2", "k1", "k3", state="voting")
    assert join_again["changed"], join_again

    assert prepare("k3", "k1", "k2")["action"] == "add"
    join("k3", "k1", "k2")
    assert etcd_fleet.members("k3") == {"k1": True, "k2": True, "k3": True}
    assert etcd_fleet.etcdctl("k3", "get", "a")["count"] == 1


def test_a_lost_disk_is_no_new_cluster(etcd_fleet, prepare, join, found):
    found("k1", "k2", "k3")
    cluster = etcd_fleet.cluster("k1")
    etcd_fleet.etcdctl("k1", "put", "a", "1")
    etcd_fleet.lose("k2")
    # By itself it comes to nothing.
    etcd_fleet.start("k2")
    assert etcd_fleet.processes["k2"].wait(timeout=etcd_fleet.SECONDS) != 0
    etcd_fleet.stop("k2")
    etcd_fleet.serves("k1")

    replaced = prepare("k2", "k1", "k3")
    assert replaced["action"] == "replace", replaced
    assert replaced["actions"][0] == ("join", "etcd again, as a learner of k1, k3, because its data is lost", "")
    join("k2", "k1", "k3")
    assert etcd_fleet.cluster("k2") == cluster
    assert etcd_fleet.members("k2") == {"k1": True, "k2": True, "k3": True}
    assert etcd_fleet.etcdctl("k2", "get", "a")["count"] == 1


def test_a_lost_disk_without_a_quorum(etcd_fleet, prepare, found):
    found("k1", "k2", "k3")
    etcd_fleet.lose("k2")
    etcd_fleet.stop("k3")
    refused = prepare("k2", "k1", "k3", wait=0)
    assert refused["failed"]
    for part in ("k1, k3 have", "must not bootstrap a second cluster", "restore a backup"):
        assert part in refused["msg"], refused
    assert not (etcd_fleet.host("k2") / "first-start").exists()


def test_no_data_left_at_all(etcd_fleet, prepare, found):
    found("k1")
    etcd_fleet.lose("k1")
    refused = prepare("k1")
    assert "restore a backup" in refused["msg"]
    assert "reset_hosts=k1" in refused["msg"]


def test_an_interrupted_foundation_goes_on(etcd_fleet, prepare):
    names = ("k1", "k2", "k3")
    assert prepare("k1", "k2", "k3")["action"] == "bootstrap"
    etcd_fleet.start("k1")
    # It has data and waits for the others, of which nothing is there yet.
    assert poll(lambda: etcd_fleet.has_data("k1"), bool, etcd_fleet.SECONDS)
    for name in ("k2", "k3"):
        assert prepare(name, *(set(names) - {name}))["action"] == "bootstrap"
    etcd_fleet.start("k2", "k3")
    etcd_fleet.ready(*names)
    assert len(etcd_fleet.members("k1")) == 3


def test_data_of_another_cluster(etcd_fleet, prepare, found):
    found("k1")
    found("k2")
    refused = prepare("k1", "k2", "k3")
    assert "different clusters" in refused["msg"]
    etcd_fleet.stop("k2")
    refused = prepare("k2", "k1", "k3")
    assert "data of another cluster" in refused["msg"]
    assert "the current members are k1" in refused["msg"]
    # And no member is added meanwhile.
    assert etcd_fleet.members("k1") == {"k1": True}


def test_a_member_that_is_not_in_the_inventory(etcd_fleet, prepare, found):
    found("k1", "x", "y")
    refused = prepare("k2", "k1", "k3", wait=0)
    assert "which is not an etcd host in the inventory" in refused["msg"]
    assert "etcdctl member remove" in refused["msg"]


def test_who_has_not_been_looked_at_may_have_data(etcd_fleet, prepare):
    options = etcd_fleet.options("k1", "k2", "k3")
    options["members"][2]["state"] = ""
    refused = prepare("k1", "k2", "k3", members=options["members"])
    assert "it is unknown whether k3 has etcd data" in refused["msg"]


def test_the_leader_steps_aside(etcd_fleet, prepare, found):
    found("k1", "k2", "k3")
    identities = {one["ID"]: one["name"] for one in etcd_fleet.etcdctl("k1", "member", "list")["members"]}

    def leader_is_prepared():
        """On a busy machine, another member may be the leader when the module asks."""
        identity = etcd_fleet.etcdctl("k1", "endpoint", "status")[0]["Status"]["leader"]
        leader = identities[identity]
        others = sorted({"k1", "k2", "k3"} - {leader})
        result = prepare(leader, *others)
        assert not result["changed"]
        return result["leader"] and (leader, others[0], identity)

    leader, successor, identity = poll(leader_is_prepared, bool, etcd_fleet.SECONDS)
    to = next(one for one, name in identities.items() if name == successor)
    assert f"{identity:x} [term" in etcd_fleet.log(leader)
    assert f"starts to transfer leadership to {to:x}" in etcd_fleet.log(leader)


def test_nobody_is_restarted_whom_the_quorum_needs(etcd_fleet, prepare, found):
    found("k1", "k2", "k3")
    etcd_fleet.stop("k3")
    etcd_fleet.serves("k2")
    refused = prepare("k2", "k1", "k3", wait=1)
    assert refused["failed"]
    assert "without k2 etcd would have no quorum (k3 of the 2 other members is not healthy)" in refused["msg"]


# A host's address changes


@pytest.fixture
def move(etcd_fleet, member, prepare):
    """Run the module on a host with another address, restart its etcd, and run it again as the role does."""

    def run(name, *others):
        prepared = prepare(name, *others)
        assert prepared["action"] == "move", prepared
        assert prepared["changed"]
        (action,) = prepared["actions"]
        assert action[:2] == ("join", f"etcd at {etcd_fleet.urls[name][0]}") or action[1].startswith(
            f"etcd at {etcd_fleet.urls[name][0]} instead of http://127.0.0.1:"
        )
        etcd_fleet.stop(name)
        etcd_fleet.start(name)
        voted = member(name, *others, state="voting")
        assert not voted.get("failed"), voted
        for one in (name, *others):
            if one in etcd_fleet.processes:
                assert etcd_fleet.peer_urls(one)[name] == [etcd_fleet.urls[name][0]]
        again = prepare(name, *others)
        assert (again["action"], again["changed"]) == ("keep", False)

    return run


@pytest.mark.parametrize("others", [(), ("k2", "k3")])
@pytest.mark.parametrize("running", [True, False])
def test_a_host_with_another_address(etcd_fleet, found, move, others, running):
    """etcd still runs at the old address, or does not start any more because the host has lost it."""
    found("k1", *others)
    etcd_fleet.etcdctl("k1", "put", "a", "1")
    cluster = etcd_fleet.cluster("k1")
    if not running:
        etcd_fleet.stop("k1")
        for one in others[:1]:
            etcd_fleet.serves(one)
    etcd_fleet.move("k1")
    move("k1", *others)
    assert etcd_fleet.cluster("k1") == cluster
    assert etcd_fleet.etcdctl("k1", "get", "a")["count"] == 1


def test_another_address_after_a_power_failure(etcd_fleet, member, prepare, found):
    """All members start together; then the others can learn the address."""
    names = ("k1", "k2", "k3")
    found(*names)
    etcd_fleet.stop(*names)
    etcd_fleet.move("k2")
    actions = {name: prepare(name, *(set(names) - {name}), wait=0)["action"] for name in names}
    assert actions == {"k1": "keep", "k2": "move", "k3": "keep"}
    etcd_fleet.start(*names)
    voted = member("k2", "k1", "k3", state="voting")
    assert not voted.get("failed"), voted
    assert etcd_fleet.peer_urls("k2")["k2"] == [etcd_fleet.urls["k2"][0]]


def test_another_address_in_check_mode(etcd_fleet, member, found):
    """The plan has one action, and the members do not hear of the address."""
    found("k1")
    etcd_fleet.move("k1")
    plan = member("k1", _ansible_check_mode=True)
    assert plan["actions"][0][1].startswith("etcd at http://127.0.0.3:")
    assert member("k1", state="voting", _ansible_check_mode=True)["actions"] == []
    etcd_fleet.urls["k1"] = tuple(url.replace("127.0.0.3", "127.0.0.1") for url in etcd_fleet.urls["k1"])
    assert etcd_fleet.peer_urls("k1") == {"k1": [etcd_fleet.urls["k1"][0]]}
