# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The programs of verify.yml: what they test, and what they say. Servers on loopback addresses stand in for pods, Services and nodes."""

from __future__ import annotations

import http.server
import json
import os
import pathlib
import socket
import stat
import subprocess
import sys
import threading
import urllib.parse

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles

FILES = pathlib.Path(__file__).parents[3] / "roles" / "verify" / "files"
PODS = {"n1": ["127.9.1.1", "127.9.1.2"], "n2": ["127.9.2.1", "127.9.2.2"]}
ADDRESSES = {"n1": "127.7.0.1", "n2": "127.7.0.2", "k1": "127.7.0.3"}
SERVICES = {"hello": "127.8.0.1", "own": "127.8.0.2", "local": "127.8.0.3", "sticky": "127.8.0.4", "api": "127.8.0.5"}
NAMES = ("own", "own.plainkube-verify.svc.cluster.local")
# Address and purpose -> what responds there, in turn, on a healthy cluster. A purpose is a port.
RESPONSES = {
    **{(address, "pod"): [f"{'ab'[place]}-{number}"] for number, pods in enumerate(PODS.values()) for place, address in enumerate(pods)},
    **{(address, "hello"): ["b-1"] for address in ADDRESSES.values()},
    ("127.7.0.1", "local"): ["a-0"],
    ("127.7.0.1", "host"): ["a-0"],
    ("127.7.0.2", "host"): ["a-1"],
    (SERVICES["hello"], "pod"): ["a-1", "b-0"],
    (SERVICES["own"], "pod"): ["a-0"],
    (SERVICES["sticky"], "pod"): ["b-0"],
    (SERVICES["api"], "pod"): ["Client sent an HTTP request to an HTTPS server."],
}  # fmt: skip


class Network:
    """Servers at these addresses; those of pods are agnhost's."""

    def __init__(self):
        self.ports = {}
        self.servers = {}
        self.responses = {place: list(texts) for place, texts in RESPONSES.items()}
        self.names = {name: SERVICES["own"] for name in NAMES}
        # From a pod's address to another address.
        self.dropped = set()
        self.client = ""
        for place in RESPONSES:
            self.listen(*place)

    def listen(self, address, purpose):
        network = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                status, text = 200, network.client or self.client_address[0] + ":4711"
                if url.path == "/dial":
                    status, text = network.dial(address, **dict(urllib.parse.parse_qsl(url.query)))
                elif url.path == "/hostname":
                    text = network.response(address, purpose)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *dummy):
                pass

        server = http.server.ThreadingHTTPServer((address, self.ports.get(purpose, 0)), Handler)
        self.ports[purpose] = server.server_port
        self.servers[address, purpose] = server
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self, address, purpose):
        server = self.servers.pop((address, purpose))
        server.shutdown()
        server.server_close()

    def response(self, address, purpose):
        texts = self.responses[address, purpose]
        texts.append(texts.pop(0))
        return texts[-1]

    def dial(self, pod, host, port, request, tries):
        """What the pod's agnhost responds."""
        address = self.names.get(host, host)
        if not address.startswith("127."):
            return 400, f"host and/or port param are invalid. lookup {host} on 10.96.0.10:53: server misbehaving\n"
        if tries == "0":
            return 200, "{}"
        purpose = next(purpose for purpose, known in self.ports.items() if known == int(port))
        if (pod, address) in self.dropped or (address, purpose) not in self.servers:
            return 200, json.dumps({"errors": ["context deadline exceeded"]})
        assert request == "hostname"
        return 200, json.dumps({"responses": [self.response(address, purpose) for _each in range(int(tries))]})


@pytest.fixture
def network():
    made = Network()
    yield made
    for place in list(made.servers):
        made.close(*place)


@pytest.fixture
def program(tmp_path):
    """Writes a stand-in for a program, a shell script; returns its path."""

    def write(name, script):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    write("getent", "exit 2")
    return write


