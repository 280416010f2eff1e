# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import copy
import json

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import node_drain

ANNOTATION = "plainkube.io/drained"
REFUSED = "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?"
VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget."
NODE = "/api/v1/nodes/n1"


def node(cordoned=False, reason=None, ready="True", runtime="docker://26.1.5", **more):
    annotations = {} if reason is None else {ANNOTATION: reason}
    condition = {"type": "Ready", "status": ready, "reason": "KubeletNotReady", "message": "no network"}
    return {
        "metadata": {"name": "n1", "resourceVersion": "7", "annotations": {"other": "stays", **annotations}},
        "spec": {"unschedulable": True} if cordoned else {},
        "status": {"conditions": [condition], "nodeInfo": {"containerRuntimeVersion": runtime}, **more},
    }


def pod(name, owner="ReplicaSet", **metadata):
    owners = [{"kind": owner, "controller": True}] if owner else []
    labels = {"app": "web"}
    return {"metadata": {"namespace": "default", "name": name, "labels": labels, "ownerReferences": owners, **metadata}}


@pytest.fixture
def cluster(monkeypatch, run_module, api_server, kubeconfig):
    class Cluster:
        """One Node and its pods; kubectl evicts them, unless its first outputs are set."""

        def set(self, node=None, pods=()):
            api_server.objects.clear()
            if node:
                api_server.objects[NODE] = copy.deepcopy(node)
            for one in pods:
                self.add(one)
            api_server.requests.clear()
            self.drains, self.says = [], []

        def add(self, pod):
            api_server.objects[f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}"] = pod

        @property
        def node(self):
            return api_server.objects.get(NODE)

        @property
        def pods(self):
            return [one["metadata"]["name"] for path, one in api_server.objects.items() if "/pods/" in path]

        def done(self):
            """How often the Node was patched and drained."""
            return len(api_server.asked("PATCH")), len(self.drains)

        def owner(self):
            """Whether the Node is cordoned, and our annotation."""
            assert self.node["metadata"]["annotations"]["other"] == "stays"
            return self.node["spec"].get("unschedulable", False), self.node["metadata"]["annotations"].get(ANNOTATION)

        def run_command(self, command, **dummy):
            assert command[3:5] == ["drain", "n1"]
            self.drains.append(command)
            if self.says:
                return 1, "", self.says.pop(0)
            assert self.node["spec"].get("unschedulable"), "the node is cordoned before its pods are evicted"
            for path, one in [*api_server.objects.items()]:
                if "/pods/" in path and (one["metadata"].get("ownerReferences") or [{}])[0].get("kind") != "DaemonSet":
                    del api_server.objects[path]
            return 0, "drained", ""

        def run(self, state, **more):
            options = {"name": "n1", "reason": "why", "timeout": 60, "kubeconfig": str(kubeconfig), **more}
            return run_module(node_drain, state=state, **options)

    made = Cluster()
    monkeypatch.setattr(AnsibleModule, "run_command", lambda self, command, **how: made.run_command(command, **how))
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda self, name, *a, **k: f"/usr/local/bin/{name}")
    monkeypatch.setattr(node_drain, "PAUSE", 0.01)
    made.set(node=node())
    return made


def check_do_again(cluster, state, **more):
    """Check, do, check again, do again; returns the result of the first run."""
    before = copy.deepcopy(cluster.node)
    check = cluster.run(state, _ansible_check_mode=True, **more)
    assert (cluster.node, cluster.done()) == (before, (0, 0))
    done = cluster.run(state, **more)
    assert "msg" not in done
    assert all(check[key] == done[key] for key in ("changed", "actions", "pods", "cordoned", "diff"))
    for again in (cluster.run(state, _ansible_check_mode=True, **more), cluster.run(state, **more)):
        assert (again["changed"], again["pods"], again["cordoned"]) == (False, [], done["cordoned"])
        assert again["diff"]["before"] == again["diff"]["after"] == done["diff"]["after"]
    return done


def test_drained_and_restored(cluster):
    cluster.set(node=node(), pods=[pod("web-2"), pod("web-1"), pod("agent", "DaemonSet")])
    done = check_do_again(cluster, "drained")
    assert (done["changed"], done["pods"]) == (True, ["default/web-1", "default/web-2"])
    evicted = "default/web-1, default/web-2 evicted, and the node uncordoned at the end"
    assert done["actions"] == [("drain", evicted, "")]
    assert done["diff"] == {
        "before_header": "node n1",
        "after_header": "node n1",
        "before": "cordoned: false\npods to evict:\n- default/web-1\n- default/web-2\n",
        "after": f"cordoned: true\n{ANNOTATION}: why\npods to evict: []\n",
    }
    assert (cluster.owner(), cluster.done()) == ((True, "why"), (1, 1))
    (drain,) = cluster.drains
    assert {"--ignore-daemonsets", "--delete-emptydir-data", "--force"} <= set(drain)
    assert 0 < int(drain[-1].removeprefix("--timeout=").removesuffix("s")) <= 60
    assert cluster.pods == ["agent"]
    cluster.set(node=cluster.node)
    assert check_do_again(cluster, "restored")["actions"] == [("apply", "node n1", "it accepts pods again")]
    assert (cluster.owner(), cluster.done()) == ((False, None), (1, 0))


