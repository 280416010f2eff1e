# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""status_summary, certificate_summary and plan_summary, with real CA directories and arbitrary answers of hosts."""

from __future__ import annotations

import importlib
import types

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _pki
from ansible_collections.plainkube.cluster.plugins.plugin_utils.keys import _certificate_sign, _here

ACTIONS = "ansible_collections.plainkube.cluster.plugins.action"


class Run:
    """A task of one of the plugins, and what it prints."""

    def __init__(self, monkeypatch):
        self.monkeypatch, self.lines, self.warnings = monkeypatch, [], []
        self.play_hosts, self.failed, self.hostvars = ["k1", "n1"], [], {"k1": {}, "n1": {}}

    def __call__(self, action, **arguments):
        plugins = importlib.import_module(f"{ACTIONS}.{action}")
        display = types.SimpleNamespace(display=self.lines.append, warning=self.warnings.append)
        self.monkeypatch.setattr(plugins, "display", display, raising=False)
        self.monkeypatch.setattr(_here, "display", display)
        task = types.SimpleNamespace(args=arguments, check_mode=False, async_val=0, delegate_to=None, action=action)
        plugin = plugins.ActionModule(
            task, types.SimpleNamespace(_shell=types.SimpleNamespace(tmpdir="/t")), None, None, None, None
        )
        variables = {
            "ansible_play_hosts_all": ["k1", "n1"],
            "ansible_play_hosts": self.play_hosts,
            "ansible_failed_hosts": self.failed,
            "hostvars": self.hostvars,
        }
        return plugin.run(task_vars=variables)

    def loses(self, host, **variables):
        self.play_hosts.remove(host)
        self.failed.append(host)
        self.hostvars[host] = variables


@pytest.fixture
def run(monkeypatch):
    return Run(monkeypatch)


WELL = {"healthy": True, "problems": [], "components": [], "certificates": []}
FAILED = {"failed": True, "msg": "kubelet on n1 does not start: exit code 1"}


@pytest.fixture
def pki(tmp_path):
    """A CA directory, and what a control plane of its cluster returns."""
    directory = tmp_path / "pki"
    params = {name: option.get("default") for name, option in _certificate_sign.ARGUMENT_SPEC.items()}
    params.update(directory=str(directory), cluster_name="c", groups=[], answers={}, control_planes=["k1"])
    _here.run(_certificate_sign, params, False)
    host = tmp_path / "host"
    host.mkdir()
    for name in ("ca.crt", "sa.pub"):
        (host / name).write_bytes((directory / name).read_bytes())
    return types.SimpleNamespace(directory=directory, answer=_pki.inspect(str(host), _pki.FILES))


def test_a_host_that_failed_is_not_one_that_was_not_reached(run):
    """What it answered in an earlier play, when all was well, is no answer any more."""
    run.loses("n1", __node_result=FAILED)
    answer = run("status_summary", cluster="c", results={"k1": WELL, "n1": WELL})
    assert (answer["failed"], answer["msg"]) == (True, "c: 1 problem on n1")
    assert run.lines[-1] == f"  n1 failed earlier in this run: {FAILED['msg']}"


LEASES = [
    {"subnet": f"10.244.{number}.0/24", "address": f"192.0.2.{number}", "mac": f"0a:00:00:00:00:0{number}"}
    for number in (1, 2)
]


def behind(waited):
    """What k1, which knows the leases, and n1 return, whose flanneld has not written the route to k1 yet."""
    own, paths = LEASES[1], {LEASES[1]["subnet"]: f"{LEASES[1]['address']} {LEASES[1]['mac']}"}
    k1 = {"etcd": {"members": [], "leases": LEASES}, "network": {**LEASES[0], "paths": paths, "silent": []}}
    n1 = {"network": {**own, "paths": {}, "silent": []}}
    return {"k1": {**WELL, **k1, "waited": waited}, "n1": {**WELL, **n1, "waited": 0}}


