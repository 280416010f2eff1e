# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Authentication and authorization at the API, seen from outside."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SECRETS = "/api/v1/namespaces/kube-system/secrets"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz", "/readyz?verbose"])
def test_anybody_may_ask_for_health(cluster, path):
    assert cluster.api(path).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/api", "/version", "/metrics", "/readyz/etcd", "/openapi/v2", "/openid/v1/jwks", "/api/v1/nodes", SECRETS],
)
def test_anybody_may_ask_for_nothing_else(cluster, path):
    assert cluster.api(path).status_code == 401


def test_a_token_that_nobody_issued(cluster):
    assert cluster.api("/api", headers={"Authorization": "Bearer plainkube"}).status_code == 401


def test_a_certificate_of_an_unknown_authority(cluster, tmp_path):
    names = [(x509.NameOID.ORGANIZATION_NAME, "system:masters"), (x509.NameOID.COMMON_NAME, "kubernetes-admin")]
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in names])
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    paths = str(tmp_path / "crt"), str(tmp_path / "key")
    (tmp_path / "crt").write_bytes(certificate.public_bytes(pem))
    (tmp_path / "key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    assert cluster.api("/api/v1/nodes", paths).status_code == 401


@pytest.mark.parametrize("certificate", ["etcd/flannel", "front-proxy-client"])
def test_a_certificate_of_another_authority(cluster, certificate):
    identity = cluster.identity(cluster.control_planes[0], certificate)
    assert cluster.api("/api/v1/nodes", identity).status_code == 401


def test_a_kubelet_may_read_its_own_node(cluster):
    one = cluster.nodes[0]
    identity = cluster.identity(one, "kubelet-client")
    assert cluster.api(f"/api/v1/nodes/{one}", identity).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", SECRETS),
        ("GET", "/api/v1/secrets"),
        ("GET", "/api/v1/nodes/{other}"),
        ("GET", "/api/v1/pods"),
        ("PATCH", "/api/v1/nodes/{other}"),
        ("PATCH", "/api/v1/nodes/{other}/status"),
        ("DELETE", "/api/v1/nodes/{other}"),
        ("DELETE", "/api/v1/nodes/{own}"),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"),
    ],
)
def test_a_kubelet_may_do_no_more(cluster, method, path):
    own, other = cluster.nodes[:2]
    options = {"headers": {"Content-Type": "application/merge-patch+json"}, "data": "{}"} if method == "PATCH" else {}
    path = path.format(own=own, other=other)
    assert cluster.api(path, cluster.identity(own, "kubelet-client"), method, **options).status_code == 403


@pytest.mark.parametrize(
    "label", ["node-role.kubernetes.io/control-plane", "node-restriction.kubernetes.io/a"], ids=["role", "restriction"]
)
def test_a_kubelet_may_not_label_its_node_as_it_likes(cluster, label):
    one = cluster.nodes[0]
    body = {"metadata": {"labels": {label: "x"}}}
    headers = {"Content-Type": "application/merge-patch+json"}
    identity = cluster.identity(one, "kubelet-client")
    assert cluster.api(f"/api/v1/nodes/{one}", identity, "PATCH", json=body, headers=headers).status_code == 403


@pytest.mark.parametrize("certificate", ["kube-proxy", "scheduler", "apiserver-kubelet-client"])
def test_components_may_not_read_secrets(cluster, certificate):
    identity = cluster.identity(cluster.control_planes[0], certificate)
    assert cluster.api("/api/v1/namespaces/default/secrets/x", identity).status_code == 403


def test_operators_group_may_do_all(cluster):
    may = ["auth", "can-i", "*", "*", "--all-namespaces", "--as=somebody"]
    assert cluster.kubectl(*may, "--as-group=plainkube:cluster-admins") == "yes"


def test_kubelets_refuse_anybody(cluster):
    for path in ("/pods", "/metrics", "/exec/default/a/b", "/healthz", "/configz"):
        assert cluster.kubelet(cluster.nodes[0], path).status_code == 401, path


def test_kubelets_refuse_each_other(cluster):
    own, other = cluster.nodes[:2]
    for path in ("/pods", "/metrics", "/configz"):
        assert cluster.kubelet(other, path, cluster.identity(own, "kubelet-client")).status_code == 403, path


def test_kubelets_answer_the_api_server(cluster):
    identity = cluster.identity(cluster.control_planes[0], "apiserver-kubelet-client")
    assert cluster.kubelet(cluster.nodes[0], "/pods", identity).status_code == 200
