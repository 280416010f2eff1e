# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The catalogue of components, and what roles read from it."""

from __future__ import annotations

import pathlib
import re

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.plainkube.cluster.plugins.filter.components import components
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import firewall
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles

ROLES = pathlib.Path(__file__).parents[4] / "roles"
CATALOGUE = {
    "a": {
        "wanted": True,
        "ports": {"api": 1, "health": 2},
        "accepts": [{"name": "a's API", "ports": ["api"], "sources": ["hosts"]}],
        "directories": ["/var/lib/a"],
        "health_url": "http://127.0.0.1:2/",
        "version": "1",
    },
    "b": {"wanted": False, "ports": {"api": 3}, "directories": ["/var/lib/b"]},
    "c": {
        "wanted": True,
        "stamped": "/etc/systemd/system/c.service.d/ours.conf",
        "udp_ports": {"packets": 4},
        "accepts": [
            {"name": "c's packets", "protocol": "udp", "ports": ["packets"], "sources": ["hosts"]},
            {"name": "c's others", "ports": ["others"], "sources": ["hosts"]},
            {"name": "c's protocol", "protocol": "vrrp", "sources": ["hosts"]},
        ],
    },
}


@pytest.mark.parametrize(
    ("subject", "found"),
    [
        (
            "checks",
            [
                {"name": "a", "ports": [1, 2], "health_url": "http://127.0.0.1:2/", "version": "1"},
                {"name": "c", "stamped": "/etc/systemd/system/c.service.d/ours.conf"},
            ],
        ),
        (
            "rules",
            [
                {"name": "a's API", "ports": [1], "sources": ["hosts"]},
                {"name": "c's packets", "protocol": "udp", "ports": [4], "sources": ["hosts"]},
                {"name": "c's protocol", "protocol": "vrrp", "sources": ["hosts"]},
            ],
        ),
        (
            "footprints",
            [
                {"name": "a", "ports": [1, 2], "udp_ports": [], "directories": ["/var/lib/a"], "own_unit": True},
                {"name": "c", "ports": [], "udp_ports": [4], "directories": [], "own_unit": False},
            ],
        ),
        ("ports", {"a": [1, 2], "b": [3], "c": []}),
    ],
)
def test_what_is_taken_from_the_catalogue(subject, found):
    assert components(CATALOGUE, subject) == found


def taken(subject, **variables):
    known = {
        **_roles.variables(),
        "groups": {},
        "group_names": [],
        "__cluster_facts": {"cgroup_version": 2},
        **variables,
    }
    text = trust_as_template("{{ __cluster_catalogue | plainkube.cluster.components('" + subject + "') }}")
    return Templar(DataLoader(), variables=known).template(text)


EVERYTHING = {
    "__cluster_is_etcd_member": True,
    "__cluster_is_control_plane": True,
    "__cluster_is_node": True,
    "__cluster_has_load_balancer": True,
    "__cluster_has_virtual_ip": True,
}
NOTHING = dict.fromkeys(EVERYTHING, False)


def test_a_node_has_what_nodes_have():
    node = {**NOTHING, "__cluster_is_node": True}
    names = ["flanneld", "kube-proxy", "docker", "cri-dockerd", "kubelet"]
    assert [one["name"] for one in taken("checks", **node)] == names
    names = ["flanneld", "kube-proxy", "containerd", "kubelet"]
    assert [one["name"] for one in taken("checks", **node, cluster_runtime="containerd")] == names
    names = ["flanneld", "kube-proxy", "containerd", "docker", "kubelet"]
    assert [one["name"] for one in taken("checks", **node, cluster_runtime="containerd", docker_enabled=True)] == names


def test_every_unit_of_a_role_is_in_the_catalogue():
    units = {path.name.removesuffix(".service.j2") for path in ROLES.glob("*/templates/*.service.j2")}
    # Named after the program in the role, and a helper of containerd's.
    units = {
        {"load-balancer": "plainkube-load-balancer", "virtual-ip": "plainkube-virtual-ip"}.get(one, one)
        for one in units
    }
    assert units - {"plainkube-cni"} == {*_roles.variables()["__cluster_catalogue"]} - {"docker"}


def test_every_port_is_another_one():
    ports = [port for some in taken("ports", **EVERYTHING).values() for port in some]
    assert len(ports) == len(set(ports)) > 12


def test_rules_are_those_of_the_firewall():
    fields = {*firewall.SPEC["accept"]["options"]}
    rules = taken("rules", **EVERYTHING, firewall_api_sources=["192.0.2.0/24"])
    assert [rule["name"] for rule in rules] == [
        "etcd's clients",
        "etcd's members",
        "the API",
        "the virtual IP's VRRP",
        "flannel's vxlan",
        "the kubelet",
    ]
    assert all({*rule} <= fields for rule in rules)
    assert rules[2]["sources"] == ["hosts", "pods", "192.0.2.0/24"]
    # host-gw needs no port.
    assert "flannel's vxlan" not in [rule["name"] for rule in taken("rules", **EVERYTHING, flannel_backend="host-gw")]


def test_what_is_open_to_others_is_what_a_unit_listens_on():
    """Ports of rules are named, and a misspelt one would open nothing."""
    for name, one in _roles.variables()["__cluster_catalogue"].items():
        known = {*one.get("ports", {}), *({"vxlan"} if name == "flanneld" else ())}
        assert {port for rule in one.get("accepts", []) for port in rule.get("ports", [])} <= known, name


def test_addresses_of_health_checks_have_the_components_own_ports():
    urls = {check["name"]: check["health_url"] for check in taken("checks", **EVERYTHING) if "health_url" in check}
    assert len(urls) > 6
    written = [
        one.get(key, "")
        for one in _roles.variables()["__cluster_catalogue"].values()
        for key in ("health_url", "live_url")
    ]
    assert [url for url in written if re.search(r":\d", url)] == []
    ports = taken("ports", **EVERYTHING)
    assert {name for name, url in urls.items() if int(re.search(r":(\d+)/", url)[1]) not in ports[name]} == set()
