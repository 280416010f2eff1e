# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.etcd import _member
from ansible_collections.plainkube.cluster.plugins.module_utils.etcd._member import Host, Live, Member


def url(name, port=2380):
    return f"https://{name}:{port}"


def hosts(**states):
    return [Host(name, url(name), url(name, 2379), state) for name, state in states.items()]


def member(name, identity, started=True, learner=False):
    return Member(identity, name if started else "", (url(name),), (url(name, 2379),) if started else (), learner)


def live(*members, leader=1):
    return Live(members, leader)


def decide(me, states, view=None, has_data=False, moved=False, identity=None, responds=bool):
    found = hosts(**states)
    mine = next(host for host in found if host.name == me)
    own = view and (view.find(mine) or _member.moved(view, mine, found, identity, responds))
    data = _member.Data("/data", own, moved) if has_data else None
    return _member.decide(mine, data, found, view, "nobody listens")


def refusal(*arguments, **more):
    with pytest.raises(_member.Refusal) as caught:
        decide(*arguments, **more)
    return str(caught.value)


NEW = "ETCD_INITIAL_CLUSTER=a=b\nETCD_INITIAL_CLUSTER_STATE=new\n"


@pytest.mark.parametrize(
    ("files", "state"),
    [
        ((False, None, False), "none"),
        ((True, None, True), "member"),
        ((True, None, False), "member"),
        ((False, None, True), "lost"),
        ((False, NEW, True), "founding"),
        ((True, NEW, True), "founding"),
        ((False, NEW.replace("=new", "=existing"), True), "joining"),
    ],
)
def test_what_the_files_say(files, state):
    assert _member.state_of(*files) == state


def test_environments():
    first, second = hosts(k1="none", k2="none")
    pairs = [(first.name, first.peer_url), (second.name, second.peer_url)]
    assert _member.environment(pairs, new=True) == (
        "ETCD_INITIAL_CLUSTER=k1=https://k1:2380,k2=https://k2:2380\nETCD_INITIAL_CLUSTER_STATE=new\n"
    )
    # Under the name that the live cluster has for a member, and this host last, whatever it was listed as.
    view = live(member("k2", 7, started=False, learner=True), Member(1, "old", (url("k1"),), (), False))
    assert _member.joined(view, second, [first, second]) == [("old", url("k1")), ("k2", url("k2"))]
    assert _member.joined(None, second, [first, second]) == pairs


@pytest.mark.parametrize(
    ("states", "action"),
    [
        ({"k1": "none"}, "bootstrap"),
        ({"k1": "founding"}, "bootstrap"),
        ({"k1": "none", "k2": "founding", "k3": "none"}, "bootstrap"),
    ],
)
def test_a_new_cluster(states, action):
    assert decide("k1", states).action == action


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ({"k1": "lost"}, "etcd has run on k1, its data is gone"),
        ({"k1": "none", "k2": "lost", "k3": "lost"}, "etcd has run on k2, k3"),
        ({"k1": "joining", "k2": "none", "k3": "none"}, "etcd has run on k1"),
        ({"k1": "none", "k2": "member", "k3": "none"}, "k1 has no etcd data and k2 has"),
        ({"k1": "lost", "k2": "member", "k3": "joining"}, "k1 has no etcd data and k2, k3 have"),
        ({"k1": "none", "k2": "", "k3": "none"}, "it is unknown whether k2 has etcd data"),
        ({"k1": "lost", "k2": "", "k3": ""}, "it is unknown whether k2, k3 have etcd data"),
    ],
)
def test_no_second_cluster(states, words):
    assert words in refusal("k1", states)


THREE = live(member("k1", 1), member("k2", 2), member("k3", 3))
STATES = {"k1": "member", "k2": "member", "k3": "member"}


def test_places_in_a_live_cluster():
    assert decide("k2", STATES, THREE, has_data=True).action == "keep"
    assert decide("k2", STATES, None, has_data=True).action == "keep"
    assert decide("k2", {**STATES, "k2": "lost"}, THREE).action == "replace"
    assert decide("k2", {**STATES, "k2": "none"}, live(member("k1", 1))).action == "add"
    unstarted = member("k2", 2, started=False, learner=True)
    assert decide("k2", {**STATES, "k2": "joining"}, live(member("k1", 1), unstarted)).action == "resume"


ELSEWHERE = live(member("k1", 1), Member(2, "k2", (url("old"),), (url("old", 2379),), False), member("k3", 3))


@pytest.mark.parametrize(
    "how",
    [
        {"identity": 2},
        # etcd does not run on the host: nothing responds at the member's address.
        {"responds": lambda dummy: False},
    ],
)
def test_a_member_whose_host_has_another_address(how):
    plan = decide("k2", STATES, ELSEWHERE, has_data=True, moved=True, **how)
    assert plan == ("move", "at https://k2:2380 instead of https://old:2380")
    # As after a run that was killed before the other members knew the address.
    assert decide("k2", STATES, ELSEWHERE, has_data=True, **how) == plan
    # And as after one that was killed later.
    assert decide("k2", STATES, THREE, has_data=True, moved=True).action == "keep"


