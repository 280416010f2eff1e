# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The registry of a lab whose hosts pull their images: a detached HTTPS server on the lab's gateway address, of the mirror's images."""

from __future__ import annotations

import datetime
import http.client
import ipaddress
import pathlib
import ssl
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lab import mirror
from lab.base import cache
from lab.service import Service

PORT = 5443
MODULE = "lab.registry_server"


def name(address: str) -> str:
    """The host and port in the inventory."""
    return f"{address}:{PORT}"


def certificate_and_key(address: str) -> tuple[bytes, bytes]:
    """A self-signed server certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Registry of a plainkube lab")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def service(lab: str, address: str) -> Service:
    """The server of a lab."""
    return Service(lab, "registry", (MODULE, address, str(PORT)))


def certificate(lab: str) -> pathlib.Path:
    """The server's certificate, which hosts must trust."""
    return cache("labs", lab, "registry.crt")


def ensure(lab: str, address: str) -> None:
    """Start the server with the images that are currently on the mirror."""
    path, key = certificate(lab), cache("labs", lab, "registry.key")
    if not path.exists():
        public, private = certificate_and_key(address)
        key.touch(mode=0o600)
        key.write_bytes(private)
        path.write_bytes(public)
    images = mirror.directory() / "images"
    command = [sys.executable, "-m", MODULE, str(images), str(path), str(key), address, str(PORT)]
    service(lab, address).ensure(command, lambda: _answers(address, path))


def _answers(address: str, trusted: pathlib.Path) -> bool:
    connection = http.client.HTTPSConnection(
        address, PORT, timeout=2, context=ssl.create_default_context(cafile=str(trusted))
    )
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
