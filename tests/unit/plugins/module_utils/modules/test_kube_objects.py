# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import kube_objects

MANIFEST = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\n"
DIFF = (
    "diff -u -N /tmp/LIVE-1/v1.ConfigMap.default.a /tmp/MERGED-2/v1.ConfigMap.default.a\n"
    "--- /tmp/LIVE-1/v1.ConfigMap.default.a\t2026\n+++ /tmp/MERGED-2/v1.ConfigMap.default.a\t2026\n+kind: ConfigMap\n"
)
REFUSED = "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?"
DENIED = 'Error from server (Forbidden): configmaps "a" is forbidden'


@pytest.fixture
def kubectl(monkeypatch, tmp_path):
    """Responses by kubectl's verb; the last one repeats. Records the verbs."""

    class Kubectl:
        answers: dict = {}
        verbs: list = []
        commands: list = []
        kubeconfig = tmp_path / "admin.conf"

        def run(self, command, **kwargs):
            verb = next(word for word in command[1:] if not word.startswith("-"))
            self.verbs.append(verb)
            self.commands.append((command, kwargs))
            queue = self.answers[verb]
            return queue.pop(0) if len(queue) > 1 else queue[0]

    fake = Kubectl()
    fake.answers, fake.verbs, fake.commands = {}, [], []
    fake.kubeconfig.write_text("")
    monkeypatch.setattr(AnsibleModule, "run_command", lambda self, command, **kwargs: fake.run(command, **kwargs))
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda self, name, *a, **k: f"/usr/local/bin/{name}")
    return fake


@pytest.fixture
def run(run_module, kubectl):
    return lambda **more: run_module(kube_objects, manifest=MANIFEST, kubeconfig=str(kubectl.kubeconfig), **more)


@pytest.mark.parametrize(
    ("check", "differs", "verbs"),
    [
        (False, True, ["diff", "apply"]),
        (True, True, ["diff"]),
        (False, False, ["diff"]),
        (True, False, ["diff"]),
    ],
)
def test_present(run, kubectl, check, differs, verbs):
    kubectl.answers = {"diff": [(1, DIFF, "")] if differs else [(0, "", "")], "apply": [(0, "", "")]}
    result = run(_ansible_check_mode=check)
    assert (result["changed"], kubectl.verbs) == (differs, verbs)
    assert result["actions"] == ([("apply", "v1.ConfigMap.default.a", "")] if differs else [])
    assert ("+kind: ConfigMap" in result["diff"]["prepared"]) is differs
    assert all(kwargs["data"] == MANIFEST for dummy, kwargs in kubectl.commands)


def test_the_same_owner_compares_and_applies(run, kubectl):
    kubectl.answers = {"diff": [(1, DIFF, "")], "apply": [(0, "", "")]}
    run()
    ownership = {"--server-side", "--force-conflicts", "--field-manager=plainkube"}
    assert all(ownership <= set(command) for command, dummy in kubectl.commands)


@pytest.mark.parametrize(
    ("check", "found", "verbs"),
    [
        (False, "configmap/a\n", ["get", "delete"]),
        (True, "configmap/a\n", ["get"]),
        (False, "", ["get"]),
    ],
)
def test_absent(run, kubectl, check, found, verbs):
    kubectl.answers = {"get": [(0, found, "")], "delete": [(0, "", "")]}
    result = run(state="absent", _ansible_check_mode=check)
    assert (result["changed"], kubectl.verbs) == (bool(found), verbs)
    assert result["diff"] == {"before": found, "after": ""}


@pytest.mark.parametrize(("state", "changed"), [("present", True), ("absent", False)])
def test_check_mode_without_an_api_server(run, kubectl, state, changed):
    kubectl.answers = {"diff": [(2, "", REFUSED)], "get": [(1, "", REFUSED)]}
    result = run(state=state, _ansible_check_mode=True)
    assert result["changed"] is changed
    assert " unknown: kubectl could not " in result["msg"]
    assert "6443 was refused" in result["msg"]
    assert len(kubectl.verbs) == 1


