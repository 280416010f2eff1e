# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _status

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2808 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:2808 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 20 4 30 10 -1
"""
TCP6 = """\
  sl  local_address remote_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode
   0: 00000000000000000000000000000000:280A 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4713 1
   1: B80D01200000000000000000010000FF:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4714 1
"""


def component(**changes):
    """A healthy kubelet, with changes."""
    healthy = {
        "name": "kubelet",
        "load": "loaded",
        "active": "active",
        "sub": "running",
        "result": "success",
        "enabled": "enabled",
        "pid": 100,
        "seconds": 600,
        "restarts": 0,
        "listening": ["127.0.0.1:10248", "[::]:10250"],
        "health": {"url": "http://127.0.0.1:10248/healthz", "status": 200, "ok": True, "text": "ok"},
        "version": "1.37.2",
        "version_wanted": "1.37.2",
        "outdated": "",
        "kernel": [],
    }
    return {**healthy, **changes}


def texts(problems):
    return [problem.text for problem in problems]


def test_listeners_without_connections():
    assert [str(one) for one in _status.parse_listeners(TCP)] == ["127.0.0.1:10248"]
    assert _status.parse_listeners(TCP)[0].inode == 4711


def test_ipv6_listeners():
    assert [str(one) for one in _status.parse_listeners(TCP6)] == ["[::]:10250", "[2001:db8::ff00:1]:80"]


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/opt/plainkube/kubernetes/1.37.2/kubelet", "1.37.2"),
        ("/opt/plainkube/etcd/v3.7.3/etcd (deleted)", "3.7.3"),
        ("/usr/sbin/dockerd", ""),
        ("", ""),
    ],
)
def test_version_is_in_the_path(path, version):
    assert _status.version_of(path) == version


def test_the_directory_of_programs_may_be_a_link():
    assert _status.version_of("/disk/1+1/kubernetes/1.37.2/kubelet", "/disk/1+1") == "1.37.2"
    assert _status.version_of("/opt/plainkube/kubernetes/1.37.2/kubelet", "/disk") == ""


@pytest.mark.parametrize(
    ("text", "version"),
    [("26.1.5+dfsg1\n", "26.1.5"), ("Client: v1.2.3-rc.1 (x)", "1.2.3-rc.1"), ("none", "")],
)
def test_version_in_output(text, version):
    assert _status.find_version(text) == version


def test_program_of_exec_start():
    text = "{ path=/usr/local/bin/etcd ; argv[]=/usr/local/bin/etcd --name=a ; ignore_errors=no }"
    assert _status.program_of(text) == "/usr/local/bin/etcd"
    assert _status.program_of("") == ""


@pytest.mark.parametrize(("text", "seconds"), [("@1732383480", 1732383480), ("", 0), ("n/a", 0)])
def test_timestamp(text, seconds):
    assert _status.parse_timestamp(text) == seconds


def test_iso_time_is_utc():
    assert _status.iso_time(1732383480) == "2024-11-23T17:38:00Z"


def test_a_healthy_component_has_no_problems():
    assert _status.component_problems(component(), [10248, 10250], 0) == []


@pytest.mark.parametrize(
    ("changes", "sentence", "passing"),
    [
        (
            {"load": "not-found", "active": "inactive", "sub": "dead"},
            "systemd has no unit kubelet.service; run plainkube.cluster.site",
            False,
        ),
        ({"load": "masked", "active": "inactive", "sub": "dead"}, "kubelet on this host is masked", False),
        (
            {"active": "inactive", "sub": "dead"},
            "kubelet on this host is stopped (inactive/dead); start it with plainkube.cluster.site",
            False,
        ),
        (
            {"active": "failed", "sub": "failed", "result": "exit-code"},
            "kubelet on this host has failed (exit-code)",
            False,
        ),
        ({"active": "activating", "sub": "start"}, "kubelet on this host is still starting (activating/start)", True),
        ({"active": "deactivating", "sub": "stop-sigterm"}, "is just stopping (deactivating/stop-sigterm)", True),
        (
            {"active": "activating", "sub": "auto-restart", "restarts": 7, "result": "exit-code"},
            "does not stay up: systemd restarted it 7 times, the last time because of exit-code",
            True,
        ),
        ({"enabled": "disabled"}, "kubelet on this host would not start at boot", False),
        (
            {"outdated": "the process was started from an older unit"},
            "does not run what is on disk: the process was started",
            False,
        ),
        (
            {"version": "1.36.3"},
            "kubelet on this host runs version 1.36.3, but 1.37.2 is expected; run plainkube.cluster.site",
            False,
        ),
        ({"version": ""}, "does not show its version, but 1.37.2 is expected", False),
        ({"listening": ["127.0.0.1:10248"]}, "does not listen on port 10250, but on 127.0.0.1:10248", True),
        ({"listening": ["127.0.0.1:10248", "[::]:1025"]}, "does not listen on port 10250", True),
        (
            {"health": {"url": "http://127.0.0.1:10248/healthz", "status": 500, "ok": False, "text": "[-]ping failed"}},
            "is not healthy: http://127.0.0.1:10248/healthz returns 500: [-]ping failed",
            True,
        ),
        (
            {
                "health": {
                    "url": "http://127.0.0.1:10248/healthz",
                    "status": 0,
                    "ok": False,
                    "text": "Connection refused",
                }
            },
            "healthz does not respond: Connection refused",
            True,
        ),
    ],
)
def test_one_fault_is_one_problem(changes, sentence, passing):
    (problem,) = _status.component_problems(component(**changes), [10250], 0)
    assert sentence in problem.text
    assert problem.passing is passing


def test_a_stopped_component_is_not_blamed_for_its_ports_too():
    down = component(active="inactive", sub="dead", listening=[], version="", enabled="disabled")
    assert len(_status.component_problems(down, [10250], 0)) == 1


def test_no_ports_are_expected_in_the_grace_after_a_start():
    young = component(seconds=10, listening=[])
    assert _status.component_problems(young, [10250], 45) == []
    assert _status.component_problems(component(seconds=45, listening=[]), [10250], 45)


@pytest.mark.parametrize(
    ("days", "error", "sentence"),
    [
        (31, "", None),
        (30, "", None),
        (
            29,
            "",
            "the certificate /a.crt on this host expires in 29 days, on 2026-12-01T00:00:00Z; run plainkube.cluster.site",
        ),
        (0, "", "expires in 0 days"),
        (-1, "", "the certificate /a.crt on this host expired on 2026-12-01T00:00:00Z; run plainkube.cluster.site"),
        (
            0,
            "No such file or directory",
            "the certificate /a.crt on this host cannot be read: No such file or directory; run plainkube.cluster.site",
        ),
    ],
)
def test_certificates(days, error, sentence):
    certificate = {"path": "/a.crt", "days_left": days, "not_after": "2026-12-01T00:00:00Z", "error": error}
    problems = _status.certificate_problems(certificate, 30)
    assert bool(problems) is (sentence is not None)
    if sentence:
        assert sentence in problems[0].text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ca.crt", ["run plainkube.cluster.certificates with -e certificates_rotate=kubernetes"]),
        ("ca-signer.crt", ["run plainkube.cluster.certificates with -e certificates_rotate=kubernetes"]),
        ("etcd/ca.crt", ["run plainkube.cluster.certificates with -e certificates_rotate=etcd"]),
        ("front-proxy-ca.crt", ["run plainkube.cluster.certificates with -e certificates_rotate=front-proxy"]),
        ("etcd/peer.crt", ["run plainkube.cluster.site"]),
        ("ca-cross.crt", []),
    ],
)
def test_the_remedy_for_a_ca_that_expires(name, words):
    certificate = {"path": f"/etc/kubernetes/pki/{name}", "days_left": 3, "not_after": "2026-12-01", "error": ""}
    assert [one.text.rpartition("; ")[2] for one in _status.certificate_problems(certificate, 30)] == words
    expired = [
        one.text.rpartition("; ")[2] for one in _status.certificate_problems({**certificate, "days_left": -1}, 30)
    ]
    assert expired == (["run plainkube.cluster.site"] if words else [])


MEMBERS = {
    "header": {"cluster_id": 1},
    "members": [
        {"ID": 10276657743932975437, "name": "cp1", "peerURLs": ["https://a:2380"], "clientURLs": ["https://a:2379"]},
        {"ID": 2, "name": "cp2", "peerURLs": ["https://b:2380"], "clientURLs": ["https://b:2379"]},
    ],
}


def status(**changes):
    answer = {
        "header": {"member_id": 10276657743932975437},
        "version": "3.7.3",
        "dbSize": 20480,
        "leader": 2,
        "dbSizeQuota": 2147483648,
    }
    return [{"Endpoint": "https://127.0.0.1:2379", "Status": {**answer, **changes}}]


def etcd(members, error=""):
    leader = next((member["name"] for member in members if member["leader"]), "")
    alarms = _status.etcd_alarms(members)
    return {
        "endpoints": ["https://127.0.0.1:2379"],
        "members": members,
        "leader": leader,
        "alarms": alarms,
        "error": error,
    }


def test_etcd_members_and_leader():
    one, two = _status.etcd_members(MEMBERS, status())
    assert (one["id"], one["name"], one["leader"], one["version"], one["db_size"]) == (
        "8e9e05c52164694d",
        "cp1",
        False,
        "3.7.3",
        20480,
    )
    assert (two["name"], two["leader"], two["version"], two["learner"]) == ("cp2", True, "", False)
    assert _status.etcd_problems(etcd([one, two])) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"leader": 0, "errors": ["etcdserver: no leader"]}, "etcd has no leader"),
        ({"errors": ["memberID:2  alarm:NOSPACE"]}, "etcd raised the alarm NOSPACE for member cp2"),
        ({"dbSize": 2_000_000_000}, "the database of etcd member cp1 takes 1907 MiB of 2048 MiB; defragment it"),
    ],
)
def test_etcd_faults(changes, sentence):
    (problem,) = _status.etcd_problems(etcd(_status.etcd_members(MEMBERS, status(**changes))))
    assert sentence in problem.text


def test_an_etcd_member_that_never_started():
    members = {"members": [*MEMBERS["members"], {"ID": 3, "peerURLs": ["https://c:2380"]}]}
    (problem,) = _status.etcd_problems(etcd(_status.etcd_members(members, status())))
    assert "the etcd member 3 at https://c:2380 was added and has never started" in problem.text


def test_a_learner_and_an_unexpected_member():
    members = {
        "members": [*MEMBERS["members"], {"ID": 3, "name": "x", "peerURLs": ["https://x:2380"], "isLearner": True}]
    }
    found = {**etcd(_status.etcd_members(members, status())), "expected": ["cp1", "cp2", "cp3"]}
    learner, stranger, missing = _status.etcd_problems(found)
    assert (learner.text, learner.passing) == (
        "the etcd member x is a learner and has no vote; run plainkube.cluster.site",
        True,
    )
    assert "etcd has the member x (3), which is not an etcd host in the inventory" in stranger.text
    assert missing == ("cp3 is not a member of etcd; run plainkube.cluster.site", False)
    assert not _status.etcd_problems({**etcd(_status.etcd_members(MEMBERS, status())), "expected": ["cp1", "cp2"]})


def test_an_etcd_that_does_not_respond_may_recover():
    (problem,) = _status.etcd_problems(etcd([], error="context deadline exceeded"))
    assert problem == ("the state of etcd is unknown: context deadline exceeded", True)


DISKS = [{"path": "/var/lib/kubelet", "space": 40, "inodes": 90}, {"path": "/var/lib/docker", "space": 60, "inodes": 2}]


def node(**conditions):
    found = [
        {"type": kind, "status": value, "reason": "Because", "message": "so it is", "lastHeartbeatTime": "x"}
        for kind, value in conditions.items()
    ]
    return _status.node_state(
        "n1", {"spec": {}, "status": {"conditions": found, "nodeInfo": {"kubeletVersion": "v1.37.2"}}}
    )


def test_a_ready_node():
    ready = node(Ready="True", MemoryPressure="False")
    assert (ready["ready"], ready["schedulable"], ready["version"]) == (True, True, "1.37.2")
    assert ready["conditions"][0] == {"type": "Ready", "status": "True", "reason": "Because", "message": "so it is"}
    assert _status.node_problems(ready) == []


def test_services_that_do_not_respond():
    wanted = {"api": "10.96.0.1", "api_port": 443, "dns": "10.96.0.10", "domain": "cluster.local"}
    assert _status.network_problems(wanted, {"api_error": "", "dns_error": ""}) == []
    api, dns = _status.network_problems(wanted, {"api_error": "timed out", "dns_error": "it answers with code 2"})
    assert api.text.startswith("the API's Service 10.96.0.1:443 is not reachable on this host (timed out); read ")
    assert dns.text.startswith("cluster DNS 10.96.0.10 does not respond on this host (it answers with code 2); read ")
    assert api.passing
    assert dns.passing


def test_what_is_missing_in_the_kernel_is_a_problem_that_site_repairs():
    (problem,) = _status.component_problems(component(name="flanneld", kernel=["there is no flannel.1"]), [], 0)
    assert problem == ("flanneld on this host: there is no flannel.1; run plainkube.cluster.site", True)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (node(Ready="False"), "node n1 is not Ready: Because, so it is"),
        (node(Ready="Unknown"), "node n1 is not Ready: Because, so it is"),
        (node(), "node n1 is not Ready: no condition, the kubelet has not reported yet"),
        (node(Ready="True", DiskPressure="True"), "node n1 has DiskPressure: so it is"),
        (
            {**node(Ready="True", DiskPressure="True"), "disks": DISKS},
            "node n1 has DiskPressure: so it is; /var/lib/docker has 60 % of its space and 2 % of its inodes free",
        ),
        (_status.node_state("n1", {}, "403"), "the state of node n1 is unknown: 403"),
    ],
)
def test_node_faults(state, sentence):
    assert texts(_status.node_problems(state)) == [sentence]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ({"spec": {"replicas": 2}, "status": {"availableReplicas": 2}}, "", ""),
        ({"spec": {"replicas": 2}, "status": {"availableReplicas": 1}}, "", "has 1 of 2 replicas available"),
        # The API omits a zero.
        ({"spec": {"replicas": 2}, "status": {}}, "", "has 0 of 2 replicas available"),
        ({}, "403", "the state of deployment kube-system/coredns is unknown: 403"),
    ],
)
def test_deployment_problems(answer, error, words):
    problems = _status.deployment_problems(_status.deployment_state("kube-system/coredns", answer, error))
    assert [words in problem.text and problem.passing for problem in problems] == ([True] if words else [])


@pytest.mark.parametrize(
    ("address", "subnet_file", "words"),
    [
        ("10.244.5.1/24", "FLANNEL_SUBNET=10.244.5.1/24\nFLANNEL_MTU=1450\n", ""),
        ("10.244.9.1/24", "FLANNEL_SUBNET=10.244.5.1/24\nFLANNEL_MTU=1450\n", "docker0 has the address 10.244.9.1/24"),
        ("", "FLANNEL_SUBNET=10.244.5.1/24\nFLANNEL_MTU=1450\n", "there is no docker0 on this host"),
        ("10.244.5.1/24", None, "flannel has no subnet"),
        ("10.244.5.1/24", "", "has no FLANNEL_SUBNET"),
    ],
)
def test_bridge_problems(address, subnet_file, words):
    problems = _status.bridge_problems("docker0", address, 1450, subnet_file)
    assert [words in problem.text for problem in problems] == ([True] if words else [])


def test_a_bridge_with_another_mtu():
    (problem,) = _status.bridge_problems(
        "docker0", "10.244.5.1/24", 1500, "FLANNEL_SUBNET=10.244.5.1/24\nFLANNEL_MTU=1450\n"
    )
    assert problem.text == "docker0 has an MTU of 1500 on this host, and flannel's is 1450; run plainkube.cluster.site"


def test_a_bridge_is_identified_by_its_name():
    (problem,) = _status.bridge_problems("cni0", "", 0, "FLANNEL_SUBNET=10.244.5.1/24\nFLANNEL_MTU=1450\n")
    assert "there is no cni0 on this host" in problem.text
