# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A constant load of requests to a cluster, from one of its hosts, and the results: sent, failed, longest gap."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shlex
import subprocess
import time
import typing as t

from lab.base import FILES, LabError
from lab.lab import Lab

NAMESPACE = "probes"
INTERVAL = 0.4  # seconds between two requests of one of the four: ten requests a second
PKI = "/etc/kubernetes/pki"
# The API's address on every host, with several control planes.
BALANCER = "127.0.0.1:6444"
# For delays of the API, such as a control plane that is gone.
PATIENCE = 30


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The results of one prober's requests."""

    name: str
    sent: int
    failed: int  # after retries
    retries: int
    longest_gap: float  # seconds from one good answer to the next
    errors: list[str]
    lost: list[str]  # acknowledged writes that were not found later

    def __str__(self) -> str:
        said = f"{self.name}: sent {self.sent}, failed {self.failed}, longest gap {self.longest_gap:.1f} s, retries {self.retries}"
        return said + (f", lost {len(self.lost)}" if self.lost else "")


class Outcomes(list):
    """The results of one run of all probers; empty until it has ended."""

    def show(self, what: str) -> None:
        """Print every figure."""
        print("\n".join([what, *(f"  {outcome}" for outcome in self)]))

    @property
    def problems(self) -> list[str]:
        """Every failed request and lost write, as text."""
        return [
            *(f"{one.name}: {error}" for one in self for error in one.errors),
            *(f"{one.name}: {name} was acknowledged and is lost" for one in self for name in one.lost),
        ]

    @property
    def lost(self) -> list[str]:
        """Acknowledged writes that were not found later."""
        return [name for one in self for name in one.lost]

    @property
    def gaps(self) -> dict[str, float]:
        """Prober -> its longest time without a response."""
        return {one.name: one.longest_gap for one in self}


def parse(line: str) -> Outcomes:
    """The prober's final output."""
    return Outcomes(Outcome(**{"lost": [], **one}) for one in json.loads(line))


def manifest(image: str, replicas: int = 2) -> str:
    """What the probers need: a Service with pods that meet Pod Security restricted, and permissions in their own namespace."""
    pod = {
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 1,
                        "podAffinityTerm": {
                            "topologyKey": "kubernetes.io/hostname",
                            "labelSelector": {"matchLabels": {"app": "hello"}},
                        },
                    }
                ]
            }
        },
        "containers": [
            {
                "name": "hello",
                "image": image,
                "args": ["netexec", "--http-port=8080"],
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    }
    deployment = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "hello"}},
        "template": {"metadata": {"labels": {"app": "hello"}}, "spec": pod},
    }
    rbac = "rbac.authorization.k8s.io"
    # The client certificate that every host has, for kube-proxy.
    subject = {"kind": "User", "name": "system:kube-proxy", "apiGroup": rbac}
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}
    objects = [
        _object("v1", "Namespace", NAMESPACE),
        _object("v1", "ConfigMap", "anchor", data={"value": "here"}),
        _object(
            "v1", "Service", "hello", spec={"selector": {"app": "hello"}, "ports": [{"port": 80, "targetPort": 8080}]}
        ),
        _object("apps/v1", "Deployment", "hello", spec=deployment),
        _object(f"{rbac}/v1", "Role", "prober", rules=[rule]),
        _object(
            f"{rbac}/v1",
            "RoleBinding",
            "prober",
            roleRef={"apiGroup": rbac, "kind": "Role", "name": "prober"},
            subjects=[subject],
        ),
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


def _object(version: str, kind: str, name: str, **rest: t.Any) -> dict[str, t.Any]:
    namespace = {} if kind == "Namespace" else {"namespace": NAMESPACE}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **namespace}, **rest}


class Probes:
    """Probers on one host of a lab, which ask the API and a Service."""

    def __init__(self, lab: Lab, host: str) -> None:
        self.lab = lab
        self.host = host
        self.service = ""

    def prepare(self, control_plane: str) -> None:
        """Create what the probers need on the cluster."""

        def kubectl(*arguments: str) -> str:
            return self.lab.kubectl(control_plane, *arguments)

        names = kubectl("get", "nodes", "--output=jsonpath={.items[*].status.images[*].names[*]}").split()
        image = next(name for name in names if "/agnhost:" in name)
        self.lab.put(control_plane, "/root", {"probes.json": (manifest(image).encode(), 0o600)})
        kubectl("apply", "--filename=/root/probes.json")
        kubectl("--namespace", NAMESPACE, "rollout", "status", "deployment/hello", "--timeout=90s")
        self.service = kubectl("--namespace", NAMESPACE, "get", "service/hello", "--output=jsonpath={.spec.clusterIP}")
        self.lab.put(self.host, "/root", {"prober.py": ((FILES / "prober.py").read_bytes(), 0o600)})

    def options(self, seconds: float, server: str) -> dict[str, t.Any]:
        """The argument of lab/files/prober.py."""
        configmaps = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
        host, dummy, port = server.rpartition(":")
        identity = {"ca": f"{PKI}/ca.crt", "cert": f"{PKI}/kube-proxy.crt", "key": f"{PKI}/kube-proxy.key"}
        return {
            **identity,
            "host": host,
            "port": int(port),
            "path": f"{configmaps}/anchor",
            "collection": configmaps,
            "service": self.service,
            "interval": INTERVAL,
            "seconds": seconds,
            "count": round(seconds / INTERVAL),
            "run": f"w{time.time_ns():x}",
        }

    @contextlib.contextmanager
    def running(self, what: str, seconds: float = 600, server: str = BALANCER) -> t.Iterator[Outcomes]:
        """Send requests during the block, up to this number of seconds; print the results.

        server is the API as ADDRESS:PORT.
        """
        outcomes = Outcomes()
        remote = shlex.join(["sudo", "python3", "/root/prober.py", json.dumps(self.options(seconds, server))])
        command = [*shlex.split(self.lab.ssh_command(self.host)), remote]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
            if not process.stdout or process.stdout.readline() != "started\n":
                raise LabError(f"the probers do not start on {self.host}: {process.communicate()[1].strip()}")
            try:
                yield outcomes
            finally:
                outcomes.extend(self._end(process))
                outcomes.show(what)

    def _end(self, process: subprocess.Popen) -> Outcomes:
        """The prober ends when its input ends, even if this process dies."""
        try:
            out, err = process.communicate("", PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise LabError(f"the probers on {self.host} do not end within {PATIENCE} s.") from None
        if process.returncode:
            raise LabError(f"the probers on {self.host} ended with {process.returncode}: {err.strip()}")
        return parse(out)
