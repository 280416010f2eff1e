# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.plugin_utils.inputs import _endpoint

API = _endpoint.Api(
    endpoint="",
    port=6443,
    balancers=[],
    balancer_port=6444,
    virtual_ip="",
    interface="",
    control_planes=["k1", "k2"],
)


def links(*addresses, interface="eth0"):
    return [
        {"interface": interface, "address": address, "prefix": int(prefix)}
        for address, prefix in (one.split("/") for one in addresses)
    ]


HOSTS = {
    "k1": {
        "address": "192.0.2.11",
        "addresses": links("192.0.2.11/24") + links("198.51.100.1/30", interface="eth1"),
        "interfaces": ["eth0", "eth1", "lo"],
    },
    "k2": {"address": "192.0.2.12", "addresses": links("192.0.2.12/24"), "interfaces": ["eth0", "eth1", "lo"]},
    "n1": {"address": "192.0.2.21", "addresses": links("192.0.2.21/24", "192.0.2.50/24"), "interfaces": ["eth0", "lo"]},
    # Not reached.
    "n2": {"address": "192.0.2.22", "addresses": [], "interfaces": []},
}


@pytest.mark.parametrize(
    ("endpoint", "parts"),
    [
        ("api.example.net", ("api.example.net", 0)),
        ("api.example.net:8443", ("api.example.net", 8443)),
        ("192.0.2.9:6443", ("192.0.2.9", 6443)),
        ("https://api.example.net", None),
        ("api.example.net:", None),
        ("api.example.net:0", None),
        ("api.example.net:65536", None),
        ("", None),
    ],
)
def test_an_endpoint_is_a_host_and_maybe_a_port(endpoint, parts):
    assert _endpoint.split(endpoint) == parts


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"endpoint": "known.example.net:8443"},
        {"endpoint": "192.0.2.9"},
        {"virtual_ip": "192.0.2.9"},
        {"balancers": ["192.0.2.9"]},
        # There is no load balancer at that port.
        {"control_planes": ["k1"], "port": 6444},
    ],
)
def test_good_inputs_are_no_problem(changes):
    assert _endpoint.input_problems(API._replace(**changes), lambda name: name == "known.example.net") == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"endpoint": "https://known.example.net"},
            "cluster_api_endpoint is 'https://known.example.net': write HOST or HOST:PORT",
        ),
        (
            {"endpoint": "nowhere.example.net:6443"},
            "cluster_api_endpoint is 'nowhere.example.net:6443', and nowhere.example.net does not resolve on the control node",
        ),
        (
            {"virtual_ip": "192.0.2.9", "control_planes": ["k1"]},
            "cluster_virtual_ip is 192.0.2.9, and k1 is the only control plane, so it could never move: add control planes",
        ),
        (
            {"port": 6444},
            "cluster_load_balancer_port is 6444, which also uses the next port, and cluster_api_port is 6444",
        ),
        ({"port": 6445}, "cluster_api_port is 6445: choose different ports."),
    ],
)
def test_bad_inputs(changes, words):
    problems = _endpoint.input_problems(API._replace(**changes), lambda name: name == "known.example.net")
    assert len(problems) == 1
    assert words in problems[0]


PORTS = {
    "etcd": [2379, 2380, 2381, 2382],
    "kube-apiserver": [6443],
    "plainkube-load-balancer": [16443, 16444],
    "kube-controller-manager": [10257],
    "flanneld": [8471],
    "kube-proxy": [10249, 10256],
    "plainkube-virtual-ip": [],
    "kubelet": [10248, 10250],
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"port": 2379}, "cluster_api_port is 2379, and etcd listens on port 2379: choose another port."),
        ({"port": 10250}, "cluster_api_port is 10250, and the kubelet listens on port 10250: choose another port."),
        ({"port": 10256}, "cluster_api_port is 10256, and kube-proxy listens on port 10256: choose another port."),
        (
            {"port": 30443},
            "cluster_api_port is 30443, and port 30443 is one of the NodePorts (30000-32767): choose another port.",
        ),
        (
            {"balancer_port": 8470},
            "cluster_load_balancer_port is 8470, and flanneld listens on port 8471: choose another port.",
        ),
        (
            {"balancer_port": 29999},
            "cluster_load_balancer_port is 29999, and port 30000 is one of the NodePorts (30000-32767)",
        ),
    ],
)
def test_ports_that_others_have(changes, words):
    api = API._replace(ports=PORTS)
    (problem,) = _endpoint.input_problems(api._replace(**changes), lambda name: True)
    assert problem.startswith(words)


