# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""HTTPS servers that stand in for a company's services outside its clusters. They run during a test, with their own CA."""

from __future__ import annotations

import base64
import contextlib
import datetime
import http.server
import ipaddress
import json
import ssl
import sys
import tempfile
import threading
import typing as t

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_SIGNS = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    **dict.fromkeys(
        [
            *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
            *("key_agreement", "encipher_only", "decipher_only"),
        ],
        False,
    ),
)
DAY = datetime.timedelta(days=1)

# Path, headers and body of a request -> status and JSON.
Answer = t.Callable[[str, t.Mapping[str, str], bytes], tuple[int, t.Any]]


def _builder(name: str, issuer: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    subject, signer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (name, issuer))
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
    )


def certificates(address: str) -> tuple[str, str]:
    """The certificate of a new CA, and certificate and key of a server on this address. All as PEM."""
    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = (
        _builder("lab", "lab", authority.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        # Strict clients (Python 3.13 and later) require both of these in a CA.
        .add_extension(_SIGNS, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        .sign(authority, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    leaf = (
        _builder(address, "lab", server.public_key())
        .add_extension(names, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        .sign(authority, hashes.SHA256())
    )
    key = server.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = serialization.Encoding.PEM
    return root.public_bytes(pem).decode(), (leaf.public_bytes(pem) + key).decode()


class Served(t.NamedTuple):
    """A running server."""

    url: str
    authority: str  # PEM


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """Print errors of this server, except for clients that do not trust it."""
        if not isinstance(sys.exc_info()[1], (ssl.SSLError, ConnectionError)):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def run(address: str, handler: type[http.server.BaseHTTPRequestHandler], port: int = 0) -> t.Iterator[Served]:
    """Serve HTTPS on an address, at any free port by default."""
    authority, own = certificates(address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(own)
        file.flush()
        context.load_cert_chain(file.name)
    server = _Server((address, port), handler)
    # The handshake is in the connection's thread, so that a silent client does not block the others.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Served(f"https://{address}:{server.server_port}", authority)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def serve(address: str, answer: Answer, port: int = 0) -> t.Iterator[Served]:
    """Serve JSON."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802 (the name that http.server calls)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, document = answer(self.path, dict(self.headers.items()), body)
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *dummy: t.Any) -> None:
            """No log; tests print what they find."""

    with run(address, Handler, port) as served:
        yield served


def as_data(text: str) -> str:
    """Text in the format of a kubeconfig's -data fields."""
    return base64.b64encode(text.encode()).decode()