def test_a_foreign_cordon_stays(cluster):
    cluster.set(node=node(cordoned=True), pods=[pod("web-1")])
    assert check_do_again(cluster, "drained")["changed"]
    assert (cluster.owner(), cluster.done()) == ((True, None), (0, 1))
    cluster.set(node=cluster.node)
    assert not check_do_again(cluster, "restored")["changed"]
    assert (cluster.owner(), cluster.done()) == ((True, None), (0, 0))


def test_nothing_to_restore(cluster):
    assert not check_do_again(cluster, "restored")["changed"]


def test_a_run_that_was_killed_is_resumed(cluster):
    # After the patch, before the pods were evicted.
    cluster.set(node=node(cordoned=True, reason="before"), pods=[pod("web-1")])
    assert check_do_again(cluster, "drained")["changed"]
    assert (cluster.owner(), cluster.done()) == ((True, "before"), (0, 1))


def test_uncordoned_manually_meanwhile(cluster):
    cluster.set(node=node(reason="before"))
    assert check_do_again(cluster, "drained")["changed"]
    assert cluster.owner() == (True, "why")
    cluster.set(node=node(reason="before"))
    assert check_do_again(cluster, "restored")["changed"]
    assert cluster.owner() == (False, None)


def test_no_such_node(cluster):
    cluster.set()
    for check in (True, False):
        result = cluster.run("drained", _ansible_check_mode=check)
        assert (result["changed"], result["msg"]) == (False, "There is no node n1, so there is nothing to drain.")
    assert "nothing to restore" in cluster.run("restored", _ansible_check_mode=True)["msg"]
    result = cluster.run("restored", timeout=1)
    assert result["failed"]
    assert result["msg"] == (
        "Node n1 does not exist, after 1 s (timeout); read `journalctl --unit kubelet` on that host, fix what it reports, and run this again."
    )


@pytest.mark.parametrize("mine", [True, False])
def test_a_budget_blocks_an_eviction(cluster, mine, api_server):
    cluster.set(node=node(cordoned=not mine), pods=[pod("web-1"), pod("web-2")])
    refusal = "The disruption budget web needs 1 healthy pods and has 1 currently"
    api_server.budgets["/api/v1/namespaces/default/pods/web-1"] = refusal
    evicting = f'error when evicting pods/"web-1" -n "default" (will retry after 5s): {VIOLATES}'
    cluster.says = [f"{evicting}\nerror: global timeout reached: 1s"]
    result = cluster.run("drained")
    ends = "no longer cordoned" if mine else "cordoned, as before"
    assert result["failed"]
    assert result["msg"] == (
        f"Node n1 is not drained within 60 s (timeout): default/web-1 cannot be evicted ({refusal}); "
        f"start more healthy pods on other nodes, or lower these budgets; the node is {ends}."
    )
    assert cluster.owner() == (not mine, None)
    # Once the budget allows it, the next run drains the node.
    cluster.set(node=cluster.node, pods=[pod("web-1")])
    assert check_do_again(cluster, "drained")["changed"]


def test_a_pod_does_not_end(cluster):
    cluster.set(node=node(), pods=[pod("slow", deletionTimestamp="2026-11-26T00:00:00Z")])
    cluster.says = ["error: global timeout reached: 1s"]
    result = cluster.run("drained")
    assert (
        "(timeout): default/slow did not end; find out why their containers do not stop, or allow more time"
        in result["msg"]
    )
    assert cluster.owner() == (False, None)


def test_other_errors_are_kubectls_own(cluster):
    cluster.set(node=node(), pods=[pod("web-1")])
    cluster.says = ['error: unable to drain node "n1": pods "web-1" is forbidden']
    result = cluster.run("drained")
    assert 'pods "web-1" is forbidden; the node is no longer cordoned.' in result["msg"]


def test_a_cordon_that_cannot_be_removed(cluster, api_server):
    cluster.set(node=node(), pods=[pod("web-1")])
    cluster.says = ["error: no"]
    # The Node and its pods; the Node and its patch, to cordon it; the pods twice; the budgets; and the Node, to uncordon it.
    api_server.first = [200] * 8 + [403]
    result = cluster.run("drained")
    assert result["msg"].endswith(
        f"; the node stays cordoned, because {api_server.url}{NODE} returns 403: problem 403."
    )
    assert cluster.owner() == (True, "why")
    cluster.set(node=cluster.node, pods=[pod("web-1")])
    assert check_do_again(cluster, "drained")["changed"]


def test_a_concurrent_change_of_the_node(cluster, api_server):
    def other(**spec):
        cluster.node["metadata"]["resourceVersion"] += "0"
        cluster.node["spec"].update(spec)

    cluster.set(node=node(), pods=[pod("web-1")])
    api_server.first = [200, 200, 200, lambda: other(unschedulable=True)]
    assert cluster.run("drained")["changed"]
    assert (cluster.owner(), cluster.done()) == ((True, None), (1, 1))
    # A concurrent status update of the kubelet is not an error.
    cluster.set(node=node())
    api_server.first = [200, 200, 200, other]
    assert cluster.run("drained")["changed"]
    assert (cluster.owner(), cluster.done()) == ((True, "why"), (2, 0))