@pytest.fixture
def probe(network, program, tmp_path):
    """Runs the program on a host: its code, and what it prints, line by line."""

    def run(name="n1", **settings):
        services = {
            service: {"ip": address, "port": network.ports["pod"], "node_port": network.ports.get(service, 0)}
            for service, address in SERVICES.items()
        }
        complete = {
            "name": name, "addresses": ADDRESSES, "pods": PODS, "services": services, "namespace": "plainkube-verify",
            "domain": "cluster.local", "port": network.ports["pod"], "pod_network": "127.9.0.0/16",
            "host_port": network.ports["host"], "external": "", "kubectl": [], "wait": 0, **settings,
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, FILES / "probe.py", json.dumps(complete)],
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.stderr == ""
        return done.returncode, done.stdout.splitlines()

    return run


@pytest.mark.parametrize("name", ["n1", "k1"])
def test_a_healthy_cluster(probe, name):
    """From a node, and from a control plane that is none."""
    code, lines = probe(name)
    assert (code, len(lines)) == (0, 1)
    assert lines[0].endswith(" tests")


def test_every_pod_is_a_source_and_a_target(probe, network):
    """In a ring, with up to three others for each."""
    for number in range(2, 6):
        pods = [f"127.9.{number + 1}.{place}" for place in (1, 2)]
        PLACES = {(address, "pod"): [f"{letter}-{number}"] for letter, address in zip("ab", pods)}
        for place in PLACES:
            network.responses[place] = PLACES[place]
            network.listen(*place)
    pods = {**PODS, **{f"n{number + 1}": [f"127.9.{number + 1}.{place}" for place in (1, 2)] for number in range(2, 6)}}
    network.dropped = {("127.9.1.1", addresses[0]) for addresses in pods.values()}
    code, (line,) = probe(pods=pods)
    assert code == 3
    assert line.startswith("The pod on n1 does not reach the pod on n2 (127.9.2.1:")
    assert "the pod on n4" in line
    assert "the pod on n5" not in line


# What is wrong -> the sentences about it.
SENTENCES = [
    ({"closed": [("127.9.1.1", "pod")]}, ["n1 does not reach its own pod (127.9.1.1:"]),
    ({"closed": [("127.9.2.1", "pod")]}, ["n1 does not reach the pod on n2 (127.9.2.1:", "The pod on n1 does not reach the pod on n2 ("]),
    ({"dropped": {("127.9.1.1", "127.9.2.1")}}, ["The pod on n1 does not reach the pod on n2 (127.9.2.1:"]),
    ({"dropped": {("127.9.1.1", "127.9.1.2")}}, ["The pod on n1 does not reach the second pod on the same node (127.9.1.2:"]),
    ({"dropped": {("127.9.1.1", SERVICES["api"])}}, ["The pod on n1 does not reach the Service of the API (127.8.0.5:"]),
    ({"closed": [(SERVICES["hello"], "pod")]}, ["n1 does not reach the Service of the pods (", "The pod on n1 does not reach the Service of the pods ("]),
    ({"names": {}}, ["The pod on n1 does not reach its Service by name (own:"]),
    ({"closed": [("127.7.0.2", "host")]}, ["n1 does not reach the hostPort on n2 (127.7.0.2:"]),
    ({"closed": [("127.7.0.2", "hello")]}, ["n1 does not reach a NodePort of n2 (127.7.0.2:", "The pod on n1 does not reach a NodePort of n2 ("]),
    ({"responses": {(SERVICES["sticky"], "pod"): ["b-0", "a-1"]}},
     ["The pod on n1 does not stay with one pod of a Service with sessionAffinity ClientIP (127.8.0.4:"]),
    # The Service leads to another node's pod.
    ({"responses": {(SERVICES["own"], "pod"): ["a-1"]}},
     ["The pod on n1 does not reach itself through its Service (", "The pod on n1 does not reach its Service by name ("]),
]  # fmt: skip


def test_consequences_are_not_reported(probe, network):
    """Without the other node, there is no NodePort of it, and the Service reaches half of its pods."""
    for place in (("127.9.2.1", "pod"), ("127.7.0.2", "hello"), (SERVICES["hello"], "pod")):
        network.close(*place)
    code, lines = probe()
    assert code == 3
    assert [line.partition(" (")[0] for line in lines] == [
        "n1 does not reach the pod on n2",
        "The pod on n1 does not reach the pod on n2",
    ]


