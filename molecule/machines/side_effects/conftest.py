# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Pods on the only node of real machines. Limits of time are generous, because machines without KVM are ten times slower; nothing waits for them in
vain, and no test asserts a duration."""

from __future__ import annotations

import contextlib
import json
import os
import time

import pytest

RUNTIME = os.environ.get("RUNTIME") or "docker"
# Of any single change that a test waits for.
PATIENCE = 900


class Nodes:
    """The node n1, its pods, and what the kubelet says."""

    def __init__(self, lab):
        self.lab = lab
        names = lab.kubectl("k1", "get", "nodes", "--output=jsonpath={.items[*].status.images[*].names[*]}").split()
        self.image = next(name for name in names if "/agnhost:" in name)

    def kubectl(self, *arguments):
        return self.lab.kubectl("k1", *arguments)

    def get(self, *arguments):
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def create(self, name, replicas):
        self.kubectl(
            "create", "deployment", name, f"--image={self.image}", f"--replicas={replicas}", "--", "/agnhost", "pause"
        )
        self.wait(name)

    def wait(self, name):
        self.kubectl("rollout", "status", f"deployment/{name}", f"--timeout={PATIENCE}s")

    def pods(self, name):
        return self.get("pods", f"--selector=app={name}")["items"]

    def delete(self, name):
        self.kubectl(
            "delete", "deployment", name, "--cascade=foreground", "--ignore-not-found", f"--timeout={PATIENCE}s"
        )

    def condition(self, kind):
        """The status of a condition of the Node: True, False or Unknown."""
        return next(one["status"] for one in self.get("node", "n1")["status"]["conditions"] if one["type"] == kind)

    def process(self, pod):
        """The process of a pod of one container, on its host."""
        identity = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
        if RUNTIME == "docker":
            return self.lab.demand("n1", "docker", "inspect", "--format={{.State.Pid}}", identity).strip()
        tasks = self.lab.demand("n1", "ctr", "--namespace=k8s.io", "tasks", "list").splitlines()
        return next(line.split()[1] for line in tasks if line.startswith(identity))


@pytest.fixture(scope="module")
def node(lab):
    return Nodes(lab)


@pytest.fixture(scope="module")
def until():
    """A function that waits until another one returns a true value, and returns it."""

    def wait(what, ask, seconds=PATIENCE):
        started = time.monotonic()
        found = None
        while time.monotonic() < started + seconds:
            found = ask()
            if found:
                print(f"{what}: after {time.monotonic() - started:.0f} s")
                return found
            time.sleep(2)
        raise AssertionError(f"not within {seconds} s: {what}; the last answer was {found!r}")

    return wait


@pytest.fixture(scope="module")
def workload(node):
    """A function that creates a Deployment, which is deleted afterwards."""
    with contextlib.ExitStack() as stack:

        def create(name, replicas):
            stack.callback(node.delete, name)
            node.create(name, replicas)

        yield create