def test_a_pod_that_was_scheduled_during_the_cordon_is_evicted(cluster, api_server):
    cluster.set(node=node())
    api_server.first = [200, 200, 200, lambda: cluster.add(pod("late"))]
    assert cluster.run("drained")["changed"]
    assert (cluster.done(), cluster.pods) == ((1, 1), [])


def test_a_pod_that_always_returns_does_not_block_the_drain(cluster, api_server):
    cluster.set(node=node(), pods=[pod("web-1")])
    # The last request is for the pods that the first eviction left.
    api_server.first = [200] * 5 + [lambda: cluster.add(pod("back"))]
    assert cluster.run("drained")["changed"]
    assert cluster.done() == (1, 2)


def test_an_api_server_that_restarts(cluster, api_server):
    cluster.set(node=node(), pods=[pod("web-1")])
    api_server.first = [503, 200, 200, None, None, 503, 200, 503, 200, 503]
    cluster.says = [REFUSED, REFUSED]
    result = cluster.run("drained")
    assert result["changed"], result
    assert (cluster.owner(), cluster.pods) == ((True, "why"), [])


@pytest.mark.parametrize("state", ["drained", "restored"])
def test_no_api_server(cluster, state, kubeconfig, reserved_port):
    config = json.loads(kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = server = f"http://127.0.0.1:{reserved_port()}"
    kubeconfig.write_text(json.dumps(config))
    check = cluster.run(state, _ansible_check_mode=True)
    assert not check["changed"]
    assert check["msg"].startswith(f"The state of the node is unknown: {server}{NODE} does not respond: ")
    result = cluster.run(state, timeout=1)
    assert result["failed"]
    assert "does not respond" in result["msg"]
    kubeconfig.unlink()
    assert f"{kubeconfig} on this host does not exist" in cluster.run(state, _ansible_check_mode=True)["msg"]
    assert cluster.run(state)["failed"]


def test_a_host_without_kubectl(cluster, monkeypatch):
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda self, name, *a, **k: None)
    cluster.set(node=node(), pods=[pod("web-1")])
    assert cluster.run("drained", _ansible_check_mode=True)["changed"]
    assert "kubectl is not installed on this host" in cluster.run("drained")["msg"]
    assert cluster.owner() == (False, None)


def test_a_refusal_is_an_error_in_check_mode_too(cluster, api_server):
    api_server.first = [403]
    assert cluster.run("drained", _ansible_check_mode=True)["failed"]


def test_a_warning_names_pods_without_a_controller(cluster, monkeypatch):
    warnings = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda self, text: warnings.append(text))
    cluster.set(node=node(), pods=[pod("one", owner=""), pod("two")])
    check_do_again(cluster, "drained")
    said = "These pods have no controller and will not be recreated: default/one."
    assert warnings == [said, said]


@pytest.mark.parametrize(("ready", "skips"), [("True", False), ("Unknown", True)])
def test_without_a_kubelet_no_pod_ends(cluster, ready, skips):
    cluster.set(node=node(ready=ready), pods=[pod("web-1"), pod("old", deletionTimestamp="2026-11-26T00:00:00Z")])
    result = cluster.run("drained")
    assert result["pods"] == (["default/web-1"] if skips else ["default/old", "default/web-1"])
    (drain,) = cluster.drains
    assert ("--skip-wait-for-delete-timeout=1" in drain) is skips


def test_restored_waits_until_the_node_is_ready(cluster, api_server):
    def become():
        cluster.node["status"]["conditions"][0]["status"] = "True"

    unready = node(cordoned=True, reason="why", ready="False")
    cluster.set(node=unready)
    api_server.first = [200, 200, become]
    assert cluster.run("restored")["changed"]
    assert cluster.owner() == (False, None)
    cluster.set(node=unready)
    result = cluster.run("restored", timeout=1)
    assert result["msg"].startswith("Node n1 is not Ready: KubeletNotReady, no network, after 1 s (timeout); read")
    assert result["msg"].endswith("; the node stays cordoned until then.")
    assert cluster.owner() == (True, "why")
    # A plan does not wait.
    assert cluster.run("restored", _ansible_check_mode=True)["changed"]


def test_only_the_new_kubelets_ready_counts(cluster, api_server):
    def become():
        cluster.node["status"]["nodeInfo"]["containerRuntimeVersion"] = "containerd://1.7.24"

    old = node(cordoned=True, reason="why")
    cluster.set(node=old)
    api_server.first = [200, 200, become]
    assert cluster.run("restored", runtime="containerd")["changed"]
    assert len(api_server.asked("GET")) == 4
    cluster.set(node=old)
    assert cluster.run("restored", runtime="docker")["changed"]
    cluster.set(node=old)
    result = cluster.run("restored", runtime="containerd", timeout=1)
    assert "node n1 has not reported containerd as its container runtime yet (docker://26.1.5 so far)" in result["msg"]
