# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions
from ansible_collections.plainkube.cluster.plugins.plugin_utils.tables import _plan


def action(verb, subject, reason=""):
    return {"verb": verb, "subject": subject, "reason": reason}


def changes(*actions, **more):
    return {"changed": True, "actions": [*actions], **more}


KUBELET = changes(
    action("write", "/etc/kubernetes/kubelet.yaml"),
    action("restart", "kubelet", "/etc/kubernetes/kubelet.yaml changes"),
    action("wait", "kube-proxy", "it is not ready"),
)
SIGNED = changes(
    action("write", "/pki/ca.crt"),
    hosts={"k1": {"actions": [action("issue", "apiserver", "it is absent")]}, "n1": {"actions": []}},
)


@pytest.mark.parametrize(
    ("result", "host", "lines"),
    [
        (
            KUBELET,
            "n1",
            [
                ("write", "/etc/kubernetes/kubelet.yaml"),
                ("restart", "kubelet: /etc/kubernetes/kubelet.yaml changes"),
            ],
        ),
        ({"changed": False, "actions": []}, "n1", []),
        ({"changed": False, "actions": [action("wait", "x", "y")]}, "n1", []),
        # What the control node writes in its own directory is on no host.
        (SIGNED, "k1", [("issue", "apiserver: it is absent")]),
        (SIGNED, "n1", []),
        (SIGNED, "n2", []),
        (
            changes(action("restart", "docker", "flannel has another subnet")),
            "n1",
            [("restart", "docker: flannel has another subnet")],
        ),
        (
            changes(action("start", "etcd", "it is not installed yet")),
            "k1",
            [("start", "etcd: it is not installed yet")],
        ),
        # The verb tells a start from a restart, whatever the reason says.
        (
            changes(action("restart", "etcd", "it is not running")),
            "k1",
            [("restart", "etcd: it is not running")],
        ),
        (changes(action("install", "etcd absent → 3.7.3")), "k1", [("install", "etcd absent → 3.7.3")]),
        (
            changes(action("join", "etcd as a learner of k1"), action("write", "/var/lib/etcd/first-start")),
            "k2",
            [("join", "etcd as a learner of k1"), ("write", "/var/lib/etcd/first-start")],
        ),
        (changes(action("apply", "v1.ConfigMap.a.b")), "k1", [("apply", "v1.ConfigMap.a.b")]),
        (changes(action("remove", "x with its unit and files")), "k1", [("remove", "x with its unit and files")]),
        (changes(action("stop", "kubelet")), "k1", [("stop", "kubelet")]),
        (changes(action("enable", "x", "it would not start at boot")), "k1", [("enable", "x: it would not start at boot")]),
        # Though another task installs them, and this one has changed nothing.
        (
            {"changed": False, "actions": [action("install", "packages docker.io, socat")]},
            "k1",
            [("install", "packages docker.io, socat")],
        ),
        ({"skipped": True, "changed": False}, "k1", []),
        ({"failed": True, "msg": "x"}, "k1", []),
    ],
)  # fmt: skip
def test_lines(result, host, lines):
    assert _plan.lines(result, host) == lines


WRITE = action("write", "/x")


@pytest.mark.parametrize(
    ("result", "lines"),
    [
        ({"changed": True}, [("?", "actions")]),
        ({"changed": True, "actions": None}, [("?", "actions")]),
        ({"changed": False, "actions": "write"}, [("?", "actions")]),
        ({"changed": False, "actions": {"verb": "write"}}, [("?", "actions")]),
        (changes("write"), [("?", "actions[0]")]),
        (changes(WRITE, {**WRITE, "verb": "own"}), [("write", "/x"), ("?", "actions[1].verb")]),
        (changes(WRITE, {**WRITE, "verb": ["write"]}, WRITE), [("write", "/x"), ("write", "/x"), ("?", "actions[1].verb")]),
        (changes({**WRITE, "verb": None}), [("?", "actions[0].verb")]),
        (changes({**WRITE, "subject": 1}), [("?", "actions[0].subject")]),
        (changes({**WRITE, "reason": ["x"]}), [("?", "actions[0].reason")]),
        (changes({"verb": "write", "subject": "/x"}), [("?", "actions[0].reason")]),
        # Where it is not the control node that answers.
        (changes(hosts="x"), []),
        (changes(WRITE, hosts=["n1"]), [("write", "/x")]),
        (changes(WRITE, hosts={"n1": "x"}), [("?", "hosts.n1")]),
        (changes(WRITE, hosts={"n1": {"actions": 1}}), [("?", "actions")]),
        (changes(WRITE, hosts={"n1": {}}), []),
    ],
)  # fmt: skip
def test_a_host_may_answer_anything(result, lines):
    wrong = "the answer of this host has no valid "
    assert _plan.lines(result, "n1") == [(verb, f"{wrong}{what}" if verb == "?" else what) for verb, what in lines]
    # What the lab's recorder reads.
    assert _plan.restarts(result) == {}
    assert _plan.installed(result) == []
    assert set(_plan.written(result)) <= {"/x"}


def test_a_service_without_a_reason():
    result = changes(action("restart", "kubelet"), action("start", "x", ""))
    assert _plan.lines(result, "n1") == [
        ("restart", "kubelet: the host does not say why"),
        ("start", "x: the host does not say why"),
    ]


def test_what_the_recorder_reads():
    assert _plan.restarts(KUBELET) == {"kubelet": "/etc/kubernetes/kubelet.yaml changes"}
    assert _plan.restarts(changes(action("start", "etcd", "a; b"))) == {"etcd": "a; b"}
    assert _plan.written(KUBELET) == ["/etc/kubernetes/kubelet.yaml"]
    assert _plan.written(SIGNED) == ["/pki/ca.crt"]
    assert _plan.installed(changes(action("install", "etcd absent → 3.7.3"), WRITE)) == ["etcd absent → 3.7.3"]


def test_every_verb_has_its_place_on_the_page():
    plan = [(verb, "x") for verb in sorted((*_actions.VERBS, "?"))]
    lines = _plan.page({"n1": plan})[1:]
    assert [line.removeprefix("n1").split()[0] for line in lines] == [*_actions.VERBS, "?"]


def test_the_page_names_a_host_and_a_verb_once():
    plans = {"k1": [], "n1": [("write", "/a"), ("restart", "x: y"), ("write", "/b")], "n2": [("restart", "x: y")]}
    assert _plan.page(plans) == [
        "HOST  WOULD",
        "n1    write    /a",
        "               /b",
        "      restart  x: y",
        "n2    restart  x: y",
    ]


def test_a_plan_of_nothing():
    plans = {"k1": [], "n1": []}
    assert _plan.page(plans) == []
    assert _plan.verdict("lab", plans) == "lab: nothing would change on 2 hosts"


def test_a_plan_in_a_sentence():
    plans = {"k1": [], "n1": [("restart", "x: y")]}
    assert _plan.verdict("lab", plans) == "lab: would change 1 of 2 hosts, start 0 and restart 1 services"
