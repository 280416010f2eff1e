"""Test connections from this host, from the first pod on it and, if it has kubectl, through the API server, all in parallel.

Argument: the settings in JSON, __verify_settings in vars/main.yml. Prints a sentence for each failure, and exits with 3 if there is one. Repeats each test
until it succeeds, for as long as `wait` says: kube-proxy and DNS need a second or two for a new Service. With `gone`, only waits until the hostPorts are free.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import http.client
import ipaddress
import json
import subprocess
import sys
import threading
import time
import typing as t
import urllib.parse
import urllib.request

# How many others a node with a pod tests: with up to four nodes, all of them.
PEERS = 3
# So many requests do not all reach the same one of two pods by chance.
STICKY_REQUESTS = 20
PAUSE = 0.5
# agnhost, too, waits 5 s for a response.
TIMEOUT = 6.0
# For a response that must not come. Nodes that do respond need milliseconds.
SILENCE = 1.0
# What the API server responds to a request without TLS.
WITHOUT_TLS = "Client sent an HTTP request to an HTTPS server."
# How long this host may take to resolve the external name. Then the pod may take as long as for any test.
RESOLUTION = 2
# The exit code if a test fails. Python's own is 1.
FAILED = 3
# Printed if this host does not resolve it.
UNRESOLVED = "external name unresolved"
# Processes of kubectl at the same time.
KUBECTL_TIMEOUT = 10
KUBECTL = threading.BoundedSemaphore(8)

HINTS = {
    "bridge": "the pods' bridge on {here}, and its packet filter (`ip address`, `nft list ruleset`, `journalctl -u kubelet`)",
    "same node": "whether the container runtime or a packet filter on {here} separates pods (Docker: `icc` in daemon.json)",
    "network": "flannel.1 and its routes, `sysctl net.ipv4.ip_forward` and packet filters on both hosts (`ip route`, `journalctl -u flanneld`)",
    "service": "kube-proxy on {here} (`nft list table ip kube-proxy`, `journalctl -u kube-proxy`)",
    "hairpin": "kube-proxy and the pods' bridge on {here} (`nft list table ip kube-proxy`, `bridge link`)",
    "dns": "CoreDNS and its Service (`kubectl -n kube-system get pods -o wide -l k8s-app=kube-dns`, `journalctl -u kube-proxy` on {here})",
    "external": "/etc/resolv.conf on the nodes with CoreDNS (`kubectl -n kube-system get pods -o wide -l k8s-app=kube-dns`), and addons_dns_upstream",
    "node port": "kube-proxy and the firewall there (`nft list table ip kube-proxy`, `journalctl -u kube-proxy`)",
    "host port": "the packet filter rules of its container runtime (Docker: `nft list ruleset`, `journalctl -u docker`)",
    "freed": "the packet filter rules of its container runtime (`nft list ruleset`), and whether plainkube.cluster.verify runs a second time",
    "taken": "what listens there (`ss -ltnp`), and set verify_host_port to a port that is free on every node",
    "kubelet": "port 10250 there (`journalctl -u kubelet`)",
    "pod proxy": "flannel and kube-proxy on the control planes (`journalctl -u flanneld`, `journalctl -u kube-proxy`)",
}


# Tests that cannot succeed without those of the network, and say nothing about their own causes then.
DERIVED = ("service", "dns", "external", "node port", "pod proxy")


class Wrong(Exception):
    """Why a test failed, for a sentence."""


@dataclasses.dataclass(frozen=True)
class Test:
    """`source` and `what` are the beginning of a sentence, which `target` completes; `run` raises an error."""

    source: str
    what: str
    target: str
    hint: str
    run: t.Callable[[], None]
    # Only once everything else works: whether nothing responds.
    late: bool = False
    from_pod: bool = False


def get(host: str, path: str, port: int, timeout: float = TIMEOUT) -> tuple[int, str]:
    """The status and text of a response."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(1 << 20).decode("utf-8", "replace").strip()
    except http.client.HTTPException as error:
        raise Wrong(f"the response is not HTTP: {error!r}") from error
    finally:
        connection.close()


def compare(found: str, wanted: t.Container[str]) -> None:
    if found not in wanted:
        raise Wrong(response(found))


def response(text: str) -> str:
    return f"the response is {text[:80]!r}"


def heard(host: str, port: int) -> str:
    """What responds, for a sentence; empty if nothing does."""
    try:
        return response(get(host, "/hostname", port, SILENCE)[1])
    except Wrong as error:
        return str(error)
    except OSError:
        return ""