def test_a_member_with_a_new_address_is_not_another_one():
    """Once the members know the address, and before etcd has restarted there."""
    (old,), (new,) = ELSEWHERE.members[1].peer_urls, THREE.members[1].peer_urls
    before, after = ELSEWHERE.members[1], ELSEWHERE.members[1]._replace(peer_urls=(new,))
    assert old != new
    assert _member.spare_problems(live(after), before, []) == ""
    healthy = [url("k1", 2379), url("old", 2379)]
    view = live(THREE.members[0], after, THREE.members[2])
    assert _member.spare_problems(view, before, healthy) == "k3 of the 2 other members is not healthy"
    assert _member.successor(view, before, hosts(k1="member", k2="member", k3="member"), healthy).name == "k1"
    assert _member.successor(live(after), before, hosts(k2="member"), healthy) is None


def test_the_new_address_of_a_member_without_a_quorum():
    """The other members learn it once there is one."""
    assert decide("k2", STATES, None, has_data=True, moved=True) == ("move", "at https://k2:2380")


@pytest.mark.parametrize("how", [{"identity": 9}, {"responds": lambda address: address == url("old", 2379)}])
def test_data_of_no_member_take_nobodys_place(how):
    """Another member has the host's name, and runs; or etcd on the host runs, and is not that member."""
    assert "data of another cluster" in refusal("k2", STATES, ELSEWHERE, has_data=True, moved=True, **how)


def test_a_founder_that_never_started_is_replaced():
    """It has a name from the beginning on, and may have had data since."""
    founder = Member(2, "k2", (url("k2"),), (), False)
    assert (
        decide("k2", {**STATES, "k2": "founding"}, live(member("k1", 1), founder, member("k3", 3))).action == "replace"
    )


def test_refusals_in_a_live_cluster():
    assert "data of another cluster" in refusal("k2", STATES, live(member("k1", 1)), has_data=True)
    states = {**STATES, "k2": "none"}
    assert "the member x (9), which is not an etcd host" in refusal("k2", states, live(member("k1", 1), member("x", 9)))
    learner = live(member("k1", 1), member("k3", 3, learner=True))
    assert "etcd has the learner k3, and accepts one at a time" in refusal("k2", states, learner)


def test_two_clusters():
    def status(**identities):
        return [{"Endpoint": name, "Status": {"header": {"cluster_id": one}}} for name, one in identities.items()]

    _member.refuse_two_clusters(_member.clusters(status(a=1, b=1)), "/data")
    with pytest.raises(_member.Refusal, match="a, c of 1 and b of ff"):
        _member.refuse_two_clusters(_member.clusters(status(a=1, b=255, c=1)), "/data")


@pytest.mark.parametrize(
    ("view", "healthy", "problem"),
    [
        (THREE, ["k2", "k3"], ""),
        (THREE, ["k1", "k2"], "k3 of the 2 other members is not healthy"),
        (THREE, [], "k2, k3 of the 2 other members are not healthy"),
        (live(member("k1", 1)), [], ""),
        (live(member("k1", 1), member("k2", 2)), ["k2"], ""),
        (live(member("k1", 1), member("k2", 2)), [], "k2 of the 1 other members is not healthy"),
        (live(*(member(f"k{n}", n) for n in range(1, 6))), ["k3", "k4", "k5"], ""),
        (
            live(*(member(f"k{n}", n) for n in range(1, 6))),
            ["k4", "k5"],
            "k2, k3 of the 4 other members are not healthy",
        ),
    ],
)
def test_who_can_be_spared(view, healthy, problem):
    urls = [url(name, 2379) for name in healthy]
    assert _member.spare_problems(view, view.members[0], urls) == problem


def test_a_learner_can_always_be_spared():
    learner = member("k4", 4, learner=True)
    assert _member.spare_problems(live(*THREE.members, learner), learner, []) == ""


def test_who_leads_next():
    able = [url("k2", 2379), url("k3", 2379)]
    found = hosts(k3="member", k2="member", k1="member")
    assert _member.successor(THREE, THREE.members[0], found, able).name == "k3"
    assert _member.successor(THREE, THREE.members[0], found, able[:1]).name == "k2"
    assert _member.successor(THREE, THREE.members[0], found, []) is None


def test_members_are_named_in_the_same_order_whatever_their_ids():
    for first, second in ((1, 2), (2, 1)):
        view = live(*sorted((member("b", second), member("a", first)), key=lambda one: one.id))
        plan = decide("c", {"a": "member", "b": "member", "c": "none"}, view)
        assert (plan.action, plan.words) == ("add", "as a learner of a, b")
