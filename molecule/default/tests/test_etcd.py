# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Each client certificate gives access to its own keys in etcd and to no others."""

from __future__ import annotations

import pytest

testinfra_hosts = ["ansible://control_plane"]

PKI = "/etc/kubernetes/pki"
FLANNEL = f"--cert={PKI}/etcd/flannel.crt --key={PKI}/etcd/flannel.key"
APISERVER = f"--cert={PKI}/apiserver-etcd-client.crt --key={PKI}/apiserver-etcd-client.key"


def etcdctl(host, identity, command):
    access = f"--endpoints=https://127.0.0.1:2379 --cacert={PKI}/etcd/ca.crt --command-timeout=3s {identity}"
    with host.sudo():
        return host.run(f"etcdctl {access} {command}")


@pytest.mark.parametrize(
    ("identity", "command"),
    [
        (FLANNEL, "get /coreos.com/network/config"),
        (FLANNEL, "get /coreos.com/network/subnets --prefix --keys-only"),
        (APISERVER, "get /registry/ --prefix --keys-only --limit=1"),
        (APISERVER, "get compact_rev_key"),
    ],
)
def test_own_keys(host, identity, command):
    done = etcdctl(host, identity, command)
    assert done.rc == 0, done.stderr
    if "compact_rev_key" not in command:
        assert done.stdout.strip()


@pytest.mark.parametrize(
    ("identity", "command"),
    [
        (FLANNEL, "get /registry/ --prefix --keys-only --limit=1"),
        (FLANNEL, "get /registry/secrets --prefix"),
        (FLANNEL, "get '' --from-key --limit=1"),
        (FLANNEL, "put /registry/plainkube-test x"),
        (FLANNEL, "user list"),
        (APISERVER, "get /coreos.com/network/config"),
        (APISERVER, "put /coreos.com/network/config x"),
        (APISERVER, "get '' --from-key --limit=1"),
        (APISERVER, "snapshot save /dev/null"),
    ],
)
def test_others_keys(host, identity, command):
    done = etcdctl(host, identity, command)
    assert done.rc != 0, done.stdout
    assert "permission denied" in done.stderr


def test_no_certificate_no_connection(host):
    done = etcdctl(host, "", "get /coreos.com/network/config")
    assert done.rc != 0
    assert "certificate required" in done.stderr or "deadline exceeded" in done.stderr


def test_another_authoritys_certificate(host):
    done = etcdctl(host, f"--cert={PKI}/admin.crt --key={PKI}/admin.key", "get /coreos.com/network/config")
    assert done.rc != 0


def test_flannel_has_a_lease_for_every_host(host, cluster):
    done = etcdctl(host, FLANNEL, "get /coreos.com/network/subnets --prefix --keys-only")
    assert len(done.stdout.split()) == len({*cluster.control_planes, *cluster.nodes})


def test_http_is_apart_from_grpc(host):
    """On one port, HTTP would starve watches, and etcd warns about it at its start."""
    root = f"--cacert {PKI}/etcd/ca.crt --cert {PKI}/etcd/root.crt --key {PKI}/etcd/root.key"
    with host.sudo():
        assert "single port" not in host.check_output("journalctl --unit=etcd --output=cat")
        curl = "curl --silent --show-error --http1.1 --max-time 5"
        assert "etcdserver" in host.check_output(f"{curl} {root} https://127.0.0.1:2382/version")
        assert "etcdserver" not in host.run(f"{curl} {root} https://127.0.0.1:2379/version").stdout
        assert host.run(f"{curl} --cacert {PKI}/etcd/ca.crt https://127.0.0.1:2382/version").rc != 0


@pytest.mark.parametrize(("name", "accepted"), [("peer", True), ("flannel", False), ("server", False)])
def test_only_members_speak_as_members(host, name, accepted):
    """Access control does not apply to messages between members, and every node has a certificate of the same CA."""
    certificate = f"--cacert {PKI}/etcd/ca.crt --cert {PKI}/etcd/{name}.crt --key {PKI}/etcd/{name}.key"
    with host.sudo():
        address = host.check_output("ss -Hltn 'sport = :2380'").split()[3]
        done = host.run(f"curl --silent --show-error --http1.1 --max-time 5 {certificate} https://{address}/version")
    assert ("etcdserver" in done.stdout) is accepted, done.stdout + done.stderr
    assert ("bad certificate" in done.stderr) is not accepted, done.stderr
