# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _probe
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import control_plane_gate

OWN, OTHER, THIRD = (f"https://{name}:6443" for name in ("127.0.0.1", "k2", "k3"))


class Servers:
    """API servers, some of which are ready, and leases that somebody renews at every look, or nobody."""

    def __init__(self):
        self.ready = {OWN, OTHER, THIRD}
        self.renewed = True
        self.looks = 0
        self.asked = []

    def get(self, url, ca, client=None, **dummy):
        self.asked.append(url)
        server = url.partition("/readyz")[0].partition("/apis")[0]
        if server not in self.ready:
            return _probe.Answer(500, "[+]ping ok\n[-]etcd failed\n")
        if url.endswith("/readyz"):
            return _probe.Answer(200, "ok")
        assert client == ("/etc/kubernetes/pki/admin.crt", "/etc/kubernetes/pki/admin.key")
        self.looks += self.renewed
        return _probe.Answer(200, json.dumps({"spec": {"holderIdentity": "k2_1", "renewTime": str(self.looks)}}))


@pytest.fixture
def servers(monkeypatch):
    fake = Servers()
    monkeypatch.setattr(control_plane_gate._probe, "get", fake.get)
    return fake


@pytest.fixture
def gate(run_module, servers):
    def run(**more):
        options = {"server": OWN, "others": [OTHER, THIRD], "leases": ["kube-scheduler"], "wait": 1}
        return run_module(control_plane_gate, **{**options, **more})

    return run


def test_all_is_well(gate, servers):
    result = gate()
    assert not result["changed"]
    assert servers.looks == 2


def test_another_api_server_is_not_ready(gate, servers):
    servers.ready.remove(THIRD)
    result = gate(wait=0, leases=[])
    assert "This control plane is not restarted" in result["msg"]
    assert f"{THIRD}/readyz returns 500 ([-]etcd failed)." in result["msg"]


def test_whose_own_is_not_ready_has_nothing_to_lose(gate, servers):
    servers.ready = {OTHER}
    assert "msg" not in gate()
    # The lease was asked of who is ready.
    assert not [url for url in servers.asked if "/leases/" in url and not url.startswith(OTHER)]
    servers.ready = set()
    assert "msg" not in gate(wait=0)


def test_a_lease_that_nobody_renews(gate, servers):
    servers.renewed = False
    result = gate()
    assert "the lease kube-scheduler of k2_1 is not renewed." in result["msg"]


def test_nobody_is_asked_in_check_mode(gate, servers):
    servers.ready = set()
    assert "msg" not in gate(_ansible_check_mode=True)
    assert servers.asked == []
