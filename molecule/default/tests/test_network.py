# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""docker0 is on flannel's subnet, and each packet filter rule has one owner."""

from __future__ import annotations

import ipaddress
import json

import pytest

testinfra_hosts = ["ansible://node"]


@pytest.fixture
def flannel(host):
    """flannel's subnet file."""
    lines = host.file("/var/lib/flannel/subnet.env").content_string.split()
    return dict(line.split("=", 1) for line in lines)


def link(host, name):
    return json.loads(host.check_output(f"ip -json address show dev {name}"))[0]


def test_docker0_is_flannels(host, flannel):
    docker0 = link(host, "docker0")
    address = next(one for one in docker0["addr_info"] if one["family"] == "inet")
    assert f"{address['local']}/{address['prefixlen']}" == flannel["FLANNEL_SUBNET"]
    assert str(docker0["mtu"]) == flannel["FLANNEL_MTU"]


def test_pods_have_flannels_mtu(host, flannel):
    outer = link(host, "eth0")["mtu"]
    assert int(flannel["FLANNEL_MTU"]) == outer - 50 == link(host, "flannel.1")["mtu"]


def test_subnets_of_the_others_are_routed(host, cluster):
    routes = json.loads(host.check_output("ip -json route show dev flannel.1"))
    assert len(routes) == len({*cluster.control_planes, *cluster.nodes}) - 1


def test_docker_masquerades_nothing(host, flannel):
    """flannel does; Docker's own rule would hide pods' addresses from pods on other nodes."""
    subnet = ipaddress.ip_interface(flannel["FLANNEL_SUBNET"]).network
    with host.sudo():
        rules = host.check_output("iptables-save -t nat").splitlines()
    assert not [rule for rule in rules if rule.startswith(f"-A POSTROUTING -s {subnet} ") and "MASQUERADE" in rule]
    assert [rule for rule in rules if "FLANNEL-POSTRTG" in rule and "MASQUERADE" in rule]


def test_kube_proxy_uses_nftables(host):
    with host.sudo():
        assert "table ip kube-proxy" in host.check_output("nft list tables")
        assert "KUBE-SERVICES" not in host.check_output("iptables-save")


def test_docker_kept_the_hosts_settings(host):
    """If the lab's image adds a runtime in Docker's daemon.json, Docker still has it."""
    with host.sudo():
        file = host.file("/etc/docker/daemon.json")
        settings = json.loads(file.content_string) if file.exists else {}
        runtime = host.check_output("docker info --format '{{.DefaultRuntime}}'")
    assert settings.get("default-runtime", "runc") == runtime


def test_dns_runs_on_two_nodes(cluster):
    path = "jsonpath={.items[*].spec.nodeName}"
    nodes = cluster.kubectl("--namespace=kube-system", "get", "pods", "--selector=k8s-app=kube-dns", f"--output={path}")
    assert sorted(nodes.split()) == sorted(cluster.nodes)