@pytest.mark.parametrize(
    "changes",
    # flannel's vxlan is UDP; one control plane needs no balancer.
    [
        {},
        {"port": 443},
        {"port": 8472},
        {"port": 29999},
        {"port": 32768},
        {"balancer_port": 8470, "control_planes": ["k1"]},
    ],
)
def test_ports_that_nobody_has(changes):
    api = API._replace(ports=PORTS, **changes)
    assert _endpoint.input_problems(api, lambda name: True) == []


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"endpoint": "api.example.net:8443"},
        {"endpoint": "192.0.2.11"},
        {"endpoint": "192.0.2.12:6443"},
        {"endpoint": "192.0.2.9", "virtual_ip": "192.0.2.9"},
        {"endpoint": "203.0.113.1:443", "balancers": ["203.0.113.1"]},
        {"virtual_ip": "192.0.2.9", "interface": "eth0"},
    ],
)
def test_good_addresses_are_no_problem(changes):
    assert _endpoint.host_problems(API._replace(**changes), HOSTS) == []


def test_keepalived_has_the_virtual_ip_on_a_control_plane_and_nowhere_else():
    api = API._replace(virtual_ip="192.0.2.9")
    kept = {**HOSTS["k1"], "addresses": [*HOSTS["k1"]["addresses"], *links("192.0.2.9/32")]}
    assert _endpoint.host_problems(api, {**HOSTS, "k1": kept}) == []
    stray = {**HOSTS["n1"], "addresses": links("192.0.2.9/32")}
    assert _endpoint.host_problems(api, {**HOSTS, "n1": stray}) == [
        "cluster_virtual_ip is 192.0.2.9, which n1 already has (eth0): choose an unused address."
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"endpoint": "192.0.2.99"},
            "cluster_api_endpoint is '192.0.2.99', which is neither a control plane's address nor cluster_virtual_ip, "
            "and is not in cluster_api_balancers: correct it, or list your own load balancer there.",
        ),
        (
            {"endpoint": "192.0.2.11:8443"},
            "cluster_api_endpoint is '192.0.2.11:8443', and k1 is reached at port 6443 (cluster_api_port): correct one of them.",
        ),
        (
            {"endpoint": "192.0.2.9:8443", "virtual_ip": "192.0.2.9"},
            "cluster_api_endpoint is '192.0.2.9:8443', and cluster_virtual_ip is reached at port 6443 (cluster_api_port): correct one of them.",
        ),
        (
            {"virtual_ip": "192.0.2.50"},
            "cluster_virtual_ip is 192.0.2.50, which n1 already has (eth0): choose an unused address.",
        ),
        # Known of the inventory alone.
        (
            {"virtual_ip": "192.0.2.22"},
            "cluster_virtual_ip is 192.0.2.22, which n2 already has: choose an unused address.",
        ),
        (
            {"virtual_ip": "192.0.2.9", "interface": "eth7"},
            "cluster_virtual_ip_interface is 'eth7', and k1 has no such interface: use one of eth0, eth1.",
        ),
        (
            {"virtual_ip": "203.0.113.9"},
            "cluster_virtual_ip is 203.0.113.9, and k1 is in 192.0.2.0/24 (eth0): choose an unused address there.",
        ),
        (
            {"virtual_ip": "198.51.100.2", "interface": "eth1"},
            "cluster_virtual_ip is 198.51.100.2, and k2 has no IPv4 address on eth1: set cluster_virtual_ip_interface to an interface that has.",
        ),
    ],
)
def test_bad_addresses(changes, said):
    assert said in _endpoint.host_problems(API._replace(**changes), HOSTS)