@pytest.mark.parametrize(("wrong", "expected"), SENTENCES, ids=lambda value: "")
def test_a_sentence_says_from_where_to_where(probe, network, wrong, expected):
    for place in wrong.get("closed", []):
        network.close(*place)
    network.dropped = wrong.get("dropped", set())
    network.names = wrong.get("names", network.names)
    network.responses.update(wrong.get("responses", {}))
    code, lines = probe()
    assert code == 3
    assert len(lines) == len(expected)
    for line, start in zip(lines, expected):
        assert line.startswith(start)
        assert "; check " in line
        assert line.endswith(".")


def test_a_failed_test_is_repeated(probe, network):
    network.close("127.7.0.2", "host")
    threading.Timer(0.7, network.listen, ("127.7.0.2", "host")).start()
    assert probe(wait=10)[0] == 0


# externalTrafficPolicy: Local


def test_a_node_without_a_pod_of_the_service_must_not_respond(probe, network):
    network.responses["127.7.0.2", "local"] = ["a-0"]
    network.listen("127.7.0.2", "local")
    code, (line,) = probe()
    assert code == 3
    start = "n1 gets a response, although no pod of the Service is there, from the NodePort with externalTrafficPolicy Local of n2 (127.7.0.2:"
    assert line.startswith(start)


def test_a_node_with_a_pod_must_respond(probe, network):
    network.close("127.7.0.1", "local")
    code, (line,) = probe("k1")
    assert code == 3
    assert line.startswith("k1 does not reach the NodePort with externalTrafficPolicy Local of n1 (127.7.0.1:")


@pytest.mark.parametrize("seen", ["127.7.0.1", "127.9.1.254"])
def test_the_pod_must_see_the_clients_address(probe, network, seen):
    network.client = f"{seen}:4711"
    code, (line,) = probe("k1")
    assert code == 3
    assert f": the pod sees {seen} instead of k1's address; " in line


# Names outside the cluster


@pytest.mark.parametrize("script", ["exit 2", "exec sleep 5"], ids=["not found", "no response"])
def test_what_the_host_does_not_resolve_is_not_tested(probe, program, script):
    program("getent", script)
    code, (line,) = probe(external="outside.example")
    assert code == 0
    assert line.endswith(" tests; external name unresolved")


def test_what_the_host_resolves_is_resolved_by_pods(probe, program, network):
    program("getent", '[ "$*" = "-s dns ahosts outside.example" ] && echo 192.0.2.1')
    code, (line,) = probe(external="outside.example")
    assert code == 3
    assert line.startswith("The pod on n1 does not resolve outside.example, which n1 resolves: ")
    assert "server misbehaving; check /etc/resolv.conf on the nodes with CoreDNS" in line
    network.names["outside.example"] = "127.0.0.1"
    code, (line,) = probe(external="outside.example")
    assert code == 0
    assert line.endswith(" tests")


# Through the API server

KUBECTL = """
case "$1 $2" in
"logs {bad}" | "exec {bad}" | "port-forward pod/{bad}") echo "error: dial tcp 192.0.2.22:10250: i/o timeout" >&2; exit 1 ;;
"get --raw") case $3 in */pods/{bad}:*) echo "error trying to reach service" >&2; exit 1 ;; */pods/a-0:*) echo a-0 ;; *) echo a-1 ;; esac ;;
logs*) echo "Started HTTP server on port {port}" ;;
"port-forward pod/a-0") echo "Forwarding from 127.9.1.1:{port} -> 8080"; exec sleep 60 ;;
"port-forward pod/a-1") echo "Forwarding from 127.9.2.1:{port} -> 8080"; exec sleep 60 ;;
esac
"""


def test_every_kubelet_is_asked(probe, program, network):
    def run(bad):
        return probe("k1", kubectl=[program("kubectl", KUBECTL.format(bad=bad, port=network.ports["pod"]))])

    assert run("nothing")[0] == 0
    code, lines = run("a-1")
    assert code == 3
    assert [line.partition(" the pod on n2: ")[0] for line in lines] == [
        "k1 gets no log (kubectl logs) of",
        "k1 cannot run a program (kubectl exec) in",
        "k1 cannot forward a port (kubectl port-forward) to",
        "k1 does not reach, through the API server (kubectl proxy, aggregated APIs and webhooks go this way),",
    ]
    assert "dial tcp 192.0.2.22:10250: i/o timeout; check port 10250 there" in lines[0]


