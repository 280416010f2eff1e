# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json
import sys

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import node_drain

ANNOTATION = "plainkube.io/drained"
REFUSED = "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?"
CONFLICT = (
    'Error from server (Conflict): Operation cannot be fulfilled on nodes "n1": the object has been modified; '
    "please apply your changes to the latest version and try again"
)
VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget."

# Stands in for kubectl: the cluster is a file. What is in `script` comes first: by verb, things to do to the cluster (Python), or to say.
KUBECTL = r"""#!{python}
import json, sys
path, flags, words = "{state}", [], []
for word in sys.argv[1:]:
    (flags if word.startswith("-") else words).append(word)
cluster = json.load(open(path))
node, pods, verb = cluster["node"], cluster["pods"], words[0]
cluster["log"].append([*words, *flags])

def end(code, text):
    json.dump(cluster, open(path, "w"))
    print(text, file=sys.stderr if code else sys.stdout)
    sys.exit(code)

step = cluster["script"][verb].pop(0) if cluster["script"].get(verb) else {{}}
exec(step.get("do", ""))
node = cluster["node"]
if "say" in step:
    end(1, step["say"])
if verb == "get":
    what = {{"node": node, "pods": {{"items": pods}}, "poddisruptionbudgets": {{"items": cluster["budgets"]}}}}[words[1]]
    end(0, json.dumps(what) if what else "")
if verb == "patch":
    patch = json.loads(next(flag.partition("=")[2] for flag in flags if flag.startswith("--patch=")))
    assert "--type=merge" in flags
    if patch["metadata"]["resourceVersion"] != node["metadata"]["resourceVersion"]:
        end(1, "{conflict}")
    node["metadata"]["resourceVersion"] += "1"
    for key, value in (("unschedulable", patch["spec"]["unschedulable"]), *patch["metadata"]["annotations"].items()):
        place = node["spec"] if key == "unschedulable" else node["metadata"]["annotations"]
        place.pop(key, None)
        if value is not None:
            place[key] = value
    end(0, "node/n1 patched")
if verb == "drain":
    assert node["spec"].get("unschedulable"), "the node is cordoned before its pods are evicted"
    gone = [pod for pod in pods if not (pod["metadata"].get("ownerReferences") or [{{}}])[0].get("kind") == "DaemonSet"]
    cluster["pods"] = [pod for pod in pods if pod not in gone]
    end(0, "drained")
"""


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


def budget(allowed=0, **spec):
    spec = spec or {"selector": {"matchLabels": {"app": "web"}}}
    status = {"disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1}
    return {"metadata": {"namespace": "default", "name": "web"}, "spec": spec, "status": status}


@pytest.fixture
def cluster(tmp_path, monkeypatch, run_module):
    class Cluster:
        """One Node, its pods, and kubectl as a program."""

        state = tmp_path / "cluster.json"

        def set(self, **what):
            found = {"node": None, "pods": [], "budgets": [], "script": {}, "log": []}
            self.state.write_text(json.dumps({**found, **what}))

        def __getattr__(self, name):
            return json.loads(self.state.read_text())[name]

        def verbs(self):
            return [entry[0] for entry in self.log if entry[0] != "get"]

        def owner(self):
            """Whether the Node is cordoned, and what our annotation says."""
            found = self.node
            assert found["metadata"]["annotations"]["other"] == "stays"
            return found["spec"].get("unschedulable", False), found["metadata"]["annotations"].get(ANNOTATION)

        def run(self, state, **more):
            options = {"name": "n1", "reason": "why", "timeout": 60, "kubeconfig": str(self.state), **more}
            return run_module(node_drain, state=state, **options)

    made, program = Cluster(), tmp_path / "kubectl"
    program.write_text(
        KUBECTL.format(python=sys.executable, state=made.state, conflict=CONFLICT.replace('"', '\\"')), encoding="utf-8"
    )
    program.chmod(0o755)
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda self, name, *a, **k: str(program))
    monkeypatch.setattr(node_drain, "_PAUSE", 0.05)
    made.set(node=node())
    return made


def check_do_again(cluster, state, **more):
    """Check, do, check again, do again; the answer that does something."""
    before = cluster.node
    check = cluster.run(state, _ansible_check_mode=True, **more)
    assert (cluster.node, cluster.verbs()) == (before, [])
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
    assert (cluster.owner(), cluster.verbs()) == ((True, "why"), ["patch", "drain"])
    drain = next(entry for entry in cluster.log if entry[0] == "drain")
    assert {"--ignore-daemonsets", "--delete-emptydir-data", "--force"} <= set(drain)
    assert 0 < int(drain[-1].removeprefix("--timeout=").removesuffix("s")) <= 60
    assert [found["metadata"]["name"] for found in cluster.pods] == ["agent"]
    cluster.set(node=cluster.node)
    assert check_do_again(cluster, "restored")["actions"] == [("apply", "node n1", "it accepts pods again")]
    assert (cluster.owner(), cluster.verbs()) == ((False, None), ["patch"])


