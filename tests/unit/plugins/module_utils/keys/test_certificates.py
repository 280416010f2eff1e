# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import threading

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _certificates
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
SERVER = _certificates.Wanted("etcd", "k1", "", ("k1", "10.0.0.1", "localhost"), ("server", "client"))
Error = _certificates.CertificateError


def days(number):
    return datetime.timedelta(days=number)


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(scope="module")
def authority():
    return _certificates.new_authority("etcd", "plainkube", _certificates.new_key(), NOW)


@pytest.fixture(scope="module")
def other():
    """A CA of the same name, as another cluster has one."""
    return _certificates.new_authority("etcd", "plainkube", _certificates.new_key(), NOW)


@pytest.fixture(scope="module")
def key():
    return _certificates.new_key()


@pytest.fixture
def reasons(authority, key):
    """Why a certificate that was issued as `found` has to be issued anew when `wanted` is."""

    def check(found=SERVER, wanted=SERVER, issuer=authority, public_key=key, now=NOW, valid=365, at=NOW):
        certificate = _certificates.issue(found, key.public_key(), issuer, now, valid)
        text = _certificates.certificate_text(certificate)
        return _certificates.reasons_to_issue(text, wanted, public_key.public_key(), authority, at, 30)

    return check


# Keys and requests


def test_a_key_is_an_unencrypted_p256_key_in_pkcs8(key):
    text = _certificates.key_text(key)
    assert text.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert _certificates.same_key(_certificates.load_key(text, "x").public_key(), key.public_key())


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (ec.generate_private_key(ec.SECP384R1()), "ECDSA secp384r1"),
        (rsa.generate_private_key(65537, 2048), "RSA 2048"),
        (ed25519.Ed25519PrivateKey.generate(), "Ed25519"),
    ],
)
def test_a_key_of_another_kind_is_named(made, kind):
    with pytest.raises(Error, match=rf"^/p/a\.key is a key of type {kind} and should be ECDSA P-256: move it away"):
        _certificates.load_key(pem(made), "/p/a.key")