def test_host_ports_are_free_again(probe, network):
    code, (line,) = probe(gone=True)
    assert code == 3
    assert line.startswith("n1 still gets a response, although the pod is deleted, from the hostPort on n1 (127.7.0.1:")
    assert "the hostPort on n2" in line
    for address in ("127.7.0.1", "127.7.0.2"):
        network.close(address, "host")
    assert probe(gone=True) == (0, ["4 tests"])


@pytest.mark.parametrize(
    ("said", "told"),
    [("<html>nginx</html>", "the response is '<html>nginx</html>'"), (None, "the response is not HTTP: ")],
)
def test_a_host_port_of_another_process(probe, network, said, told):
    """containerd's rules take the port from it, so that the pods do start."""
    network.close("127.7.0.1", "host")
    if said:
        network.responses["127.7.0.2", "host"] = [said]
        code, (line,) = probe(gone=True, wait=30)
    else:
        network.close("127.7.0.2", "host")
        with socket.create_server(("127.7.0.2", network.ports["host"])) as server:
            threading.Thread(target=answer, args=(server, b"220 mail.example.org ESMTP\r\n"), daemon=True).start()
            code, (line,) = probe(gone=True, wait=30)
    assert code == 3
    assert line.startswith("n1 gets a response of another process from the hostPort on n2 (127.7.0.2:")
    assert told in line
    assert line.endswith("and set verify_host_port to a port that is free on every node.")


def answer(server, said):
    while True:
        try:
            client = server.accept()[0]
        except OSError:
            return  # the test is over
        with client:
            client.recv(1024)
            client.sendall(said)


# ready.py


