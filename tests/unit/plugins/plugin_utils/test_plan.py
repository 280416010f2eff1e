# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.plugin_utils import _plan

KUBELET = {
    "changed": True,
    "components": {
        "kubelet": {"restart": True, "reasons": ["/etc/kubernetes/kubelet.yaml changes"]},
        "kube-proxy": {"restart": False, "reasons": []},
    },
    "diff": [
        {"before_header": "/etc/kubernetes/kubelet.yaml", "after_header": "/etc/kubernetes/kubelet.yaml"},
        {"before_header": "kubelet.service", "after_header": "kubelet.service"},
    ],
}
SIGNED = {
    "changed": True,
    "hosts": {"k1": {"reasons": {"apiserver": "it is absent"}}, "n1": {"reasons": {}}},
    "diff": [{"after_header": "/pki/ca.crt"}],
}


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
        ({**KUBELET, "changed": False}, "n1", []),
        (SIGNED, "k1", [("issue", "apiserver: it is absent")]),
        (SIGNED, "n1", []),
        (
            {"changed": True, "restart": True, "reasons": ["flannel has another subnet"], "diff": []},
            "n1",
            [("restart", "docker: flannel has another subnet")],
        ),
        (
            {"changed": True, "components": {"etcd": {"restart": True, "reasons": ["it is not installed yet"]}}},
            "k1",
            [("start", "etcd: it is not installed yet")],
        ),
        ({"changed": True, "changes": ["etcd absent → 3.7.3"], "diff": {"prepared": ""}}, "k1", [("install", "etcd absent → 3.7.3")]),
        (
            {"changed": True, "join": ["etcd as a learner of k1"], "diff": [{"after_header": "/var/lib/etcd/first-start"}]},
            "k2",
            [("join", "etcd as a learner of k1"), ("write", "/var/lib/etcd/first-start")],
        ),
        ({"changed": True, "objects": ["v1.ConfigMap.a.b"]}, "k1", [("apply", "v1.ConfigMap.a.b")]),
        (
            {
                "changed": True,
                "components": {"x": {"restart": False, "removed": True, "reasons": []}, "y": {"restart": False, "removed": False, "reasons": []}},
                "diff": [{"before_header": "/etc/x", "after_header": "/dev/null"}],
            },
            "k1",
            [("remove", "x with its unit and files")],
        ),
        (
            {"changed": True, "tables": ["nftables table inet plainkube"], "removed": []},
            "k1",
            [("apply", "nftables table inet plainkube")],
        ),
        (
            {"changed": True, "pods": ["default/a", "default/b"], "cordoned": True, "diff": [{"after_header": "Node n1"}]},
            "n1",
            [("drain", "default/a, default/b evicted, and the node takes pods again at the end")],
        ),
        ({"changed": True, "removed": ["/etc/x"], "diff": [{"after_header": ""}]}, "k1", [("remove", "/etc/x")]),
        ({"skipped": True, "changed": False}, "k1", []),
    ],
)  # fmt: skip
def test_lines(result, host, lines):
    assert _plan.lines(result, host) == lines


def test_packages_are_told_though_another_task_installs_them():
    assert _plan.packages({"changed": False, "missing_packages": ["docker.io", "socat"]}) == [
        ("install", "packages docker.io, socat")
    ]


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