@pytest.mark.parametrize(
    "text", ["", "junk", "\udce4", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_key_is_an_error(text):
    with pytest.raises(Error, match=r"^/p/a\.key is not a readable private key"):
        _certificates.load_key(text, "/p/a.key")


def test_an_encrypted_key_is_an_error(key):
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption

    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()
    with pytest.raises(Error, match="not encrypted"):
        _certificates.load_key(text, "/p/a.key")


def test_a_request_gives_the_key(key):
    found = _certificates.requested_key(_certificates.request(key), "k1")
    assert _certificates.same_key(found, key.public_key())


def test_a_request_for_a_key_that_the_host_does_not_have_is_refused(key):
    """Signed by one key, and asking for another."""
    mine = x509.load_pem_x509_csr(_certificates.request(_certificates.new_key()).encode())
    theirs = x509.load_pem_x509_csr(_certificates.request(key).encode())
    forged = mine.public_bytes(Encoding.DER).replace(
        mine.public_key().public_bytes(Encoding.X962, _certificates.PublicFormat.UncompressedPoint),
        theirs.public_key().public_bytes(Encoding.X962, _certificates.PublicFormat.UncompressedPoint),
    )
    text = x509.load_der_x509_csr(forged).public_bytes(Encoding.PEM).decode()
    with pytest.raises(Error, match="^k1 sent a certificate request that is not signed with its own key"):
        _certificates.requested_key(text, "k1")


def test_a_request_of_another_kind_or_no_request_is_refused():
    with pytest.raises(Error, match="^k1 sent an invalid certificate request"):
        _certificates.requested_key("junk", "k1")
    with pytest.raises(Error, match="^k1 sent a request for a key of type ECDSA secp384r1"):
        _certificates.requested_key(_certificates.request(ec.generate_private_key(ec.SECP384R1())), "k1")


# What is wanted


def test_host_and_address_are_filled_in():
    entry = {
        "name": "kubelet-server",
        "authority": "kubernetes",
        "common_name": "system:node:{host}",
        "organization": "system:nodes",
        "sans": ["{host}", "{address}", ""],
        "usages": ["server"],
    }
    wanted = _certificates.expand(entry, "n1", "10.0.0.2")
    assert wanted == ("kubernetes", "system:node:n1", "system:nodes", ("n1", "10.0.0.2"), ("server",))
    with pytest.raises(Error, match="^The certificate kubelet-server of n1 needs the host's IPv4 address"):
        _certificates.expand(entry, "n1", "")


@pytest.mark.parametrize(
    ("valid", "renew_before", "message"),
    [
        (0, 0, "certificates_validity_days is 0: use 1 to 825 days"),
        (826, 30, "certificates_validity_days is 826"),
        (30, 30, r"certificates_validity_days \(30\) must be more than certificates_renew_before_days \(30\)"),
    ],
)
def test_days_that_make_no_sense(valid, renew_before, message):
    with pytest.raises(Error, match=message):
        _certificates.check_days(valid, renew_before, "certificates_validity_days", "certificates_renew_before_days")


def test_a_common_name_that_is_too_long():
    with pytest.raises(Error, match="has 65 characters, but X.509 allows 1 to 64"):
        _certificates.subject("x" * 65)


def test_names_that_are_not_ascii(authority, key):
    wanted = SERVER._replace(sans=("bücher.example",))
    with pytest.raises(Error, match=r"^The name 'bücher.example' cannot be used in a certificate"):
        _certificates.issue(wanted, key.public_key(), authority, NOW, 365)


# What is issued


def test_a_certificate_says_what_is_wanted(authority, key):
    wanted = SERVER._replace(organization="o", sans=("K1", "k1", "b", "10.0.0.10", "10.0.0.9", "::1"))
    certificate = _certificates.issue(wanted, key.public_key(), authority, NOW, 365)
    assert _certificates.describe(certificate) == (
        "subject: CN=k1,O=o\n"
        "issuer: CN=plainkube-etcd-ca\n"
        "names: b, k1, 10.0.0.9, 10.0.0.10, ::1\n"
        "usages: client, server\n"
        f"valid until: {NOW + days(365):%Y-%m-%d}\n"
    )
    assert _certificates._utc(certificate, "not_valid_before") == NOW - datetime.timedelta(minutes=5)
    assert _certificates.issued_by(certificate, authority.certificate)


def test_a_certificate_ends_with_its_authority(authority, key):
    at = NOW + days(_certificates.AUTHORITY_DAYS - 10)
    assert _certificates.not_after(_certificates.issue(SERVER, key.public_key(), authority, at, 365)) == NOW + days(
        3650
    )


def test_the_extensions_are_what_strict_clients_ask_for(authority, key):
    certificate = _certificates.issue(SERVER, key.public_key(), authority, NOW, 365)
    critical = {extension.oid._name: extension.critical for extension in certificate.extensions}
    assert critical == {
        "basicConstraints": True,
        "keyUsage": True,
        "extendedKeyUsage": False,
        "subjectKeyIdentifier": False,
        "authorityKeyIdentifier": False,
        "subjectAltName": False,
    }
    critical = {extension.oid._name: extension.critical for extension in authority.certificate.extensions}
    assert critical == {"basicConstraints": True, "keyUsage": True, "subjectKeyIdentifier": False}
    assert authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def handshake(tmp_path, server, client, authority, name):
    """A TLS connection on loopback in which both sides verify strictly; returns the client's common name."""
    paths = {}
    for who, (certificate, key) in {"server": server, "client": client}.items():
        paths[who] = tmp_path / f"{who}.pem"
        paths[who].write_text(_certificates.certificate_text(certificate) + _certificates.key_text(key))
    contexts = {}
    for who, protocol in (("server", ssl.PROTOCOL_TLS_SERVER), ("client", ssl.PROTOCOL_TLS_CLIENT)):
        context = contexts[who] = ssl.SSLContext(protocol)
        context.load_verify_locations(cadata=_certificates.certificate_text(authority.certificate))
        context.load_cert_chain(paths[who])
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.verify_mode = ssl.CERT_REQUIRED
    seen = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _address = listener.accept()
            with (
                contextlib.suppress(ssl.SSLError),
                contexts["server"].wrap_socket(connection, server_side=True) as tls,
            ):
                seen.append(dict(pair[0] for pair in tls.getpeercert()["subject"])["commonName"])
                tls.send(b"x")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with (
                socket.create_connection(listener.getsockname()) as raw,
                contexts["client"].wrap_socket(raw, server_hostname=name) as tls,
            ):
                tls.recv(1)
        finally:
            thread.join()
    return seen[0]


@pytest.mark.parametrize("name", ["localhost", "10.0.0.1"])
def test_a_strict_handshake_succeeds(tmp_path, authority, key, name):
    server = _certificates.issue(SERVER, key.public_key(), authority, NOW, 365)
    client_key = _certificates.new_key()
    wanted = _certificates.Wanted("etcd", "flanneld", "", (), ("client",))
    client = _certificates.issue(wanted, client_key.public_key(), authority, NOW, 365)
    assert handshake(tmp_path, (server, key), (client, client_key), authority, name) == "flanneld"


def test_a_server_certificate_is_not_good_for_another_name(tmp_path, authority, key):
    server = _certificates.issue(SERVER, key.public_key(), authority, NOW, 365)
    with pytest.raises(ssl.SSLCertVerificationError, match="10.0.0.2"):
        handshake(tmp_path, (server, key), (server, key), authority, "10.0.0.2")


# CAs


def texts(authority):
    return _certificates.certificate_text(authority.certificate), _certificates.key_text(authority.key)


def test_an_authority_is_loaded(authority):
    found = _certificates.load_authority("etcd", *texts(authority), "/d/etcd/ca", NOW)
    assert found.certificate == authority.certificate


def test_an_authority_of_the_operators_own_with_an_rsa_key(key):
    own = rsa.generate_private_key(65537, 2048)
    made = _certificates.new_authority("etcd", "acme", own, NOW)
    found = _certificates.load_authority("etcd", _certificates.certificate_text(made.certificate), pem(own), "/d", NOW)
    certificate = _certificates.issue(SERVER, key.public_key(), found, NOW, 365)
    assert _certificates.issued_by(certificate, found.certificate)
    assert not _certificates.reasons_to_issue(
        _certificates.certificate_text(certificate), SERVER, key.public_key(), found, NOW, 30
    )


def test_authorities_that_cannot_sign(authority, other, key):
    certificate, its_key = texts(authority)
    leaf = _certificates.certificate_text(_certificates.issue(SERVER, key.public_key(), authority, NOW, 365))
    cases = [
        ("junk", its_key, NOW, r"^/d/ca\.crt is not a readable certificate"),
        (certificate, "junk", NOW, r"^/d/ca\.key is not a readable private key .*: restore the CA's key there"),
        (certificate, texts(other)[1], NOW, r"^/d/ca\.crt and /d/ca\.key do not belong together"),
        (leaf, _certificates.key_text(key), NOW, r"^/d/ca\.crt \(SHA-256 .*\) is not the certificate of a CA"),
        (certificate, its_key, NOW + days(3651), r"^/d/ca\.crt expired on"),
    ]
    for certificate_text, key_text, at, message in cases:
        with pytest.raises(Error, match=message):
            _certificates.load_authority("etcd", certificate_text, key_text, "/d/ca", at)


def test_an_authority_that_is_read_again_from_its_key_alone_is_the_same(authority, key):
    """A run that was killed after the key was written makes the certificate anew; what was issued stays good."""
    healed = _certificates.new_authority("etcd", "plainkube", authority.key, NOW)
    leaf = _certificates.certificate_text(_certificates.issue(SERVER, key.public_key(), authority, NOW, 365))
    assert not _certificates.carried_authority(_certificates.certificate_text(authority.certificate), [leaf], healed)
    assert not _certificates.reasons_to_issue(leaf, SERVER, key.public_key(), healed, NOW, 30)


# Why to issue anew


def test_nothing_to_do(reasons):
    assert reasons() == []
    assert reasons(at=NOW + days(334)) == []
    assert reasons(wanted=SERVER._replace(sans=("localhost", "10.0.0.1", "K1"))) == []


@pytest.mark.parametrize(
    ("text", "why"), [(None, "absent"), ("", "absent"), ("junk", "cannot be read"), ("\udce4", "cannot be read")]
)
def test_no_certificate(authority, text, why):
    assert why in _certificates.reasons_to_issue(text, SERVER, None, authority, NOW, 30)[0]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (SERVER._replace(common_name="k2"), "the subject is CN=k1 and should be CN=k2"),
        (SERVER._replace(organization="o"), "the subject is CN=k1 and should be CN=k1,O=o"),
        (
            SERVER._replace(sans=("k1", "10.0.0.2", "localhost")),
            "the list of names lacks 10.0.0.2 and should not have 10.0.0.1",
        ),
        (SERVER._replace(sans=()), "the list of names should not have 10.0.0.1, k1, localhost"),
        (SERVER._replace(usages=("client",)), "the list of usages should not have server"),
    ],
)
def test_another_content_is_named(reasons, wanted, why):
    assert reasons(wanted=wanted) == [why]


