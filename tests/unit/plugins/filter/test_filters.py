# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.plugins.filter.core import to_nice_yaml
from ansible_collections.plainkube.cluster.plugins.filter.component_kubeconfig import component_kubeconfig
from ansible_collections.plainkube.cluster.plugins.filter.failure import failure
from ansible_collections.plainkube.cluster.plugins.filter.host_address import host_address
from ansible_collections.plainkube.cluster.plugins.filter.node_labels_flag import registration
from ansible_collections.plainkube.cluster.plugins.filter.nth_address import nth_address
from ansible_collections.plainkube.cluster.plugins.filter.preflight_problems import (
    identities,
    preflight_problems,
)
from ansible_collections.plainkube.cluster.plugins.plugin_utils.inputs._yaml import kubernetes_yaml


def test_nth_address():
    assert nth_address("10.96.0.0/16", 10) == "10.96.0.10"


@pytest.mark.parametrize(("network", "n"), [("10.96.0.0/30", 10), ("nonsense", 1)])
def test_nth_address_names_the_network(network, n):
    with pytest.raises(AnsibleFilterError, match=network):
        nth_address(network, n)


@pytest.mark.parametrize(("options", "key"), [({}, "/pki/proxy.key"), ({"key_directory": ""}, "proxy.key")])
def test_the_kubeconfig_of_a_component(options, key):
    text = component_kubeconfig("system:proxy", 2024, "https://192.0.2.11:6443", "/pki", "proxy", **options)
    document = json.loads(text)
    assert document["current-context"] == "system:proxy@2024"
    assert document["clusters"][0]["cluster"] == {
        "server": "https://192.0.2.11:6443",
        "certificate-authority": "/pki/ca.crt",
    }
    assert document["users"][0]["user"] == {"client-certificate": "/pki/proxy.crt", "client-key": key}


FACTS = {"plainkube_address": "172.30.0.2"}


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({"cluster_address": "10.0.0.1", "ansible_facts": FACTS, "ansible_host": "10.0.0.3"}, "10.0.0.1"),
        ({"ansible_facts": FACTS, "ansible_host": "10.0.0.3"}, "172.30.0.2"),
        ({"ansible_facts": {"plainkube_address": "172.30.0.5"}, "ansible_host": "10.0.0.3"}, "172.30.0.5"),
        ({"ansible_facts": {"plainkube_address": ""}, "ansible_host": "10.0.0.3"}, "10.0.0.3"),
        ({"ansible_host": "10.0.0.3", "inventory_hostname": "n1"}, "10.0.0.3"),
        ({"ansible_host": "n1.example.org", "inventory_hostname": "10.0.0.4"}, "10.0.0.4"),
        ({"ansible_host": "n1.example.org", "inventory_hostname": "n1"}, ""),
        ({"ansible_facts": {"plainkube": {"address": "10.0.0.9"}}, "inventory_hostname": "n1"}, ""),
    ],
)
def test_host_address(variables, address):
    assert host_address(variables) == address


def test_identities_are_empty_where_a_host_was_not_reached():
    k1 = {
        "inventory_hostname": "k1",
        "ansible_facts": {
            "plainkube_address": "10.0.0.1",
            "plainkube": {"machine_id": "a", "hostname": "K1", "interfaces": ["lo"]},
        },
    }
    n1 = {"inventory_hostname": "n1", "ansible_host": "10.0.0.2"}
    assert identities([k1, n1]) == {
        "k1": {
            "address": "10.0.0.1",
            "given": False,
            "machine_id": "a",
            "hostname": "k1",
            "addresses": [],
            "interfaces": ["lo"],
            "clock_offset": 0.0,
            "settled": {},
        },
        "n1": {
            "address": "10.0.0.2",
            "given": False,
            "machine_id": "",
            "hostname": "",
            "addresses": [],
            "interfaces": [],
            "clock_offset": 0.0,
            "settled": {},
        },
    }