@pytest.mark.parametrize(
    ("wait", "waited", "left"),
    [
        (60, 0, 60),
        (60, 12, 48),
        (60, 60, 0),
        (0, 0, 0),
        # It is not the host that decides how long others wait.
        (60, -1000, 60),
        (60, 1000, 0),
    ],
)
def test_a_host_may_catch_up_with_the_leases_in_the_rest_of_the_time(run, tmp_path, wait, waited, left):
    arguments = {"cluster": "c", "results": behind(waited), "wait": wait, "file": str(tmp_path / "status.json")}
    answer = run("status_summary", **arguments)
    if left:
        assert (answer["again"], answer.get("failed", False)) == ({"wait": left, "leases": LEASES}, False)
        assert (run.lines, (tmp_path / "status.json").exists()) == ([], False)
        answer = run("status_summary", **{**arguments, "wait": 0})
    assert (answer["again"], answer["failed"], answer["msg"]) == ({}, True, "c: 1 problem on n1")
    said = "  n1: flannel on this host: it has no route to 10.244.1.0/24 of 192.0.2.1; run plainkube.cluster.site"
    assert run.lines[-1] == said
    assert (tmp_path / "status.json").exists()


def test_only_leases_that_are_some_are_passed_on(run):
    results = behind(0)
    results["k1"]["etcd"]["leases"] = [{**LEASES[0], "subnet": "10.244.1.1/24", "more": "{{ x }}"}]
    assert run("status_summary", cluster="c", results=results, wait=60)["again"] == {}
    results = behind(0)
    results["k1"]["etcd"]["leases"] = [{**LEASES[0], "more": "{{ x }}"}, LEASES[1]]
    assert run("status_summary", cluster="c", results=results, wait=60)["again"]["leases"] == LEASES


def test_a_plan_does_not_say_that_nothing_would_change_on_a_host_that_failed(run):
    run.loses("n1", __node_result=FAILED)
    answer = run("plan_summary", cluster="c", hosts=["k1", "n1"])
    assert answer["msg"] == "c: nothing would change on 1 hosts; what would change on n1 is unknown"
    assert run.lines[-1] == f"  n1 failed earlier in this run: {FAILED['msg']}"


def test_certificates_of_before_are_not_shown_for_a_host_that_failed(run):
    run.loses("n1", __node_result=FAILED)
    shown = {"path": "/a.crt", "subject": "a", "issuer": "ca", "not_after": "", "days_left": 9, "error": ""}
    results = {host: {**WELL, "certificates": [shown]} for host in ("k1", "n1")}
    run("certificate_summary", cluster="c", results=results)
    assert "\n".join(run.lines).count("/a.crt") == 1
    assert f"failed earlier in this run: {FAILED['msg']}" in "\n".join(run.lines)


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        ({"healthy": True}, "problems"),
        ({**WELL, "problems": "none"}, "problems"),
        ({**WELL, "components": [{"name": "kubelet"}]}, "components[0].load"),
        ({**WELL, "certificates": [{}]}, "certificates[0].path"),
        ({**WELL, "node": {"name": "n1"}}, "node.ready"),
        ({**WELL, "etcd": {}}, "etcd.members"),
        ({**WELL, "deployments": ["coredns"]}, "deployments[0]"),
    ],
)
@pytest.mark.parametrize("action", ["status_summary", "certificate_summary"])
def test_an_answer_that_is_none(run, action, answer, where):
    run(action, cluster="c", results={"k1": WELL, "n1": answer})
    assert f"could not be checked: its answer has no valid {where}" in "\n".join(run.lines)


def test_a_plan_of_answers_that_are_none(run):
    restart = {"verb": "restart", "subject": "kubelet", "reason": ""}
    odd = {
        "changed": True,
        "actions": ["x", restart, {**restart, "verb": "own"}, {**restart, "subject": "a\nk1  stop"}],
    }
    run.hostvars["n1"] = {"__node_result": odd, "__docker_result": {"changed": True}}
    answer = run("plan_summary", cluster="c", hosts=["k1", "n1"])
    assert run.lines[:-1] == [
        "HOST  WOULD",
        "n1    restart  kubelet: the host does not say why",
        "               a k1 stop: the host does not say why",
        "      ?        the answer of this host has no valid actions",
        "               the answer of this host has no valid actions[0]",
    ]
    assert answer["msg"] == "c: would change 1 of 2 hosts, start 0 and restart 2 services"