def test_another_issuer_of_the_same_name(reasons, other):
    assert reasons(issuer=other) == ["its issuer is another CA (CN=plainkube-etcd-ca)"]


def test_another_key(reasons):
    assert reasons(public_key=_certificates.new_key()) == ["it does not match the host's key"]


def test_time(reasons):
    assert reasons(at=NOW + days(336)) == ["it expires in 29 days"]
    assert reasons(at=NOW + days(366)) == [f"it expired on {NOW + days(365):%Y-%m-%d}"]
    assert reasons(now=NOW + days(1))[0].startswith("it is not valid before ")


def test_a_certificate_that_ends_with_its_authority_is_not_issued_again_and_again(reasons):
    near = NOW + days(3640)
    assert reasons(now=near, at=near) == []


def test_extensions_that_strict_clients_miss_are_a_reason(authority, key):
    bare = (
        x509.CertificateBuilder()
        .subject_name(_certificates.subject("k1"))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + days(365))
        .sign(authority.key, hashes.SHA256())
    )
    found = _certificates.reasons_to_issue(
        _certificates.certificate_text(bare), SERVER, key.public_key(), authority, NOW, 30
    )
    assert found[-1] == "it differs in authorityKeyIdentifier, basicConstraints, keyUsage, subjectKeyIdentifier"


