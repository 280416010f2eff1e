# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Nodes with each container runtime: their pods, their variables, and the load on them."""

from __future__ import annotations

import contextlib
import json
import pathlib
import time

import pytest

from lab.probes import Probes

NODES = ("n1", "n2", "n3")
NAMESPACE = "runtimes"
HOST_PORT = 18080


class Pods:
    """Test pods, one on each node, which serve HTTP on port 8080, and on a port of their host."""

    def __init__(self, lab):
        self.lab = lab
        self.image = ""

    def kubectl(self, *arguments):
        return self.lab.kubectl("k1", f"--namespace={NAMESPACE}", *arguments)

    def manifest(self, node):
        quantities = {"cpu": "100m", "memory": "64Mi"}
        container = {
            "name": "hello",
            "image": self.image,
            "args": ["netexec", "--http-port=8080"],
            "ports": [{"containerPort": 8080, "hostPort": HOST_PORT}],
            "resources": {"requests": quantities, "limits": quantities},
            "resizePolicy": [{"resourceName": name, "restartPolicy": "NotRequired"} for name in quantities],
        }
        spec = {"nodeName": node, "terminationGracePeriodSeconds": 1, "containers": [container]}
        # An image as a volume, where the runtime has that.
        if node != "n1":
            spec["volumes"] = [{"name": "image", "image": {"reference": self.image, "pullPolicy": "IfNotPresent"}}]
            container["volumeMounts"] = [{"name": "image", "mountPath": "/image"}]
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": node}, "spec": spec}

    def create(self):
        names = self.lab.kubectl(
            "k1", "get", "nodes", "--output=jsonpath={.items[*].status.images[*].names[*]}"
        ).split()
        self.image = next(name for name in names if "/agnhost:" in name)
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        items = [
            namespace,
            *({**self.manifest(node), "metadata": {"name": node, "namespace": NAMESPACE}} for node in NODES),
        ]
        content = json.dumps({"apiVersion": "v1", "kind": "List", "items": items}).encode()
        self.lab.put("k1", "/root", {"runtimes.json": (content, 0o600)})
        # A namespace gets its service account shortly after its creation.
        deadline = time.monotonic() + 20
        while True:
            code, output = self.lab.run(
                "k1", "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "apply", "-f", "/root/runtimes.json"
            )
            if code == 0:
                break
            assert time.monotonic() < deadline, output
            time.sleep(0.5)
        self.kubectl("wait", "--for=condition=Ready", "--timeout=60s", *(f"pod/{node}" for node in NODES))

    def get(self, node):
        return json.loads(self.kubectl("get", "pod", node, "--output=json"))

    def address(self, node):
        return self.get(node)["status"]["podIP"]


@pytest.fixture(scope="module")
def hello(lab):
    """A pod on each node, with the node's name."""
    pods = Pods(lab)
    lab.run(
        "k1",
        "kubectl",
        "--kubeconfig=/etc/kubernetes/admin.conf",
        "delete",
        "namespace",
        NAMESPACE,
        "--ignore-not-found",
    )
    pods.create()
    yield pods
    pods.lab.kubectl("k1", "delete", "namespace", NAMESPACE)


@pytest.fixture(scope="module")
def load(lab):
    """Probers on the control plane, which is not migrated."""
    probes = Probes(lab, "k1")
    probes.prepare("k1")

    @contextlib.contextmanager
    def running(what):
        with probes.running(what, server=f"{lab.address('k1')}:6443") as outcomes:
            yield outcomes

    return running


@pytest.fixture(scope="session")
def host_variables(inventory):
    """Set a host's variables permanently, like an operator."""
    directory = pathlib.Path(inventory).parent / "host_vars"

    def change(host, **values):
        directory.mkdir(exist_ok=True)
        (directory / f"{host}.yml").write_text(json.dumps(values), encoding="utf-8")

    return change


@pytest.fixture
def crictl(lab):
    """The name of the runtime that crictl finds through /etc/crictl.yaml."""

    def ask(host):
        output = lab.demand(host, "crictl", "version")
        return dict(line.split(":", 1) for line in output.splitlines())["RuntimeName"].strip()

    return ask


@pytest.fixture
def node(lab):
    """The runtime that a Node reports, whether it is schedulable, and its annotations."""

    def ask(name):
        found = json.loads(lab.kubectl("k1", "get", "node", name, "--output=json"))
        runtime = found["status"]["nodeInfo"]["containerRuntimeVersion"].partition(":")[0]
        drained = [key for key in found["metadata"]["annotations"] if key.startswith("plainkube.io/")]
        return runtime, not found["spec"].get("unschedulable", False), drained

    return ask
