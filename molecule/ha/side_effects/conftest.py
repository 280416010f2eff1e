# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The constant load that the cluster is under, and what the tests ask of it."""

from __future__ import annotations

import json
import pathlib

import pytest

from lab.probes import Probes

PKI = "/etc/kubernetes/pki"
ROOT = f"--cacert={PKI}/etcd/ca.crt --cert={PKI}/etcd/root.crt --key={PKI}/etcd/root.key"
LOCAL = "--endpoints=https://127.0.0.1:2379"


@pytest.fixture(scope="session")
def probes(lab):
    """Probers on n1, which no test takes away."""
    probes = Probes(lab, "n1")
    probes.prepare("k1")
    return probes


@pytest.fixture(scope="session")
def settings(inventory):
    """Change variables as an operator does, for this run of site.yml and those after it; they stay."""
    path = pathlib.Path(inventory).parent / "group_vars" / "all.yml"

    def change(**values):
        path.parent.mkdir(exist_ok=True)
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        path.write_text(json.dumps({**known, **values}), encoding="utf-8")

    change()
    return change


@pytest.fixture
def pods(lab):
    """Ask which containers run: pod -> its containers' IDs and how often they were started."""

    def ask(control_plane="k1"):
        found = json.loads(lab.kubectl(control_plane, "get", "pods", "--all-namespaces", "--output=json"))["items"]
        return {
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": sorted(
                (status["containerID"], status["restartCount"]) for status in pod["status"]["containerStatuses"]
            )
            for pod in found
        }

    return ask


@pytest.fixture
def nodes(lab):
    """Ask since when each node is Ready; None where it is not."""

    def ask(control_plane="k1"):
        found = json.loads(lab.kubectl(control_plane, "get", "nodes", "--output=json"))["items"]
        conditions = {
            node["metadata"]["name"]: next(one for one in node["status"]["conditions"] if one["type"] == "Ready")
            for node in found
        }
        return {
            name: one["lastTransitionTime"] if one["status"] == "True" else None for name, one in conditions.items()
        }

    return ask


class Etcd:
    """etcd's members, by the hosts that they are on."""

    def __init__(self, lab):
        self.lab = lab

    def ctl(self, host, command):
        code, output = self.lab.run(host, "sh", "-c", f"etcdctl {LOCAL} {ROOT} {command}")
        assert code == 0, output
        return output

    def status(self, host):
        return json.loads(self.ctl(host, "endpoint status --write-out=json"))[0]["Status"]

    def leader(self, hosts):
        """The host of the leader."""
        found = {host: self.status(host) for host in hosts}
        (leader,) = [host for host, one in found.items() if one["header"]["member_id"] == one["leader"]]
        return leader

    def lead(self, host, hosts):
        """Have this host's member lead."""
        leader = self.leader(hosts)
        if leader != host:
            self.ctl(leader, f"move-leader {self.status(host)['header']['member_id']:x}")
        assert self.leader(hosts) == host


@pytest.fixture
def etcd(lab):
    return Etcd(lab)
