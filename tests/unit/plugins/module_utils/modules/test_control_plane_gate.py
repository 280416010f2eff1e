# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _probe
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import control_plane_gate

OTHER, THIRD = (f"https://{name}:6443" for name in ("k2", "k3"))
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler"


@pytest.fixture
def ready(monkeypatch, api_server):
    """The API servers that are ready. Only this host's own has leases."""
    ready = {api_server.url, OTHER, THIRD}

    def get(url, ca):
        server = url.removesuffix("/readyz")
        answer = (200, "ok") if server in ready else (500, "[+]ping ok\n[-]etcd failed\n")
        return _probe.Answer(*answer, url)

    monkeypatch.setattr(control_plane_gate._probe, "get", get)
    return ready


@pytest.fixture
def renew(api_server):
    def renew():
        seconds = len(api_server.requests)
        api_server.add(LEASE, spec={"holderIdentity": "k2_1", "renewTime": f"2026-11-26T00:00:0{seconds}Z"})

    renew()
    return renew


@pytest.fixture
def gate(run_module, ready, api_server):
    def run(**more):
        options = {"server": api_server.url, "others": [OTHER, THIRD], "leases": ["kube-scheduler"], "wait": 1}
        return run_module(control_plane_gate, **{**options, **more})

    return run


def test_all_is_well(gate, renew, api_server, ready):
    # The last API server that is ready returns the leases.
    ready -= {OTHER, THIRD}
    api_server.first = [200, renew]
    assert not gate(others=[])["changed"]
    assert api_server.asked("GET") == [LEASE, LEASE]


def test_another_api_server_is_not_ready(gate, ready):
    ready.remove(THIRD)
    result = gate(wait=0, leases=[])
    assert "This control plane is not restarted" in result["msg"]
    assert f"{THIRD}/readyz returns 500: [-]etcd failed." in result["msg"]


def test_a_host_whose_api_server_is_not_ready_does_not_wait(gate, ready, api_server):
    ready -= {api_server.url, THIRD}
    assert "msg" not in gate(leases=[])
    ready.clear()
    assert "msg" not in gate(wait=0)


def test_a_lease_that_is_not_renewed(gate, renew, api_server):
    api_server.first = [api_server.objects.clear, renew]
    assert "there is no lease kube-scheduler." in gate(others=[], wait=0)["msg"]
    result = gate(others=[])
    assert "the lease kube-scheduler of k2_1 is not renewed." in result["msg"]
    api_server.first = [403] * 9
    assert f"the lease kube-scheduler cannot be read: {api_server.url}{LEASE} returns 403" in gate(others=[])["msg"]


def test_no_requests_in_check_mode(gate, ready, api_server):
    ready.clear()
    assert "msg" not in gate(_ansible_check_mode=True)
    assert api_server.requests == []
