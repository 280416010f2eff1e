# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Certificates, CAs and keys are replaced under load; the old ones are rejected afterwards."""

from __future__ import annotations

import re

import pytest

PKI = "/etc/kubernetes/pki"
OLD = "/root/old-pki"
HOSTS = ("k1", "k2", "k3", "n1", "n2")
ROTATED = ["kubernetes", "etcd", "front-proxy", "service-account", "encryption"]


@pytest.fixture
def serials(lab):
    """A function that returns the serial numbers of all certificates below the PKI directory, except the CAs', by host and path."""

    def ask():
        script = f"for c in $(find {PKI} -name '*.crt' ! -name '*ca*.crt'); do echo $c $(openssl x509 -noout -serial -in $c); done"
        lines = [f"{host} {line}" for host in HOSTS for line in lab.run(host, "sh", "-c", script)[1].splitlines()]
        return dict(line.rsplit(" ", 1) for line in lines)

    return ask


@pytest.fixture(scope="module")
def token(lab, probes):
    """A service account token issued before the rotation."""
    return lab.kubectl("k1", "--namespace=probes", "create", "token", "default", "--duration=2h")


@pytest.fixture(scope="module")
def kept(lab, token):
    """A copy of all certificates and keys on each host, made before the rotation."""
    for host in HOSTS:
        lab.demand(host, "cp", "--archive", PKI, OLD)


def answer(lab, host, url, pki, certificate):
    """The status of a request with a certificate from this directory; the current CA verifies the server."""
    pair = ("--cert", f"{pki}/{certificate}.crt", "--key", f"{pki}/{certificate}.key")
    command = ("curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "10")
    return lab.run(host, *command, "--cacert", f"{PKI}/ca.crt", *pair, url)[1].strip()


def key_in_etcd(etcd):
    """The name of the key with which a ConfigMap is encrypted in etcd."""
    stored = etcd.ctl("k1", "get --print-value-only /registry/configmaps/probes/anchor | head --bytes=80")
    found = re.match(r"k8s:enc:secretbox:v1:([^:]+):", stored)
    assert found, stored
    return found[1]


@pytest.mark.turn("ha")
def test_all_certificates_are_renewed(site, probes, serials, pods):
    before, running = serials(), pods()
    with probes.running("all certificates renewed") as outcomes:
        run = site.run("-e", "certificates_renew=all", playbook="certificates").demand()
    print(f"  certificates.yml took {run.seconds:.1f} s")
    assert outcomes.problems == []
    after = serials()
    assert after.keys() == before.keys()
    assert {name for name, serial in after.items() if before[name] == serial} == set()
    assert pods() == running


@pytest.mark.turn("growth")
def test_all_authorities_and_keys_are_rotated(site, probes, etcd, kept, pods):
    key, running = key_in_etcd(etcd), pods()
    with probes.running(f"rotated: {', '.join(ROTATED)}") as outcomes:
        run = site.run(
            "-e", f'{{"certificates_rotate": {ROTATED}}}'.replace("'", '"'), playbook="certificates"
        ).demand()
    print(f"  certificates.yml took {run.seconds:.1f} s")
    assert outcomes.problems == []
    assert key_in_etcd(etcd) != key
    assert pods() == running


@pytest.mark.turn("growth")
def test_old_certificates_are_refused_by_the_api_server(lab, kept):
    for host in ("k1", "k2", "k3"):
        url = "https://127.0.0.1:6443/api/v1/nodes"
        assert answer(lab, host, url, PKI, "admin") == "200"
        assert answer(lab, host, url, OLD, "admin") == "401"


@pytest.mark.turn("growth")
def test_old_certificates_are_refused_by_kubelets(lab, kept):
    for node in ("n1", "n2"):
        url = f"https://{lab.address(node)}:10250/pods"
        assert answer(lab, "k1", url, PKI, "apiserver-kubelet-client") == "200"
        assert answer(lab, "k1", url, OLD, "apiserver-kubelet-client") == "401"


@pytest.mark.turn("growth")
@pytest.mark.parametrize("certificate", ["root", "flannel"])
def test_old_certificates_are_refused_by_etcd(lab, kept, certificate):
    command = ("etcdctl", "--endpoints=https://127.0.0.1:2379", f"--cacert={PKI}/etcd/ca.crt", "--command-timeout=5s")
    for pki, good in ((PKI, True), (OLD, False)):
        pair = (f"--cert={pki}/etcd/{certificate}.crt", f"--key={pki}/etcd/{certificate}.key")
        code, output = lab.run("k1", *command, *pair, "get", "/coreos.com/network/config")
        assert (code == 0) is good, output


@pytest.mark.turn("growth")
def test_a_token_from_before_still_works(lab, token):
    for host in ("k1", "k2", "k3"):
        found = lab.run(
            host,
            "kubectl",
            "--server=https://127.0.0.1:6443",
            f"--certificate-authority={PKI}/ca.crt",
            f"--token={token}",
            "auth",
            "whoami",
        )
        assert "system:serviceaccount:probes:default" in found[1], found[1]


def test_nothing_is_left_to_do(site):
    assert site.status(wait=30)["healthy"]
    run, started = site.apply()
    assert (run.changed, started) == (0, set())
