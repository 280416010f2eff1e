# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A real reboot, and the loss of power while the cluster writes: everything recovers without a run."""

from __future__ import annotations

import base64
import json
import threading

import pytest
import requests

from lab.base import LabError

HOSTS = ("k1", "n1")


def boot(lab, host):
    """The identity of the host's boot; empty while it is down."""
    try:
        code, output = lab.run(host, "cat", "/proc/sys/kernel/random/boot_id")
    except LabError:
        return ""
    return output.strip() if code == 0 else ""


@pytest.fixture(scope="module", autouse=True)
def pods(workload):
    workload("reboot", 4)


@pytest.fixture
def comes_back(lab, site, node):
    before = {host: boot(lab, host) for host in HOSTS}

    def check():
        after = {host: boot(lab, host) for host in HOSTS}
        assert all(after[host] not in ("", before[host]) for host in HOSTS)
        found = site.status(wait=600)
        assert found["healthy"], [host["problems"] for host in found["hosts"].values()]
        node.wait("reboot")
        for host in HOSTS:
            assert lab.demand(host, "systemctl", "is-system-running", "--wait").strip() == "running"
            assert lab.demand(host, "systemctl", "--failed", "--no-legend") == ""
        run, restarted = site.apply()
        assert (run.changed, restarted) == (0, set())

    return check


def test_reboot(lab, comes_back, until):
    before = {host: boot(lab, host) for host in HOSTS}
    for host in HOSTS:
        lab.demand(host, "systemctl", "--no-block", "reboot")
    for host in HOSTS:
        until(f"{host} has rebooted", lambda host=host: boot(lab, host) not in ("", before[host]))
    lab.start(*HOSTS)
    comes_back()


class Writer:
    """Creates ConfigMaps until it gets no answer, and knows which of them the API server has confirmed."""

    def __init__(self, lab, cluster, directory):
        config = json.loads(lab.demand("k1", "cat", "/etc/kubernetes/admin.conf"))
        user = config["users"][0]["user"]
        self.identity = []
        for name in ("client-certificate-data", "client-key-data"):
            path = directory / name
            path.write_bytes(base64.b64decode(user[name]))
            self.identity.append(str(path))
        self.cluster = cluster
        self.confirmed = []
        self.ended = None
        self.thread = threading.Thread(target=self.write)

    def write(self):
        number = 0
        while True:
            number += 1
            body = {"metadata": {"name": f"power-{number}"}, "data": {"text": "x" * 1000}}
            try:
                answer = self.cluster.api(
                    "/api/v1/namespaces/default/configmaps", tuple(self.identity), method="POST", json=body
                )
            except requests.RequestException as error:
                self.ended = error
                return
            if answer.status_code == 201:
                self.confirmed.append(f"power-{number}")


def test_loss_of_power_while_etcd_writes(lab, cluster, comes_back, node, until, tmp_path):
    writer = Writer(lab, cluster, tmp_path)
    writer.thread.start()
    until("20 objects are written", lambda: len(writer.confirmed) >= 20)
    lab.kill(*HOSTS)
    writer.thread.join(60)
    assert not writer.thread.is_alive()
    assert isinstance(writer.ended, requests.RequestException)
    lab.start(*HOSTS)
    comes_back()
    there = node.kubectl("get", "configmaps", "--output=name").split()
    missing = {f"configmap/{name}" for name in writer.confirmed} - {*there}
    assert missing == set(), f"of {len(writer.confirmed)} confirmed objects"
    node.kubectl("delete", *(name for name in there if name.startswith("configmap/power-")))
