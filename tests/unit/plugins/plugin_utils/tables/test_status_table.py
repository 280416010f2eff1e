# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json

import pytest
from ansible_collections.plainkube.cluster.plugins.plugin_utils.tables import _status_table


def component(name="kubelet", **changes):
    healthy = {
        "name": name,
        "load": "loaded",
        "active": "active",
        "healthy": True,
        "since": "2026-11-23T17:38:00Z",
        "seconds": 7200,
        "restarts": 0,
        "version": "1.37.2",
        "listening": ["127.0.0.1:10248", "192.0.2.21:10250"],
        "health": {"ok": True},
    }
    return {**healthy, **changes}


def result(*problems, **more):
    return {"healthy": not problems, "problems": list(problems), "components": [component()], **more}


MEMBER = {
    "id": "a1",
    "name": "k1",
    "leader": True,
    "learner": False,
    "version": "3.7.3",
    "db_size": 5 << 20,
    "db_size_in_use": 2 << 20,
}
UNASKED = {**MEMBER, "version": "", "db_size": 0, "db_size_in_use": 0}
UNREACHABLE = {"unreachable": True, "msg": "Task failed: ssh: connect to host\n n2 port 22: No route to host"}


def page(**results):
    return _status_table.page(_status_table.document("plainkube", results))


def test_all_is_well():
    assert page(n1=result(), n2=result()) == [
        "",
        "HOST  COMPONENT  STATE  SINCE  RESTARTS  VERSION  LISTENS ON",
        "n1    kubelet    ok     2 h    0         1.37.2   127.0.0.1:10248 192.0.2.21:10250",
        "n2    kubelet    ok     2 h    0         1.37.2   127.0.0.1:10248 192.0.2.21:10250",
        "",
        "plainkube: all is well on 2 hosts",
    ]


def test_problems_come_last_with_their_host():
    lines = page(
        n1=result("kubelet on this host is stopped (inactive/dead); start it with plainkube.cluster.site"),
        n2=UNREACHABLE,
        n3={},
    )
    assert lines[-4:] == [
        "plainkube: 3 problems on n1, n2, n3",
        "  n1: kubelet on this host is stopped (inactive/dead); start it with plainkube.cluster.site",
        "  n2 is unreachable: ssh: connect to host n2 port 22: No route to host",
        "  n3 was not checked in this run",
    ]
    assert [line.split()[:3] for line in lines if "UNKNOWN" in line] == [["n2", "-", "UNKNOWN"], ["n3", "-", "UNKNOWN"]]


def test_no_host_writes_a_line_for_another_one():
    forged = "is slow\nk1     kubelet  ok\n  k1: all is well"
    lines = page(n1=result(forged, components=[component("kubelet", version=forged)]), k1=result())
    assert len(lines) == len(page(n1=result("is slow"), k1=result()))
    assert lines[-1] == "  n1: is slow k1 kubelet ok k1: all is well"
    assert not [line for line in lines if "\n" in line]


def test_a_problem_that_begins_with_the_host_name_is_still_attributed_to_its_host():
    assert page(n1=result("n1 is unreachable"))[-1] == "  n1: n1 is unreachable"


def test_a_host_whose_check_failed():
    assert page(n1={"msg": "no cryptography"})[-1] == "  n1 could not be checked: no cryptography"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "ok"),
        ({"load": "not-found", "active": "inactive"}, "absent"),
        ({"active": "inactive"}, "stopped"),
        ({"active": "failed"}, "failed"),
        ({"active": "activating"}, "starting"),
        ({"active": "deactivating"}, "stopping"),
        ({"healthy": False}, "FAULTY"),
        ({"health": {"ok": False}}, "starting"),
        ({"health": {}}, "ok"),
    ],
)
def test_state(changes, word):
    assert _status_table.state(component(**changes)) == word


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172800, "2 d")],
)
def test_age(seconds, text):
    assert _status_table.age(seconds) == text


def test_the_certificate_that_ends_first():
    about = {"subject": "", "issuer": "", "not_after": "", "error": ""}
    ends = {"/pki/ca.crt": 3649, "/pki/apiserver.crt": 12}
    certificates = [{"path": path, "days_left": days, **about} for path, days in ends.items()]
    lines = page(k1=result(certificates=certificates))
    assert "k1    2             /pki/apiserver.crt  12" in lines


def test_nodes():
    ready = {
        "name": "n1",
        "ready": True,
        "schedulable": True,
        "version": "1.37.2",
        "runtime": "docker 26.1.5",
        "error": "",
    }
    nodes = [ready, {**ready, "name": "n2", "schedulable": False}, {**ready, "name": "n3", "ready": False}]
    nodes.append({**ready, "name": "n4", "error": "403", "version": "", "runtime": ""})
    rows = _status_table.node_rows({node["name"]: {"node": node} for node in nodes})
    assert rows[1:] == [
        ("n1", "Ready", "1.37.2", "docker 26.1.5"),
        ("n2", "Ready, cordoned", "1.37.2", "docker 26.1.5"),
        ("n3", "NOT READY", "1.37.2", "docker 26.1.5"),
        ("n4", "UNKNOWN", "-", "-"),
    ]


def test_etcd_members_that_were_not_asked_are_known_by_the_others():
    other = {**UNASKED, "id": "b2", "name": "k2", "leader": False}
    hosts = {"k1": {"etcd": {"members": [MEMBER, other]}}, "n1": {"etcd": None}}
    assert _status_table.etcd_rows(hosts)[1:] == [
        ("k1", "leader", "3.7.3", "5 MiB", "2 MiB"),
        ("k2", "follower", "-", "-", "-"),
    ]


def test_an_answer_of_the_member_itself_wins():
    hosts = {"k2": {"etcd": {"members": [UNASKED]}}, "k1": {"etcd": {"members": [MEMBER]}}}
    assert _status_table.etcd_rows(hosts)[1:] == [("k1", "leader", "3.7.3", "5 MiB", "2 MiB")]


def test_document_is_for_machines():
    found = _status_table.document("plainkube", {"n1": result(), "n2": UNREACHABLE})
    assert json.loads(json.dumps(found)) == found
    assert found["healthy"] is False
    assert (found["hosts"]["n1"]["healthy"], found["hosts"]["n1"]["problems"]) == (True, [])
    assert (found["hosts"]["n2"]["checked"], found["hosts"]["n2"]["healthy"]) == (False, False)


def test_no_hosts():
    assert page() == ["", "plainkube: no host of the cluster was checked"]
