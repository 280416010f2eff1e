# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Fixtures: hosts over SSH, the API from the network, runs of playbooks and their changes, and a constant load of requests."""

from __future__ import annotations

import json
import os
import shlex

import pytest
import requests
import testinfra

from lab import runs, turns
from lab.lab import Lab
from lab.probes import Probes

# A manual run skips nothing.
TURN = turns.turn() if os.environ.get("TURN") else turns.ALL
PKI = "/etc/kubernetes/pki"
ROOT = f"--cacert={PKI}/etcd/ca.crt --cert={PKI}/etcd/root.crt --key={PKI}/etcd/root.key"
LOCAL = "--endpoints=https://127.0.0.1:2379"


class Cluster:
    """The hosts of the inventory, and requests to them with their certificates."""

    def __init__(self, inventory, directory):
        self.inventory = inventory
        self.directory = directory
        self.control_planes = self._names("control_plane")
        self.nodes = self._names("node")
        self.ca = self.copy(self.control_planes[0], f"{PKI}/ca.crt")

    def _names(self, group):
        hosts = testinfra.get_hosts([f"ansible://{group}"], ansible_inventory=self.inventory, sudo=True)
        return [host.backend.host for host in hosts]

    def host(self, name):
        return testinfra.get_host(f"ansible://{name}", ansible_inventory=self.inventory, sudo=True)

    def address(self, name):
        return self.host(name).ansible.get_variables()["ansible_host"]

    def copy(self, name, path):
        """A host's file on the control node."""
        local = self.directory / name / path.lstrip("/")
        if not local.exists():
            local.parent.mkdir(parents=True, exist_ok=True)
            with self.host(name).sudo():
                local.write_bytes(self.host(name).file(path).content)
        return str(local)

    def identity(self, name, certificate):
        """A certificate of a host and its key, in the format of library requests."""
        return tuple(self.copy(name, f"{PKI}/{certificate}.{part}") for part in ("crt", "key"))

    def api(self, path, identity=None, method="GET", **options):
        """The first API server's response."""
        url = f"https://{self.address(self.control_planes[0])}:6443{path}"
        return requests.request(method, url, cert=identity, verify=self.ca, timeout=10, **options)

    def kubelet(self, name, path, identity=None):
        """A kubelet's response."""
        url = f"https://{self.address(name)}:10250{path}"
        return requests.get(url, cert=identity, verify=self.ca, timeout=10)

    def kubectl(self, *arguments):
        """The output of kubectl on the first control plane."""
        host = self.host(self.control_planes[0])
        with host.sudo():
            done = host.run(f"kubectl --kubeconfig /etc/kubernetes/admin.conf {shlex.join(arguments)}")
        assert done.rc == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="session")
def cluster(request, tmp_path_factory):
    return Cluster(request.config.option.ansible_inventory, tmp_path_factory.mktemp("cluster"))


class Site:
    """Playbooks of this checkout against the scenario's hosts, in separate processes."""

    def __init__(self, lab, inventory, directory):
        self.lab = lab
        self.inventory = inventory
        self.directory = directory

    def run(self, *arguments, playbook="site"):
        """A run to its end, which may be a failure."""
        return runs.playbook(playbook, self.inventory, *arguments)

    def plan(self, *arguments):
        """A run in check mode, which must succeed and restart nothing."""
        before = self.lab.invocations()
        run = self.run("--check", "--diff", *arguments).demand()
        assert self.lab.invocations() == before
        return run

    def apply(self, *arguments):
        """A run that must succeed, and the units that it started or restarted, as HOST/UNIT."""
        before = self.lab.invocations()
        run = self.run(*arguments).demand()
        after = self.lab.invocations()
        return run, {name for name, identity in after.items() if before[name] != identity}

    def status(self, wait=0, *arguments):
        """The findings of status.yml, as data."""
        path = self.directory / "status.json"
        run = self.run("-e", f"status_file={path}", "-e", f"status_wait={wait}", *arguments, playbook="status")
        assert path.exists(), run.output
        return json.loads(path.read_text(encoding="utf-8"))


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "turn(name): runs in `make test` only when it is the turn of this name (lab/turns.py)"
    )


def pytest_collection_modifyitems(items):
    """A mark with an unknown turn fails the whole run, not only its test."""
    for item in items:
        for mark in item.iter_markers("turn"):
            (name,) = mark.args
            if not turns.runs(name, TURN):
                item.add_marker(pytest.mark.skip(reason=f"it is the turn of {TURN}, not of {name}"))


@pytest.fixture
def pace(inventory):
    """Measure how many seconds a run with a task that does nothing takes now: the unit of time limits (lab/runs.py)."""

    def measure():
        seconds = runs.pace(inventory)
        print(f"  a run with a task that does nothing: {seconds:.1f} s")
        return seconds

    return measure


@pytest.fixture(scope="session")
def lab():
    return Lab(os.environ["MOLECULE_SCENARIO_NAME"])


@pytest.fixture(scope="session")
def inventory(request):
    return request.config.option.ansible_inventory


@pytest.fixture(scope="session")
def site(lab, inventory, tmp_path_factory):
    return Site(lab, inventory, tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="session")
def probes(lab, cluster):
    """Probers on n1, which no test stops."""
    probes = Probes(lab, "n1")
    probes.prepare(cluster.control_planes[0])
    return probes


@pytest.fixture
def pods(lab, cluster):
    """A function that returns the running containers: pod -> its containers' IDs and how often they were started."""

    def ask(control_plane=None):
        found = json.loads(
            lab.kubectl(control_plane or cluster.control_planes[0], "get", "pods", "--all-namespaces", "--output=json")
        )["items"]
        return {
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": sorted(
                (status["containerID"], status["restartCount"]) for status in pod["status"]["containerStatuses"]
            )
            for pod in found
        }

    return ask


@pytest.fixture
def nodes(lab, cluster):
    """A function that returns since when each node has been Ready; None if it is not."""

    def ask(control_plane=None):
        found = json.loads(lab.kubectl(control_plane or cluster.control_planes[0], "get", "nodes", "--output=json"))[
            "items"
        ]
        conditions = {
            node["metadata"]["name"]: next(one for one in node["status"]["conditions"] if one["type"] == "Ready")
            for node in found
        }
        return {
            name: one["lastTransitionTime"] if one["status"] == "True" else None for name, one in conditions.items()
        }

    return ask


class Etcd:
    """etcd's members, by host."""

    def __init__(self, lab):
        self.lab = lab

    def ctl(self, host, command):
        return self.lab.demand(host, "sh", "-c", f"etcdctl {LOCAL} {ROOT} {command}")

    def status(self, host):
        return json.loads(self.ctl(host, "endpoint status --write-out=json"))[0]["Status"]

    def leader(self, hosts):
        """The host of the leader."""
        found = {host: self.status(host) for host in hosts}
        (leader,) = [host for host, one in found.items() if one["header"]["member_id"] == one["leader"]]
        return leader

    def lead(self, host, hosts):
        """Make this host's member the leader."""
        leader = self.leader(hosts)
        if leader != host:
            self.ctl(leader, f"move-leader {self.status(host)['header']['member_id']:x}")
        assert self.leader(hosts) == host


@pytest.fixture
def etcd(lab):
    return Etcd(lab)
