# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _drain


def parsed(spec=None, annotations=None, ready="True"):
    return _drain.parse_node(
        {
            "metadata": {"name": "n1", "resourceVersion": "7", **({"annotations": annotations} if annotations else {})},
            "spec": spec or {},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }
    )


def test_a_node_in_an_unknown_state():
    node = _drain.parse_node({"metadata": {"name": "n1", "resourceVersion": "1"}})
    assert (node.cordoned, node.reason, node.runtime) == (False, None, "")
    assert "has not reported yet" in node.problems[0]


def test_patches_have_the_resource_version():
    patch = _drain.cordon(parsed(), "why")
    assert patch == {
        "metadata": {"resourceVersion": "7", "annotations": {_drain.ANNOTATION: "why"}},
        "spec": {"unschedulable": True},
    }
    cordoned = parsed({"unschedulable": True})
    assert _drain.cordon(cordoned, "why") is None
    assert _drain.uncordon(cordoned) is None
    # An empty annotation is ours, too.
    patch = _drain.uncordon(parsed({"unschedulable": True}, {_drain.ANNOTATION: ""}))
    assert patch["spec"] == {"unschedulable": None}
    assert patch["metadata"]["annotations"] == {_drain.ANNOTATION: None}


def test_pods_to_go():
    def pod(name, **metadata):
        return {"metadata": {"namespace": "b", "name": name, **metadata}}

    daemon = pod("daemon", ownerReferences=[{"kind": "DaemonSet", "controller": True}])
    static = pod("static", annotations={"kubernetes.io/config.mirror": "1"})
    owned = pod("owned", ownerReferences=[{"kind": "DaemonSet"}, {"kind": "Job", "controller": True}])
    ending = pod("ending", deletionTimestamp="2026-11-26T00:00:00Z")
    answer = {"items": [static, owned, daemon, ending, pod("bare")]}
    pods = _drain.pods_to_go(answer, parsed())
    assert [str(one) for one in pods] == ["b/bare", "b/ending", "b/owned"]
    assert [one.controlled for one in pods] == [False, False, True]
    assert [str(one) for one in _drain.pods_to_go(answer, parsed(ready="Unknown"))] == ["b/bare", "b/owned"]


def test_obstacles():
    web, ending = (_drain.Pod("a", name, True, name == "ending") for name in ("web", "ending"))
    refusals = {web: "The disruption budget web needs 2 healthy pods and has 2 currently"}
    assert _drain.obstacles([web], {}, "no idea") == "no idea"
    assert _drain.obstacles([web], refusals, "no idea") == (
        "a/web cannot be evicted (The disruption budget web needs 2 healthy pods and has 2 currently); "
        "start more healthy pods on other nodes, or lower these budgets"
    )
    both = _drain.obstacles([web, ending], refusals, "no idea")
    assert "currently), and a/ending did not end; start" in both
    assert both.endswith("find out why their containers do not stop, or allow more time")