def status(run, pki, **more):
    results = {"k1": {**WELL, "pki": pki.answer, **more}, "n1": WELL}
    return run("status_summary", cluster="c", results=results, directory=str(pki.directory), control_planes=["k1"])


def test_the_directory_is_in_order(run, pki):
    assert status(run, pki)["msg"] == "c: all is well on 2 hosts"
    assert run.warnings == []


def test_the_directory_is_missing(run, pki):
    pki.directory.rename(pki.directory.with_name("elsewhere"))
    assert status(run, pki)["msg"] == "c: 1 problem on the control node"
    said = f"certificates_directory {pki.directory} has no kubernetes CA, but k1 carries certificates of CA CN=c-kubernetes-ca"
    assert run.lines[-1].strip().startswith(said)
    shown = {"cluster": "c", "results": {"k1": {**WELL, "pki": pki.answer}}, "directory": str(pki.directory)}
    shown["control_planes"] = ["k1"]
    answer = run("certificate_summary", **shown, rotation={"failed": True, "msg": "it does not exist"})
    assert answer["failed"]
    assert answer["msg"].startswith(said)
    assert run.lines[-1].strip() == answer["msg"]


def test_a_new_cluster_has_no_directory_and_needs_none(run, pki):
    pki.directory.rename(pki.directory.with_name("elsewhere"))
    pki.answer = {"public": {}, "secret": [], "encryption": []}
    assert status(run, pki)["msg"] == "c: all is well on 2 hosts"


@pytest.mark.parametrize(
    ("mode", "keys", "said"),
    [
        (0o755, 0o600, "is accessible to other users of this machine (mode 0755): run plainkube.cluster.site"),
        (0o750, 0o640, "(mode 0750), who can read ca.key, encryption.yaml, front-proxy-ca.key, sa.key: run plainkube"),
        (0o701, 0o604, "(mode 0701), who can read ca.key, encryption.yaml, front-proxy-ca.key, sa.key: run plainkube"),
        # Its group may pass and may not read, and the others may read and may not pass.
        (0o710, 0o604, "is accessible to other users of this machine (mode 0710): run plainkube.cluster.site"),
    ],
)
def test_the_directory_is_open_to_others(run, pki, mode, keys, said):
    for path in pki.directory.glob("*"):
        if path.suffix in (".key", ".yaml"):
            path.chmod(keys)
    pki.directory.chmod(mode)
    assert status(run, pki)["failed"]
    assert said in run.lines[-1]
    answer = run("certificate_summary", cluster="c", results={}, directory=str(pki.directory))
    assert not answer["failed"]
    assert [said in warning for warning in run.warnings] == [True]


def test_where_nobody_asks_for_the_directory(run, pki):
    pki.directory.chmod(0o777)
    assert run("status_summary", cluster="c", results={"k1": WELL})["msg"] == "c: all is well on 1 host"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({}, "Host n1 has not reported its certificates: run module plainkube.cluster.host_facts on it first."),
        (None, "Host n1 has not reported its certificates: run module plainkube.cluster.host_facts on it first."),
        (FAILED, f"Host n1 has not reported its certificates: {FAILED['msg']}"),
        (
            {"public": {}, "secret": {}},
            "The answer of host n1 to module plainkube.cluster.host_facts has no valid secret: inspect that host.",
        ),
        (
            {"public": {"ca.crt": 1}, "secret": []},
            "The answer of host n1 to module plainkube.cluster.host_facts has no valid public.ca.crt: inspect",
        ),
    ],
)
def test_nothing_is_signed_by_an_answer_that_is_none(run, pki, answer, said):
    result = run(
        "certificate_sign",
        directory=str(pki.directory),
        cluster_name="c",
        groups=[],
        answers={"k1": pki.answer, "n1": answer},
        control_planes=["k1"],
        state="checked",
    )
    assert result["failed"]
    assert result["msg"].startswith(said)