def pod(name, node, ready=True, scheduled=True):
    return {
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"nodeSelector": {"kubernetes.io/hostname": node}, **({"nodeName": node} if scheduled else {})},
        "status": {"podIP": f"10.244.0.{len(name)}", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def event(name, message, kind="Warning", at="2026-01-01T00:00:00Z"):
    return {"involvedObject": {"name": name}, "type": kind, "message": message, "lastTimestamp": at}


@pytest.fixture
def ready(program, tmp_path):
    def run(objects, events=()):
        for name, items in (("objects", objects), ("events", events)):
            (tmp_path / name).write_text(json.dumps({"items": list(items)}), encoding="utf-8")
        script = f'case "$1 $2" in "get events") cat {tmp_path}/events ;; get*) cat {tmp_path}/objects ;; esac'
        command = [sys.executable, FILES / "ready.py", "7", program("kubectl", script)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.returncode, done.stdout

    return run


def test_addresses_of_pods_and_services(ready):
    service = {
        "kind": "Service",
        "metadata": {"name": "hello"},
        "spec": {"clusterIP": "10.96.3.3", "ports": [{"port": 80, "nodePort": 31000}]},
    }
    names = [f"{letter}-{number}" for letter in "ba" for number in (10, 2)]
    code, output = ready([*(pod(name, f"n{name[2:]}") for name in names), service])
    assert code == 0
    found = json.loads(output)
    assert list(found["pods"].items()) == [("n2", ["10.244.0.3"] * 2), ("n10", ["10.244.0.4"] * 2)]
    assert found["services"] == {"hello": {"ip": "10.96.3.3", "port": 80, "node_port": 31000}}


def test_a_sentence_for_each_pod_that_is_not_ready(ready):
    events = [
        event("b-1", "an older one"),
        event("b-1", "Failed to create pod sandbox: no chain\nby that name.", at="2026-01-01T00:00:09Z"),
        event("a-1", f"{'x' * 400}: iptables: No chain by that name."),
        event("b-1", "Scheduled", kind="Normal", at="2026-01-01T00:00:10Z"),
        event("a-0", "0/2 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."),
        event("a-2", "failed to start sandbox container for pod: listen tcp4 0.0.0.0:80: bind: address already in use"),
        event(
            "a-3", "failed to start sandbox container for pod: Bind for 0.0.0.0:80 failed: port is already allocated"
        ),
    ]
    code, output = ready(
        [
            *(pod("a-0", "n1", False, False), pod("a-1", "n2", False), pod("b-1", "n2", False), pod("b-0", "n1")),
            *(pod("a-2", "n3", False), pod("a-3", "n4", False)),
        ],
        events,
    )
    assert code == 1
    assert output.splitlines() == [
        "Pod a-0 on n1 is not ready after 7 s: 0/2 nodes are available: 1 node(s) didn't have free ports for the requested pod ports; "
        "set verify_host_port to a port that is free on every node.",
        f"Pod a-1 on n2 is not ready after 7 s: ...{'x' * 267}: iptables: No chain by that name; "
        "see `journalctl -u kubelet`, and the container runtime's journal, on n2.",
        "Pod b-1 on n2 is not ready after 7 s: Failed to create pod sandbox: no chain by that name; "
        "see `journalctl -u kubelet`, and the container runtime's journal, on n2.",
        "Pod a-2 on n3 is not ready after 7 s: failed to start sandbox container for pod: listen tcp4 0.0.0.0:80: bind: address already in use; "
        "something else on n3 uses the port (`ss -ltnp`, `docker ps`), so set verify_host_port to a port that is free on every node.",
        "Pod a-3 on n4 is not ready after 7 s: failed to start sandbox container for pod: Bind for 0.0.0.0:80 failed: port is already allocated; "
        "something else on n4 uses the port (`ss -ltnp`, `docker ps`), so set verify_host_port to a port that is free on every node.",
    ]


def test_pods_that_somebody_else_has_deleted(ready):
    assert ready([]) == (1, "The pods are gone: they were deleted by others.\n")


# Two runs at the same time


def evaluated(name, **variables):
    known = {**_roles.variables(), **variables}
    return Templar(DataLoader(), variables=known).template(trust_as_template("{{ " + name + " }}"))


READY = {"start": "2026-12-01 03:33:11.120456"}
RUN = "20261201033311120456"
DONE, REFUSED = {"changed": True}, {"failed": True, "msg": "the namespace is being terminated"}


def test_a_run_has_a_name_that_is_a_label():
    assert evaluated("__verify_run", __verify_ready=READY) == RUN


@pytest.mark.parametrize(
    ("found", "replaced"),
    [
        # Nothing has failed, or not the API server's answer.
        ({}, False),
        ({"__verify_owner": {"rc": 0, "stdout": ""}}, False),
        ({"__verify_started": DONE, "__verify_owner": {"rc": 0, "stdout": RUN}}, False),
        ({"__verify_started": DONE, "__verify_owner": {"rc": 1, "stdout": ""}}, False),
        # Refused for a reason of its own.
        ({"__verify_started": REFUSED, "__verify_owner": {"rc": 0, "stdout": ""}}, False),
        # Deleted, being deleted, and another one's.
        ({"__verify_started": DONE, "__verify_owner": {"rc": 0, "stdout": ""}}, True),
        ({"__verify_started": DONE, "__verify_owner": {"rc": 0, "stdout": f"{RUN}2026-12-01T03:33:12Z"}}, True),
        ({"__verify_started": DONE, "__verify_owner": {"rc": 0, "stdout": "20261201033312000000"}}, True),
        ({"__verify_started": REFUSED, "__verify_owner": {"rc": 0, "stdout": f"{RUN}2026-12-01T03:33:12Z"}}, True),
    ],
)
def test_a_run_whose_pods_another_run_has_deleted(found, replaced):
    assert evaluated("__verify_replaced", __verify_ready=READY, **found) is replaced


def test_the_namespace_has_the_name_of_the_run():
    text = evaluated(
        "lookup('plainkube.cluster.file', 'verify/pods.yaml.j2')", __verify_ready=READY, __verify_nodes=["n1"]
    )
    namespace = next(yaml.safe_load_all(text))
    assert namespace["metadata"]["labels"]["verify-run"] == RUN
