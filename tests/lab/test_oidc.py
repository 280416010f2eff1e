# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The tests' identity provider and authorization webhook, with the requests of an API server."""

from __future__ import annotations

import base64
import json

import pytest
import requests
import yaml
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from lab import authorizer, oidc


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(text):
    return int.from_bytes(decode(text), "big")


def verify(token, key):
    """Raises unless the public key of a JWK has signed the token."""
    signed, dummy, signature = token.rpartition(".")
    signature = decode(signature)
    if key["kty"] == "RSA":
        public = rsa.RSAPublicNumbers(number(key["e"]), number(key["n"])).public_key()
        public.verify(signature, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    else:
        public = ec.EllipticCurvePublicNumbers(number(key["x"]), number(key["y"]), ec.SECP256R1()).public_key()
        pair = (int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
        public.verify(encode_dss_signature(*pair), signed.encode(), ec.ECDSA(hashes.SHA256()))


@pytest.fixture(scope="module")
def issuer():
    with oidc.issuer("127.0.0.1") as made:
        yield made


@pytest.fixture
def get(issuer, tmp_path):
    authority = tmp_path / "ca.crt"
    authority.write_text(issuer.authority, encoding="utf-8")
    return lambda path: requests.get(f"{issuer.url}{path}", verify=str(authority), timeout=10)


def test_discovery_leads_to_the_keys(issuer, get):
    document = get("/.well-known/openid-configuration").json()
    assert document["issuer"] == issuer.url
    assert document["jwks_uri"] == f"{issuer.url}/keys"
    assert get("/elsewhere").status_code == 404


@pytest.mark.parametrize("name", ["rsa", "ecdsa"])
def test_tokens_are_signed_with_the_key_that_they_name(issuer, get, name):
    keys = {key["kid"]: key for key in get("/keys").json()["keys"]}
    token = issuer.token(name, sub="ada", exp=5)
    header, payload = (json.loads(decode(part)) for part in token.split(".")[:2])
    assert (header["kid"], header["alg"]) == (name, keys[name]["alg"])
    assert (payload["iss"], payload["sub"], payload["exp"]) == (issuer.url, "ada", 5)
    verify(token, keys[name])
    with pytest.raises(InvalidSignature):
        verify(token.replace(".", "x.", 1), keys[name])


def test_nobody_else_is_taken_for_the_issuer(issuer):
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{issuer.url}/keys", timeout=10)


@pytest.mark.parametrize(("groups", "resource", "allowed"), [
    (["readers"], "namespaces", True), (["readers"], "secrets", False), (["writers"], "namespaces", False),
])  # fmt: skip
def test_the_webhook_lets_its_group_read_namespaces(tmp_path, groups, resource, allowed):
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"groups": groups, "resourceAttributes": {"verb": "list", "resource": resource}},
    }
    with authorizer.webhook("127.0.0.1", "readers") as (made, kubeconfig):
        config = yaml.safe_load(kubeconfig)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        authority = tmp_path / "ca.crt"
        authority.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
        headers = {"Authorization": f"Bearer {user['token']}"}
        answer = requests.post(cluster["server"], json=review, headers=headers, verify=str(authority), timeout=10)
        assert answer.json()["status"] == {"allowed": allowed}
        stranger = requests.post(cluster["server"], json=review, verify=str(authority), timeout=10)
        assert (stranger.status_code, len(made.asked), made.strangers) == (401, 1, 1)