def test_who_cordoned_it_keeps_it(cluster):
    cluster.set(node=node(cordoned=True), pods=[pod("web-1")])
    assert check_do_again(cluster, "drained")["changed"]
    assert (cluster.owner(), cluster.verbs()) == ((True, None), ["drain"])
    cluster.set(node=cluster.node)
    assert not check_do_again(cluster, "restored")["changed"]
    assert (cluster.owner(), cluster.verbs()) == ((True, None), [])


def test_nothing_to_restore(cluster):
    assert not check_do_again(cluster, "restored")["changed"]


def test_a_run_that_was_killed_is_gone_on_with(cluster):
    # After the patch, before the pods were evicted.
    cluster.set(node=node(cordoned=True, reason="before"), pods=[pod("web-1")])
    assert check_do_again(cluster, "drained")["changed"]
    assert (cluster.owner(), cluster.verbs()) == ((True, "before"), ["drain"])


def test_uncordoned_by_hand_meanwhile(cluster):
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
def test_a_budget_keeps_a_pod(cluster, mine):
    said = f'error when evicting pods/"web-1" -n "default" (will retry after 5s): {VIOLATES}\nerror: global timeout reached: 1s'
    other = budget(selector={"matchExpressions": [{"key": "app", "operator": "In", "values": ["db"]}]})
    cluster.set(
        node=node(cordoned=not mine), pods=[pod("web-1")], budgets=[other, budget()], script={"drain": [{"say": said}]}
    )
    result = cluster.run("drained")
    ends = "no longer cordoned" if mine else "cordoned, as before"
    assert result["failed"]
    assert result["msg"] == (
        "Node n1 is not drained within 60 s (timeout): PodDisruptionBudget default/web (1 pods healthy, 1 needed) keeps default/web-1; "
        f"start more healthy pods on other nodes, or lower these budgets; the node is {ends}."
    )
    assert cluster.owner() == (not mine, None)
    # Once the budget lets it go, the next run drains.
    cluster.set(node=cluster.node, pods=cluster.pods)
    assert check_do_again(cluster, "drained")["changed"]


def test_a_pod_does_not_end(cluster):
    said = "error: global timeout reached: 1s"
    pods = [pod("slow", deletionTimestamp="2026-11-26T00:00:00Z")]
    cluster.set(node=node(), pods=pods, budgets=[budget(1)], script={"drain": [{"say": said}]})
    result = cluster.run("drained")
    assert (
        "(timeout): default/slow did not end; find out why their containers do not stop, or allow more time"
        in result["msg"]
    )
    assert cluster.owner() == (False, None)


def test_what_cannot_be_seen_from_the_pods_is_kubectls_to_say(cluster):
    said = 'error: unable to drain node "n1": pods "web-1" is forbidden'
    cluster.set(node=node(), pods=[pod("web-1")], script={"drain": [{"say": said}]})
    result = cluster.run("drained")
    assert 'pods "web-1" is forbidden; the node is no longer cordoned.' in result["msg"]


def test_a_cordon_that_cannot_be_taken_back(cluster):
    script = {"drain": [{"say": "error: no"}], "patch": [{}, {"say": "Error from server (Forbidden): not you"}]}
    cluster.set(node=node(), pods=[pod("web-1")], script=script)
    result = cluster.run("drained")
    assert "; the node stays cordoned, because kubectl could not patch node n1 with kubeconfig" in result["msg"]
    assert result["msg"].endswith(": not you.")
    assert cluster.owner() == (True, "why")
    cluster.set(node=cluster.node, pods=cluster.pods)
    assert check_do_again(cluster, "drained")["changed"]


def test_somebody_else_was_quicker(cluster):
    change = "node['metadata']['resourceVersion'] += '0'; node['spec']['unschedulable'] = True"
    cluster.set(node=node(), pods=[pod("web-1")], script={"patch": [{"do": change}]})
    assert cluster.run("drained")["changed"]
    assert (cluster.owner(), cluster.verbs()) == ((True, None), ["patch", "drain"])
    # A status that the kubelet wrote meanwhile is no reason to give up.
    cluster.set(node=node(), script={"patch": [{"do": "node['metadata']['resourceVersion'] += '0'"}]})
    assert cluster.run("drained")["changed"]
    assert cluster.owner() == (True, "why")