def silence(host: str, port: int) -> None:
    """Whether nothing responds."""
    said = heard(host, port)
    if said:
        raise Wrong(said)


class Tests:
    """All tests of this host. A pod's host name is its own name: a-N or b-N on the node with number N."""

    def __init__(self, settings: dict[str, t.Any]) -> None:
        self.name: str = settings["name"]
        self.addresses: dict[str, str] = settings["addresses"]
        self.pods: dict[str, list[str]] = settings["pods"]
        self.services: dict[str, dict[str, t.Any]] = settings["services"]
        self.port: int = settings["port"]
        self.settings = settings
        self.nodes = list(self.pods)
        self.own = self.pods.get(self.name, [])
        self.pod = f"the pod on {self.name}"
        self.notes: set[str] = set()
        self.everyone = {f"{letter}-{number}" for letter in "ab" for number in range(len(self.nodes))}

    def first(self, node: str) -> str:
        """The name of the first pod on a node."""
        return f"a-{self.nodes.index(node)}"

    def after(self, names: t.Sequence[str], count: int) -> list[str]:
        """The names that follow this host's, in a ring; so every host is a source and a target. Without this host in the ring: all of them."""
        if self.name not in names:
            return list(names)
        place = names.index(self.name) + 1
        return [*names[place:], *names[: place - 1]][:count]

    def plan(self) -> list[Test]:
        tests = [*self._pods(), *self._services(), *self._ports()]
        return [*tests, *(self._from_pod() if self.own else []), *self._through_api()]

    # From the host

    def _host(self, what: str, target: str, hint: str, host: str, wanted: t.Container[str], port: int) -> Test:
        return Test(
            self.name, what, f"{target} ({host}:{port})", hint, lambda: compare(get(host, "/hostname", port)[1], wanted)
        )

    def _pods(self) -> t.Iterator[Test]:
        if self.own:
            yield self._host("does not reach", "its own pod", "bridge", self.own[0], {self.first(self.name)}, self.port)
        for node in self.after(self.nodes, PEERS):
            yield self._host(
                "does not reach", f"the pod on {node}", "network", self.pods[node][0], {self.first(node)}, self.port
            )

    def _services(self) -> t.Iterator[Test]:
        for name, what, wanted in (
            ("hello", "the Service of the pods", self.everyone),
            ("api", "the Service of the API", {WITHOUT_TLS}),
        ):
            service = self.services[name]
            yield self._host("does not reach", what, "service", service["ip"], wanted, service["port"])

    def _ports(self) -> t.Iterator[Test]:
        others = list(self.addresses)
        for node in self.after(others, 1) or others:
            port = self.services["hello"]["node_port"]
            yield self._host(
                "does not reach", f"a NodePort of {node}", "node port", self.addresses[node], self.everyone, port
            )
        for node in self.after(others, 1) if self.name in others else []:
            yield self._local(node, self.addresses[node], self.services["local"]["node_port"])
        for node in self.after(self.nodes, 1) or self.nodes:
            wanted = {self.first(node)}
            yield self._host(
                "does not reach",
                f"the hostPort on {node}",
                "host port",
                self.addresses[node],
                wanted,
                self.settings["host_port"],
            )

    def _local(self, node: str, address: str, port: int) -> Test:
        """Service `local` has a pod on every second node; the others must not respond."""
        what = f"the NodePort with externalTrafficPolicy Local of {node}"
        if node in self.nodes and self.nodes.index(node) % 2 == 0:
            return dataclasses.replace(
                self._host("does not reach", what, "node port", address, {self.first(node)}, port),
                run=lambda: self._kept_address(node, address, port),
            )
        said = "gets a response, although no pod of the Service is there, from"
        return Test(
            self.name, said, f"{what} ({address}:{port})", "node port", lambda: silence(address, port), late=True
        )

    def freed(self) -> t.Iterator[Test]:
        """Whether the hostPorts of the deleted pods are free, and were before: containerd's rules take a port from the process that listens on it."""
        for node in self.nodes:
            place = (self.addresses[node], self.settings["host_port"])
            target = f"the hostPort on {node} ({place[0]}:{place[1]})"
            said = "still gets a response, although the pod is deleted, from"
            yield Test(self.name, said, target, "freed", functools.partial(self._gone, node, *place))
            said = "gets a response of another process from"
            yield Test(self.name, said, target, "taken", functools.partial(self._free, node, *place), late=True)

    def _gone(self, node: str, address: str, port: int) -> None:
        said = heard(address, port)
        if said == response(self.first(node)):
            raise Wrong(said)

    def _free(self, node: str, address: str, port: int) -> None:
        said = heard(address, port)
        if said not in ("", response(self.first(node))):
            raise Wrong(said)

    def _kept_address(self, node: str, address: str, port: int) -> None:
        """What externalTrafficPolicy Local is for: the pod sees the client's address, not one of its node."""
        compare(get(address, "/hostname", port)[1], {self.first(node)})
        seen = get(address, "/clientip", port)[1].rpartition(":")[0]
        if seen == address or ipaddress.ip_address(seen) in ipaddress.ip_network(self.settings["pod_network"]):
            raise Wrong(f"the pod sees {seen} instead of {self.name}'s address")

    # From the pod

    def dial(self, host: str, port: int, request: str = "hostname", tries: int = 1) -> list[str]:
        """What agnhost in the pod on this host gets: the responses to its requests. Without tries, it only resolves the name."""
        query = urllib.parse.urlencode({"host": host, "port": port, "request": request, "tries": tries})
        status, text = get(self.own[0], f"/dial?{query}", self.port, TIMEOUT + tries / 5)
        if status != 200:
            raise Wrong(text[:200])
        found = json.loads(text)
        if found.get("errors"):
            raise Wrong(found["errors"][0].rpartition('": ')[2][:200])
        return found.get("responses", [])

    def _dialed(self, what: str, target: str, hint: str, host: str, wanted: t.Container[str], port: int) -> Test:
        def run() -> None:
            (found,) = self.dial(host, port) or [""]
            compare(found.strip(), wanted)

        return Test(self.pod, what, f"{target} ({host}:{port})", hint, run, from_pod=True)

    def _from_pod(self) -> t.Iterator[Test]:
        own, api, hello = self.services["own"], self.services["api"], self.services["hello"]
        mine = {self.first(self.name)}
        number = self.nodes.index(self.name)
        yield self._dialed(
            "does not reach", "the second pod on the same node", "same node", self.own[1], {f"b-{number}"}, self.port
        )
        for node in self.after(self.nodes, PEERS):
            yield self._dialed(
                "does not reach", f"the pod on {node}", "network", self.pods[node][0], {self.first(node)}, self.port
            )
        yield self._dialed(
            "does not reach", "the Service of the pods", "service", hello["ip"], self.everyone, hello["port"]
        )
        yield self._dialed("does not reach", "the Service of the API", "service", api["ip"], {WITHOUT_TLS}, api["port"])
        yield self._dialed("does not reach", "itself through its Service", "hairpin", own["ip"], mine, own["port"])
        for name in ("own", f"own.{self.settings['namespace']}.svc.{self.settings['domain']}"):
            yield self._dialed("does not reach", "its Service by name", "dns", name, mine, own["port"])
        for node in self.after(list(self.addresses), 1):
            address, port = self.addresses[node], hello["node_port"]
            yield self._dialed("does not reach", f"a NodePort of {node}", "node port", address, self.everyone, port)
        yield self._sticky(self.services["sticky"])
        name = self.settings["external"]
        if name:
            yield Test(
                self.pod,
                "does not resolve",
                f"{name}, which {self.name} resolves",
                "external",
                lambda: self._resolve(name),
                from_pod=True,
            )

    def _resolve(self, name: str) -> None:
        """With DNS: a name in /etc/hosts is not for pods."""
        try:
            subprocess.run(["getent", "-s", "dns", "ahosts", name], capture_output=True, timeout=RESOLUTION, check=True)
        except subprocess.SubprocessError:
            self.notes.add(UNRESOLVED)
            return
        self.notes.discard(UNRESOLVED)
        self.dial(name, 443, tries=0)

    def _sticky(self, service: dict[str, t.Any]) -> Test:
        def run() -> None:
            found = self.dial(service["ip"], service["port"], tries=STICKY_REQUESTS)
            if len(found) != STICKY_REQUESTS or not {*found} <= self.everyone or len({*found}) > 1:
                raise Wrong(f"{len(found)} responses come from {', '.join(sorted({*found}))}")

        target = f"a Service with sessionAffinity ClientIP ({service['ip']}:{service['port']})"
        return Test(self.pod, "does not stay with one pod of", target, "service", run, from_pod=True)

    # Through the API server, if this host has kubectl

    def kubectl(self, *arguments: str) -> str:
        with KUBECTL:
            try:
                done = subprocess.run(
                    [*self.settings["kubectl"], *arguments],
                    capture_output=True,
                    text=True,
                    timeout=KUBECTL_TIMEOUT,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise Wrong(f"kubectl gets no response in {KUBECTL_TIMEOUT} s") from error
        if done.returncode != 0:
            raise Wrong((done.stderr.strip() or f"kubectl ends with {done.returncode}").splitlines()[-1][:200])
        return done.stdout

    def _through_api(self) -> t.Iterator[Test]:
        for node in self.nodes if self.settings["kubectl"] else []:
            pod, target = self.first(node), f"the pod on {node}"
            for what, hint, run in (
                ("gets no log (kubectl logs) of", "kubelet", self._logs),
                ("cannot run a program (kubectl exec) in", "kubelet", self._execute),
                ("cannot forward a port (kubectl port-forward) to", "kubelet", self._forward),
                (
                    "does not reach, through the API server (kubectl proxy, aggregated APIs and webhooks go this way),",
                    "pod proxy",
                    self._proxy,
                ),
            ):
                yield Test(self.name, what, target, hint, functools.partial(run, pod))

    def _logs(self, pod: str) -> None:
        if f"Started HTTP server on port {self.port}" not in self.kubectl("logs", pod):
            raise Wrong("the log does not say that its server has started")

    def _execute(self, pod: str) -> None:
        self.kubectl("exec", pod, "--", "/agnhost", "connect", f"127.0.0.1:{self.port}", "--timeout=5s")

    def _proxy(self, pod: str) -> None:
        path = f"/api/v1/namespaces/{self.settings['namespace']}/pods/{pod}:{self.port}/proxy/hostname"
        compare(self.kubectl("get", "--raw", path).strip(), {pod})

    def _forward(self, pod: str) -> None:
        command = [*self.settings["kubectl"], "port-forward", f"pod/{pod}", f":{self.port}"]
        with KUBECTL, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as forward:
            timer = threading.Timer(KUBECTL_TIMEOUT, forward.kill)
            timer.start()
            try:
                assert forward.stdout
                assert forward.stderr
                # Forwarding from 127.0.0.1:PORT -> 8080
                words = forward.stdout.readline().split()
                if len(words) < 3:
                    raise Wrong((forward.stderr.read().strip() or "kubectl forwards nothing").splitlines()[-1][:200])
                host, dummy, port = words[2].rpartition(":")
                compare(get(host, "/hostname", int(port))[1], {pod})
            finally:
                timer.cancel()
                forward.kill()


def reason(test: Test, end: float) -> str:
    """Why a test still fails at the end; empty if it succeeds."""
    while True:
        try:
            test.run()
            return ""
        except (OSError, ValueError, Wrong) as error:
            said = str(error) or type(error).__name__
        if test.late or time.monotonic() + PAUSE > end:
            return said.replace("\n", " ")
        time.sleep(PAUSE)


def run(tests: t.Sequence[Test], end: float) -> dict[Test, str]:
    """The failed tests with their reasons."""
    if not tests:
        return {}
    with concurrent.futures.ThreadPoolExecutor(len(tests)) as pool:
        found = dict(zip(tests, pool.map(lambda test: reason(test, end), tests)))
    return {test: said for test, said in found.items() if said}


def sentences(failed: dict[Test, str], here: str) -> list[str]:
    """One for each kind of failure, with all of its targets, but without consequences of others."""
    groups: dict[tuple[str, str, str], list[Test]] = {}
    lost = {test.source for test in failed if test.hint == "network"}
    silent = any(test.hint == "bridge" for test in failed)
    for test in failed:
        if not (test.source in lost and test.hint in DERIVED) and not (silent and test.from_pod):
            groups.setdefault((test.source, test.what, test.hint), []).append(test)
    texts = [
        f"{source} {what} {', '.join(test.target for test in group)}: {failed[group[0]].rstrip('.')}; check {HINTS[hint].format(here=here)}."
        for (source, what, hint), group in groups.items()
    ]
    return [text[0].upper() + text[1:] if text.startswith("the ") else text for text in texts]


def main() -> None:
    settings = json.loads(sys.argv[1])
    end = time.monotonic() + settings["wait"]
    tests = Tests(settings)
    plan = [*tests.freed()] if settings.get("gone") else tests.plan()
    failed = run([test for test in plan if not test.late], end)
    failed.update(run([test for test in plan if test.late], end))
    for text in sentences(failed, tests.name):
        print(text)
    if failed:
        sys.exit(FAILED)
    print("; ".join([f"{len(plan)} tests", *tests.notes]))


if __name__ == "__main__":
    main()
