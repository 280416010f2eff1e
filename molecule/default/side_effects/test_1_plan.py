# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A run does what its plan announced, on the announced hosts only."""

from __future__ import annotations

import json

import pytest

RETENTION = ("-e", json.dumps({"etcd_auto_compaction_retention": "9m"}))


def what(run):
    """(host, task, files written, services restarted) of every change."""
    return sorted(
        (one["host"], one["task"], *one["written"], *(f"{name}: {why}" for name, why in one["restarts"].items()))
        for one in run.changes
    )


def test_a_live_cluster_has_nothing_planned(site):
    run = site.plan()
    assert what(run) == []
    assert "nothing would change on 3 hosts" in run.output


def test_one_flag_changed(site):
    plan = site.plan(*RETENTION)
    assert {host: [*services] for host, services in plan.restarts.items()} == {"k1": ["etcd"]}
    assert "+  --auto-compaction-retention=9m" in plan.output
    run, started = site.apply(*RETENTION)
    print(f"one flag changed: {run.seconds:.1f} s")
    assert what(run) == what(plan)
    assert started == {"k1/etcd"}
    assert site.run(*RETENTION).demand().changed == 0


def test_a_flag_of_one_host_and_a_name_more_in_the_certificates(site):
    """Only n1's kubelet restarts. The API server reloads its new certificate by itself."""
    limit = "{{ 4000 if inventory_hostname == 'n1' else 4096 }}"
    more = {"certificates_extra_sans": ["api.example.org"], "node_pod_pids_limit": limit}
    arguments = (*RETENTION, "-e", json.dumps(more))
    plan = site.plan(*arguments)
    assert "the list of names lacks api.example.org" in plan.output
    assert {host: [*services] for host, services in plan.restarts.items()} == {"n1": ["kubelet"]}
    run, started = site.apply(*arguments)
    assert (what(run), started) == (what(plan), {"n1/kubelet"})


def test_back_to_what_it_was(site):
    back, started = site.apply()
    assert (back.restarts.keys(), started) == ({"k1", "n1"}, {"k1/etcd", "n1/kubelet"})


@pytest.fixture
def newcomers(lab):
    """A Docker network of another application and a VPN on a running node, within the cluster's networks, and a firewall. What a run would say of them."""
    lab.demand("n1", "docker", "network", "create", "--subnet", "10.96.7.0/24", "backend")
    lab.demand("n1", "sh", "-ec", "ip link add vpn0 type bridge; ip address add 10.244.250.1/30 dev vpn0")
    lab.demand("n1", "sh", "-ec", "mkdir -p /etc/ufw; echo ENABLED=yes > /etc/ufw/ufw.conf")
    yield [
        "cluster_service_network (10.96.0.0/16) overlaps 10.96.7.0/24 of the Docker network backend on n1",
        "cluster_pod_network (10.244.0.0/16) overlaps 10.244.250.0/30 of the interface vpn0 on n1",
        "n1 has ufw enabled, which drops the cluster's traffic unless it is told of it",
    ]
    lab.demand("n1", "sh", "-ec", "docker network rm backend; ip link delete vpn0; rm /etc/ufw/ufw.conf")


def refused(site, *arguments, playbook="site"):
    """The output of a run that was refused before it changed anything."""
    run = site.run(*arguments, playbook=playbook)
    assert run.code > 0
    assert run.changed == 0
    # Output in YAML doubles apostrophes.
    return " ".join(run.output.split()).replace("''", "'")


def test_what_comes_later_is_a_warning(site, newcomers):
    """On a bare host, it is refused (bare/test_1_refusals.py). A live cluster must still get its certificates."""
    run = site.run().demand()
    assert run.changed == 0
    said = " ".join(run.output.split())
    assert [words for words in newcomers if f"[WARNING]: {words}" not in said] == []


def test_the_hello_pod_takes_no_port_of_the_clusters_own(site):
    said = refused(site, "-e", "verify_host_port=6443", playbook="verify")
    assert "verify_host_port is 6443, a port of a cluster component: choose another port." in said


def test_a_minor_version_back_is_refused(site):
    said = refused(site, "-e", "cluster_version=1.36.0")
    for host in ("k1", "n1", "n2"):
        program = "kube-apiserver" if host == "k1" else "kubelet"
        assert f"cluster_version is '1.36.0', and {program} on {host} is 1.37." in said


def test_a_misspelt_variable_of_the_status_is_refused(site):
    """And no plan is printed, although one host does not belong to the cluster and does not need the variable."""
    run = site.run("-i", "stranger,", "-e", "status_wiat=60", playbook="status")
    assert run.code > 0
    assert "status_wiat is not a variable of plainkube.cluster: did you mean status_wait?" in " ".join(
        run.output.split()
    )
    assert "Print the status" not in run.output


def test_what_a_live_cluster_cannot_change_is_refused(site):
    wrong = {
        "cluster_domain": "other.example",
        "cluster_service_network": "10.112.0.0/16",
        "cluster_pod_network": "10.200.0.0/16",
    }
    said = refused(site, "-e", json.dumps(wrong))
    for name, value, live in (
        ("cluster_pod_network", "10.200.0.0/16", "10.244.0.0/16"),
        ("cluster_domain", "other.example", "cluster.local"),
        ("cluster_service_network", "10.112.0.0/16", "10.96.0.0/16"),
    ):
        sentence = f"{name} is '{value}', but the existing cluster of k1 has {live}, which cannot be changed"
        assert sentence in said
    said = refused(site, "-e", "cluster_dns_address=10.96.0.11")
    assert (
        "cluster_dns_address is '10.96.0.11', but the existing cluster of n1 has 10.96.0.10, which cannot be changed"
        in said
    )