# Whose hosts they are


def test_carried_authority(authority, other, key):
    ours, theirs = (_certificates.certificate_text(one.certificate) for one in (authority, other))
    our_leaf, their_leaf = (
        _certificates.certificate_text(_certificates.issue(SERVER, key.public_key(), one, NOW, 365))
        for one in (authority, other)
    )
    carried = _certificates.carried_authority
    assert carried(None, [], authority) == ""
    assert carried(ours, [our_leaf, None], authority) == ""
    assert carried(theirs, [], authority) == f"CN=plainkube-etcd-ca ({_certificates.fingerprint(other.certificate)})"
    assert carried(None, [None, their_leaf], authority) == "CN=plainkube-etcd-ca"
    # A single invalid certificate is reissued; a corrupt file is repaired.
    assert carried(ours, [their_leaf], authority) == ""
    assert carried("junk", [our_leaf, "junk"], authority) == ""


def test_the_fingerprint_is_openssls(authority):
    assert _certificates.fingerprint(authority.certificate).startswith("SHA-256 ")
    assert len(_certificates.fingerprint(authority.certificate)) == len("SHA-256 ") + 32 * 3 - 1


def test_origin():
    text = _certificates.origin_text("laptop", "/home/anna/my: pki")
    assert _certificates.origin_place(text) == "created on control node laptop in /home/anna/my: pki"
    assert _certificates.origin_place("junk\n: \n") == ""
    assert _certificates.origin_place(None) == ""


# One CA in the place of another


def ca(generation):
    return _certificates.new_authority("etcd", "c", _certificates.new_key(), NOW, generation)


def text_of(*authorities):
    return "".join(_certificates.certificate_text(one.certificate) for one in authorities)


def test_of_two_authorities_the_one_whose_key_it_is_signs():
    old, new = ca(1), ca(2)
    for signer, other in ((old, new), (new, old)):
        found = _certificates.load_authority("etcd", text_of(old, new), pem(signer.key), "/d", NOW)
        assert (found.certificate, found.others) == (signer.certificate, (other.certificate,))
        assert set(found.trusted) == {old.certificate, new.certificate}


def test_an_authority_without_its_key_is_the_first_one():
    old, new = ca(1), ca(2)
    found = _certificates.load_authority("etcd", text_of(old, new), None, "/d", NOW)
    assert (found.certificate, found.key) == (old.certificate, None)


def test_a_host_that_trusts_one_of_two_is_ours():
    old, new, foreign = ca(1), ca(2), ca(1)
    both = _certificates.load_authority("etcd", text_of(old, new), pem(new.key), "/d", NOW)
    alone = _certificates.load_authority("etcd", text_of(new), pem(new.key), "/d", NOW)
    assert _certificates.carried_authority(text_of(old), [], both) == ""
    assert _certificates.carried_authority(text_of(old, new), [], alone) == ""
    assert _certificates.carried_authority(text_of(old), [], alone).startswith("CN=c-etcd-ca (")
    assert _certificates.carried_authority(text_of(foreign), [], both).startswith("CN=c-etcd-ca (")


def test_a_leaf_alone_of_one_of_two_is_ours(key):
    old, new = ca(1), ca(2)
    leaf = _certificates.certificate_text(_certificates.issue(SERVER, key.public_key(), old, NOW, 365))
    both = _certificates.load_authority("etcd", text_of(old, new), pem(new.key), "/d", NOW)
    assert _certificates.carried_authority(None, [leaf], both) == ""
    assert _certificates.carried_authority(None, [leaf], new) == "CN=c-etcd-ca"