def test_a_kubelet_with_a_dns_server_of_its_own_does_not_know_the_clusters():
    facts = {"plainkube": {"settled": {"cluster_dns_address": "10.96.0.10", "cluster_domain": "k.example"}}}
    node = {"inventory_hostname": "n1", "ansible_host": "10.0.0.2", "ansible_facts": facts}
    assert identities([node])["n1"]["settled"] == facts["plainkube"]["settled"]
    for config, settled in (
        (None, facts["plainkube"]["settled"]),
        ({"maxPods": 9}, facts["plainkube"]["settled"]),
        ({"clusterDNS": ["169.254.20.10"]}, {"cluster_domain": "k.example"}),
    ):
        assert identities([{**node, "node_kubelet_config": config}])["n1"]["settled"] == settled


def test_host_address_says_whose_is_missing():
    with pytest.raises(AnsibleFilterError, match=r"host n1 is unknown: run role plainkube\.cluster\.preflight"):
        host_address({"ansible_host": "n1.example.org", "inventory_hostname": "n1"}, required=True)
    assert host_address({"inventory_hostname": "10.0.0.4"}, required=True) == "10.0.0.4"


API = {
    "endpoint": "192.0.2.99",
    "port": 6443,
    "balancers": [],
    "balancer_port": 6444,
    "virtual_ip": "",
    "interface": "",
    "control_planes": [],
}


def test_preflight_problems_are_those_of_the_hosts_and_of_the_endpoint():
    subject = {"hosts": [], "networks": {}, "api": API}
    (problem,) = preflight_problems(subject, "hosts")
    assert problem.startswith("cluster_api_endpoint is '192.0.2.99', which is neither a control plane's address")


def test_preflight_problems_of_inputs_ask_the_control_node_for_names(monkeypatch):
    def refuse(*dummy):
        raise OSError("no such name")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    subject = {
        "control_planes": [],
        "control_plane_group": "control_plane",
        "api": {**API, "endpoint": "api.example.net"},
    }
    problems = preflight_problems(subject, "inputs")
    assert ["no host in the group" in problems[0], "does not resolve on the control node" in problems[1]] == [
        True,
        True,
    ]


def test_why_a_task_failed():
    assert failure({"unreachable": True, "msg": "Task failed: No route to host"}) == "unreachable: No route to host"
    assert failure({"failed": True, "msg": "non-zero return code", "stderr": "sh: no such file"}) == "sh: no such file"


@pytest.mark.parametrize("text", ["n", "Y", "no", "true", "null", "~", "", "433e40", "1e+5", ".5", "5.", "0o17", "0x1f", "1_000", "101"])  # fmt: skip
def test_kubernetes_yaml_quotes_what_is_no_text_to_others(text):
    assert kubernetes_yaml({"a": [text]}) == f"a:\n- '{text}'\n"


def test_kubernetes_yaml_is_the_same_as_ansibles_otherwise():
    value = {
        "text": ["10.96.0.10", "10.244.0.0/16", "2026-11-29", "n1", "1.37.2", "5m", "a: b", "%d", "$HOME", "\\", "é", "a\nb", " a"],
        "others": {"number": 1, "float": 0.5, "large": 1e30, "yes": True, "nothing": None, "empty": [], "none": {}},
        "nested": {"z": 1, "a": [{"b": 2, "a": []}]},
    }  # fmt: skip
    assert kubernetes_yaml(value) == to_nice_yaml(value)
    assert kubernetes_yaml(value, sort_keys=False) == to_nice_yaml(value, sort_keys=False)
    assert yaml.safe_load(kubernetes_yaml(value)) == value


@pytest.mark.parametrize(
    ("labels", "flag"),
    [
        ({}, ""),
        ({"gpu": "true", "a/b": ""}, "--node-labels=a/b=,gpu=true"),
        (
            {"node-role.kubernetes.io/worker": "", "topology.kubernetes.io/zone": "a"},
            "--node-labels=topology.kubernetes.io/zone=a",
        ),
        ({"node-role.kubernetes.io/worker": ""}, ""),
        ({"node-restriction.kubernetes.io/x": "1"}, ""),
    ],
)
def test_what_a_kubelet_may_register_with(labels, flag):
    assert registration(labels) == flag
