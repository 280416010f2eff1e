# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.plugin_utils.tables import _overlay_table

NUMBERS = {"k1": 1, "n1": 2, "n2": 3}
SITE = "run plainkube.cluster.site"


def lease(number):
    return {"subnet": f"10.244.{number}.0/24", "address": f"192.0.2.{number}", "mac": f"0a:00:00:00:00:0{number}"}


def network(number, numbers=(1, 2, 3), **changes):
    others = {one: lease(one) for one in numbers if one != number}
    known = {one["subnet"]: f"{one['address']} {one['mac']}" for one in others.values()}
    return {**lease(number), "paths": known, "silent": [], **changes}


def hosts(unhealthy=(), **changes):
    networks = {name: network(number, **changes.get(name, {})) for name, number in NUMBERS.items()}
    leases = [lease(number) for number in NUMBERS.values()]
    return {
        name: {
            "network": networks[name],
            "etcd": {"leases": leases} if name == "k1" else None,
            "healthy": name not in unhealthy,
        }
        for name in NUMBERS
    }


def problems(**changes):
    return _overlay_table.problems(hosts(**changes))[0]


def test_a_healthy_overlay():
    assert problems() == {}


def test_a_host_without_routes():
    found = problems(n2={"paths": {}, "silent": []}, n1={"silent": ["10.244.3.0/24"]}, k1={"silent": ["10.244.3.0/24"]})
    said = "it has no route to 10.244.1.0/24 of 192.0.2.1; it has no route to 10.244.2.0/24 of 192.0.2.2"
    assert found == {"n2": [f"flannel on this host: {said}; {SITE}"]}


def test_a_host_that_is_cut_off_does_not_blame_the_others():
    found = problems(n2={"paths": {}, "silent": ["10.244.1.0/24", "10.244.2.0/24"]})
    assert [*found] == ["n2"]


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, False),
        ({"n2": {"paths": {}}}, True),
        ({"n2": {"mac": "0a:00:00:00:00:99"}}, True),
        # Time does not help here.
        ({"k1": {"silent": ["10.244.3.0/24"]}}, False),
        ({"n2": {"address": ""}}, False),
    ],
)
def test_the_leases_with_which_a_host_may_still_catch_up(changes, missed):
    found = _overlay_table.problems(hosts(**changes))[1]
    assert [one._asdict() for one in found] == ([lease(number) for number in NUMBERS.values()] if missed else [])


def test_a_network_that_drops_packets():
    found = problems(k1={"silent": ["10.244.3.0/24"]}, n1={"silent": ["10.244.3.0/24"]})
    assert found == {
        "n2": [
            "its pod network 10.244.3.0/24 does not respond to k1, n1; let UDP port 8472 pass between the hosts, and ICMP echo requests to flannel.1"
        ]
    }


def test_a_host_with_another_problem_is_why_it_is_silent():
    assert problems(unhealthy=["n2"], k1={"silent": ["10.244.3.0/24"]}) == {}


def test_a_lease_of_another_host():
    (said,) = problems(n2={"address": "192.0.2.9"})["n2"]
    assert said == f"flannel on this host: its subnet 10.244.3.0/24 is leased to 192.0.2.3; {SITE}"


def test_a_stopped_flanneld_is_its_components_problem():
    assert problems(n2={"address": ""}) == {}


def test_many_faults_are_shortened():
    hosts = {
        "k1": {
            "network": network(1, paths={}),
            "healthy": True,
            "etcd": {"leases": [lease(number) for number in range(1, 9)]},
        }
    }
    (said,) = _overlay_table.problems(hosts)[0]["k1"]
    assert said.count("no route") == 3
    assert "; and 4 more; run" in said


@pytest.mark.parametrize("etcd", [None, {"leases": []}, {"leases": None}])
def test_without_leases_nothing_is_compared(etcd):
    assert _overlay_table.problems({"k1": {"network": network(1, paths={}), "etcd": etcd, "healthy": True}}) == ({}, [])