def test_a_cross_certificate_ends_with_the_first_of_both(monkeypatch):
    old = ca(1)
    monkeypatch.setattr(_certificates, "AUTHORITY_DAYS", 5000)
    new = ca(2)
    found = _certificates.cross_certificate(new.certificate, old, NOW)
    assert _certificates.issued_by(found, old.certificate)
    assert _certificates.same_key(found.public_key(), new.key.public_key())
    assert found.subject == new.certificate.subject
    assert _certificates.not_after(found) == _certificates.not_after(old.certificate)


def test_there_is_no_cross_certificate_of_an_authority_that_cannot_issue_it():
    new = ca(2)
    assert _certificates.cross_certificate(new.certificate, ca(1)._replace(key=None), NOW) is None
    narrow = [(x509.BasicConstraints(ca=True, path_length=0), True)]
    subject, key = new.certificate.subject, new.key
    end = NOW + datetime.timedelta(days=9)
    certificate = _certificates._certificate(subject, subject, key.public_key(), NOW, end, narrow, key)
    assert _certificates.cross_certificate(ca(3).certificate, new._replace(certificate=certificate), NOW) is None


def test_what_a_certificate_is_sent_with():
    old, new = ca(1), ca(2)
    assert _certificates.chain_text(text_of(old)) == ""
    assert _certificates.chain_text(text_of(old, new)) == text_of(new)
    assert _certificates.chain_text(None) == ""


# Names that are signed


API = {"sans": ["{host}", "{address}", "kubernetes.default.svc", "10.96.0.1", "api.example.org", "192.0.2.100", ""]}
GROUPS = [
    {"hosts": ["k1", "k2"], "certificates": [API]},
    {"hosts": ["k1", "k2", "n1", "N2"], "certificates": [{"sans": ["{host}", "{address}"]}, {"sans": None}]},
    {"hosts": ["n1"]},
]
ADDRESSES = {"k1": "192.0.2.1", "k2": "192.0.2.2", "n1": "192.0.2.3", "N2": "192.0.2.4"}


def names_problem(hosts=(), **addresses):
    groups = [*GROUPS, {"hosts": [*hosts], "certificates": [{"sans": ["{host}"]}]}]
    return _certificates.names_problem(groups, {**ADDRESSES, **addresses}, ["k1", "k2"])


def test_hosts_with_names_and_addresses_of_their_own():
    assert names_problem() == ""
    assert names_problem(n1="") == ""


def test_a_control_plane_may_be_the_endpoint():
    assert names_problem(k1="192.0.2.100") == ""


@pytest.mark.parametrize("address", ["10.96.0.1", "192.0.2.100"])
def test_a_node_has_no_address_of_the_clusters(address):
    assert (
        names_problem(n1=address)
        == f"n1 has the address {address}, which belongs to the cluster itself: set cluster_address for it."
    )


@pytest.mark.parametrize(
    "name", ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc.example.org", "api.example.org"]
)
def test_a_node_has_no_name_of_the_clusters(name):
    assert names_problem([name]) == (
        f"{name} has the name {name}, which belongs to the cluster itself: give it another name in the inventory."
    )


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.1.2.3", "0.0.0.0", "224.0.0.1", "255.255.255.255", "fd00::1", "evil"]
)
def test_an_address_that_reaches_no_host(address):
    assert (
        names_problem(n1=address)
        == f"n1 has the address {address}, at which no other host can reach it: set cluster_address for it."
    )


def test_an_address_or_name_of_another_host():
    assert names_problem(n1="192.0.2.2") == "k2 and n1 have the same address 192.0.2.2: set cluster_address for it."
    assert names_problem(["n2"]) == "N2 and n2 have the same name n2: give it another name in the inventory."


# What a host may write into a certificate


def broken_certificate(authority, oid, value):
    """One that is signed well, with an extension whose contents cannot be parsed."""
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(authority.certificate.subject)
    builder = builder.public_key(_certificates.new_key().public_key()).serial_number(1)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + days(9))
    builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value), False)
    return _certificates.certificate_text(builder.sign(authority.key, hashes.SHA256()))


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        ("2.5.29.17", b"junk"),
        ("2.5.29.17", b"\x30\x03\x87\x01\x01"),  # an address of one byte
        ("2.5.29.17", b"\x30\x04\x82\x02\xff\xfe"),  # a name that is no ASCII
        ("2.5.29.17", b"\x30\x02\xa3\x00"),  # an x400Address
        ("2.5.29.37", b"junk"),
        ("2.5.29.19", b"junk"),
    ],
)
def test_a_certificate_that_cannot_be_parsed_is_reissued(authority, key, oid, value):
    text = broken_certificate(authority, oid, value)
    assert _certificates.reasons_to_issue(text, SERVER, key.public_key(), authority, NOW, 30) == ["it cannot be read"]
    assert _certificates.load_certificates(text) == []