def test_the_scheduler_was_as_quick_as_the_cordon(cluster):
    late = f"pods.append({pod('late')!r})"
    cluster.set(node=node(), script={"patch": [{"do": late}]})
    assert cluster.run("drained")["changed"]
    assert (cluster.verbs(), cluster.pods) == (["patch", "drain"], [])


def test_a_pod_that_always_comes_back_does_not_hold_us(cluster):
    back = {"do": f"pods.append({pod('back')!r})"}
    # The fifth question is what the first eviction has left.
    cluster.set(node=node(), pods=[pod("web-1")], script={"get": [{}, {}, {}, {}, back]})
    assert cluster.run("drained")["changed"]
    assert cluster.verbs() == ["patch", "drain", "drain"]


def test_an_api_server_that_restarts(cluster):
    silence = {"say": REFUSED}
    script = {"get": [silence, {}, {}, {}, {}, silence], "patch": [silence], "drain": [silence, silence]}
    cluster.set(node=node(), pods=[pod("web-1")], script=script)
    result = cluster.run("drained")
    assert result["changed"], result
    assert (cluster.owner(), cluster.pods) == ((True, "why"), [])


@pytest.mark.parametrize("state", ["drained", "restored"])
def test_no_api_server(cluster, state, monkeypatch):
    cluster.set(node=node(), script={"get": [{"say": REFUSED}] * 99})
    check = cluster.run(state, _ansible_check_mode=True)
    assert (check["changed"], len(cluster.log)) == (False, 1)
    assert check["msg"].startswith("The state of the node is unknown: kubectl could not read node n1 with kubeconfig")
    result = cluster.run(state, timeout=1)
    assert result["failed"]
    assert "the server 127.0.0.1:6443 was refused" in result["msg"]
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda self, name, *a, **k: None)
    assert "kubectl is not installed on this host" in cluster.run(state, _ansible_check_mode=True)["msg"]
    assert cluster.run(state)["failed"]


def test_a_refusal_is_an_error_in_check_mode_too(cluster):
    cluster.set(node=node(), script={"get": [{"say": "Error from server (Forbidden): nodes is forbidden"}]})
    assert cluster.run("drained", _ansible_check_mode=True)["failed"]


def test_pods_without_a_controller_are_warned_of(cluster, monkeypatch):
    warnings = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda self, text: warnings.append(text))
    cluster.set(node=node(), pods=[pod("one", owner=""), pod("two")])
    check_do_again(cluster, "drained")
    said = "These pods have no controller and will not be recreated: default/one."
    assert warnings == [said, said]


@pytest.mark.parametrize(("ready", "skips"), [("True", False), ("Unknown", True)])
def test_a_kubelet_that_is_gone_ends_no_pod(cluster, ready, skips):
    cluster.set(node=node(ready=ready), pods=[pod("web-1"), pod("old", deletionTimestamp="2026-11-26T00:00:00Z")])
    result = cluster.run("drained")
    assert result["pods"] == (["default/web-1"] if skips else ["default/old", "default/web-1"])
    drain = next(entry for entry in cluster.log if entry[0] == "drain")
    assert ("--skip-wait-for-delete-timeout=1" in drain) is skips


def test_restored_waits_until_the_node_is_ready(cluster):
    become = "node['status']['conditions'][0]['status'] = 'True'"
    unready = node(cordoned=True, reason="why", ready="False")
    cluster.set(node=unready, script={"get": [{}, {}, {"do": become}]})
    assert cluster.run("restored")["changed"]
    assert cluster.owner() == (False, None)
    cluster.set(node=unready)
    result = cluster.run("restored", timeout=1)
    assert result["msg"].startswith("Node n1 is not Ready: KubeletNotReady, no network, after 1 s (timeout); read")
    assert result["msg"].endswith("; the node stays cordoned until then.")
    assert cluster.owner() == (True, "why")
    # A plan does not wait.
    assert cluster.run("restored", _ansible_check_mode=True)["changed"]


def test_ready_is_what_the_new_kubelet_says(cluster):
    become = "node['status']['nodeInfo']['containerRuntimeVersion'] = 'containerd://1.7.24'"
    old = node(cordoned=True, reason="why")
    cluster.set(node=old, script={"get": [{}, {}, {"do": become}]})
    assert cluster.run("restored", runtime="containerd")["changed"]
    assert len([entry for entry in cluster.log if entry[0] == "get"]) == 4
    cluster.set(node=old)
    assert cluster.run("restored", runtime="docker")["changed"]
    cluster.set(node=old)
    result = cluster.run("restored", runtime="containerd", timeout=1)
    assert "node n1 has not reported containerd as its container runtime yet (docker://26.1.5 so far)" in result["msg"]