@pytest.mark.parametrize("state", ["present", "absent"])
def test_check_mode_on_a_bare_host(run, kubectl, monkeypatch, state):
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda self, name, *a, **k: None)
    result = run(state=state, _ansible_check_mode=True)
    assert "kubectl is not installed on this host" in result["msg"]


def test_without_kubeconfig(run, kubectl):
    kubectl.kubeconfig.unlink()
    result = run()
    assert result["failed"]
    assert result["msg"] == f"kubeconfig {kubectl.kubeconfig} does not exist on this host; role control_plane writes it"


def test_waits_for_an_api_server_that_starts(run, kubectl, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    early = (2, "", 'Error from server (NotFound): namespaces "kube-system" not found')
    kubectl.answers = {"diff": [(2, "", REFUSED), early, (1, DIFF, "")], "apply": [early, (0, "", "")]}
    result = run()
    assert result["changed"]
    assert kubectl.verbs == ["diff", "diff", "diff", "apply", "apply"]


def test_does_not_wait_for_a_refusal(run, kubectl):
    kubectl.answers = {"diff": [(2, "", DENIED)]}
    result = run()
    assert result["msg"].endswith(f'{kubectl.kubeconfig}: configmaps "a" is forbidden')
    assert kubectl.verbs == ["diff"]


def test_a_refused_apply_is_an_error(run, kubectl):
    kubectl.answers = {"diff": [(1, DIFF, "")], "apply": [(1, "", DENIED)]}
    result = run()
    assert result["msg"].startswith("kubectl could not apply the objects")


def test_waits_for_rollouts(run, kubectl):
    kubectl.answers = {"diff": [(0, "", "")], "rollout": [(0, "", "")]}
    result = run(available=[{"name": "a", "namespace": "b"}], wait=7)
    assert not result["changed"]
    # A watch lasts longer than other requests.
    expected = ["rollout", "status", "deployment/a", "--namespace=b", "--timeout=7s", "--request-timeout=0"]
    assert kubectl.commands[-1][0][3:] == expected


def test_a_rollout_that_does_not_end(run, kubectl):
    kubectl.answers = {"diff": [(0, "", "")], "rollout": [(1, "", "error: timed out waiting for the condition")]}
    result = run(available=[{"name": "a", "namespace": "b"}], wait=1)
    assert result["msg"] == (
        "deployment/a in namespace b is not available after 1 s: timed out waiting for the condition; "
        "see `kubectl -n b describe deployment a` and its pods"
    )


def test_check_mode_does_not_wait_for_rollouts(run, kubectl):
    kubectl.answers = {"diff": [(0, "", "")]}
    result = run(available=[{"name": "a", "namespace": "b"}], _ansible_check_mode=True)
    assert kubectl.verbs == ["diff"]
    assert (result["changed"], result["actions"]) == (False, [("wait", "deployment/a", "it must be available")])


@pytest.mark.parametrize("check", [False, True])
def test_a_namespace_of_the_same_manifest(run, kubectl, check):
    missing = (1, "", 'Error from server (NotFound): namespaces "b" not found\nerror: exit status 1')
    kubectl.answers = {"diff": [missing], "create": [(0, "namespace/b\nconfigmap/a\n", "")], "apply": [(0, "", "")]}
    result = run(wait=0, _ansible_check_mode=check)
    assert kubectl.verbs == (["diff", "create"] if check else ["diff", "create", "apply"])
    assert "--dry-run=client" in kubectl.commands[1][0]
    assert result["actions"] == [("apply", "namespace/b", ""), ("apply", "configmap/a", "")]
    assert result["diff"]["after"] == MANIFEST


def test_an_unknown_namespace(run, kubectl):
    missing = (1, "", 'Error from server (NotFound): namespaces "b" not found')
    kubectl.answers = {"diff": [missing], "create": [(0, "configmap/a\n", "")]}
    assert run()["msg"].endswith('namespaces "b" not found')
