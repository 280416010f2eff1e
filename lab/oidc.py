# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A small OpenID Connect issuer: its discovery document, its keys, and tokens that it signs."""

from __future__ import annotations

import base64
import contextlib
import json
import time
import typing as t

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from lab import https


def encode(data: bytes) -> str:
    """Base64url without padding, as in RFC 7515."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int, size: int) -> str:
    return encode(value.to_bytes(size, "big"))


class Rsa:
    """RS256."""

    name = "RS256"

    def __init__(self) -> None:
        self.private = rsa.generate_private_key(65537, 2048)

    def jwk(self) -> dict[str, str]:
        """The public key (RFC 7517)."""
        numbers = self.private.public_key().public_numbers()
        return {"kty": "RSA", "n": _number(numbers.n, 256), "e": _number(numbers.e, 3)}

    def sign(self, data: bytes) -> bytes:
        return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())


class Ecdsa:
    """ES256."""

    name = "ES256"

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())

    def jwk(self) -> dict[str, str]:
        """The public key (RFC 7517)."""
        numbers = self.private.public_key().public_numbers()
        return {"kty": "EC", "crv": "P-256", "x": _number(numbers.x, 32), "y": _number(numbers.y, 32)}

    def sign(self, data: bytes) -> bytes:
        # Two concatenated numbers (RFC 7518), not the ASN.1 of certificates.
        pair = decode_dss_signature(self.private.sign(data, ec.ECDSA(hashes.SHA256())))
        return b"".join(number.to_bytes(32, "big") for number in pair)


class Issuer:
    """An issuer, which signs tokens with one of its keys. `url` is set once it is served."""

    def __init__(self) -> None:
        self.keys: dict[str, Rsa | Ecdsa] = {"rsa": Rsa(), "ecdsa": Ecdsa()}
        self.url = ""
        self.authority = ""

    def answer(self, path: str, dummy_headers: t.Mapping[str, str], dummy_body: bytes) -> tuple[int, t.Any]:
        """The documents that an API server requests."""
        documents = {
            "/.well-known/openid-configuration": {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/keys",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [key.name for key in self.keys.values()],
            },
            "/keys": {
                "keys": [{**key.jwk(), "kid": name, "alg": key.name, "use": "sig"} for name, key in self.keys.items()]
            },
        }
        return (200, documents[path]) if path in documents else (404, {})

    def token(self, key: str = "rsa", **claims: t.Any) -> str:
        """A token that is valid for five minutes, with the common claims and these, which override them."""
        now = int(time.time())
        header = {"typ": "JWT", "alg": self.keys[key].name, "kid": key}
        payload = {"iss": self.url, "iat": now, "exp": now + 300, **claims}
        signed = ".".join(encode(json.dumps(part).encode()) for part in (header, payload))
        return f"{signed}.{encode(self.keys[key].sign(signed.encode()))}"


@contextlib.contextmanager
def issuer(address: str) -> t.Iterator[Issuer]:
    """Serve an issuer on an address."""
    made = Issuer()
    with https.serve(address, made.answer) as served:
        made.url, made.authority = served
        yield made
