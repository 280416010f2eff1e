# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Certificates and CAs: the desired and the existing state, the reasons to reissue, and the issuing. No I/O.

Hosts need cryptography 38 (Debian 12), for keys and requests only; signing runs on the control node.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
import traceback
import typing as t

# Relative, because benchmarks/scale.py imports this without the collection.
from ..network import _addresses

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_pem_private_key,
    )
    from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

    MISSING = ""
    # cryptography's exceptions for malformed input.
    _UNREADABLE: tuple[type[Exception], ...] = (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        InvalidSignature,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    )
    USAGES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}
except ImportError:
    MISSING = traceback.format_exc()

# CA -> its files, without extension. The names are kubeadm's, on the control node and on the hosts.
AUTHORITIES = {"kubernetes": "ca", "etcd": "etcd/ca", "front-proxy": "front-proxy-ca"}
AUTHORITY_DAYS = 3650
# Some external clients reject certificates with a longer validity.
MAXIMUM_DAYS = 825
# New certificates must also be valid on hosts whose clock is slightly behind the control node's clock.
_BACKDATE = datetime.timedelta(minutes=5)
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
# Names that are never a host's, whatever the groups contain.
_RESERVED = re.compile(r"localhost|kubernetes(\.default(\..*)?)?")
# RFC 5280, ub-common-name.
_COMMON_NAME_LENGTH = 64


class CertificateError(ValueError):
    """One sentence for the operator."""


class Wanted(t.NamedTuple):
    """The desired content of a certificate, only from the control node's own variables."""

    authority: str
    common_name: str
    organization: str
    sans: tuple[str, ...]
    usages: tuple[str, ...]


class Authority(t.NamedTuple):
    """A CA, which can sign if it has its key, and the CAs that are also trusted during its rotation."""

    name: str
    certificate: t.Any
    key: t.Any
    others: tuple[t.Any, ...] = ()

    @property
    def trusted(self) -> tuple[t.Any, ...]:
        return (self.certificate, *self.others)


# Keys


def new_key() -> t.Any:
    return ec.generate_private_key(ec.SECP256R1())


def key_text(key: t.Any) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_text(public_key: t.Any) -> str:
    return public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def same_key(one: t.Any, other: t.Any) -> bool:
    return public_text(one) == public_text(other)


def _kind(key: t.Any) -> str:
    if isinstance(key, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey)):
        return f"ECDSA {key.curve.name}"
    size = getattr(key, "key_size", "")
    return f"{type(key).__name__.lstrip('_').replace('PrivateKey', '').replace('PublicKey', '')} {size}".strip()


def _is_p256(key: t.Any) -> bool:
    return isinstance(key, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey)) and key.curve.name == "secp256r1"


def load_any_key(text: str, path: str, remedy: str) -> t.Any:
    try:
        return load_pem_private_key(text.encode("utf-8", "surrogateescape"), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CertificateError(f"{path} is not a readable private key (PEM, not encrypted): {remedy}.") from None


def load_key(text: str, path: str) -> t.Any:
    """The ECDSA P-256 private key in `text`, the content of the file at `path`."""
    remedy = "move it away, and the next run creates a new key and certificate"
    key = load_any_key(text, path, remedy)
    if not _is_p256(key):
        raise CertificateError(f"{path} is a key of type {_kind(key)} and should be ECDSA P-256: {remedy}.")
    return key


# Requests


def request(key: t.Any) -> str:
    """A request that proves possession of a key. Its subject is empty, because the host cannot choose that."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def requested_key(text: str, where: str) -> t.Any:
    """The public key of a request that is signed with its private key. Everything else in a request is ignored."""
    try:
        found = x509.load_pem_x509_csr(text.encode())
        public_key, valid = found.public_key(), found.is_signature_valid
    except _UNREADABLE as error:
        raise CertificateError(f"{where} sent an invalid certificate request ({error}): inspect that host.") from None
    if not valid:
        raise CertificateError(
            f"{where} sent a certificate request that is not signed with its own key: inspect that host."
        )
    if not _is_p256(public_key):
        raise CertificateError(
            f"{where} sent a request for a key of type {_kind(public_key)}, not ECDSA P-256: inspect that host."
        )
    return public_key


# The desired certificates


def expand(entry: t.Mapping[str, t.Any], host: str, address: str) -> Wanted:
    """A certificate specification for one host, with {host} and {address} replaced."""

    def fill(text: str) -> str:
        if "{address}" in text and not address:
            raise CertificateError(
                f"The certificate {entry['name']} of {host} needs the host's IPv4 address: set cluster_address for it."
            )
        return text.replace("{host}", host).replace("{address}", address)

    return Wanted(
        entry["authority"],
        fill(entry["common_name"]),
        fill(entry.get("organization") or ""),
        tuple(fill(san) for san in entry.get("sans") or () if san),
        tuple(entry["usages"]),
    )


def _holders(groups: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, set[str]]:
    """Name or address independent of the host -> the hosts that get a certificate for it."""
    found: dict[str, set[str]] = {}
    for group in groups:
        for entry in group.get("certificates") or ():
            for san in filter(None, entry.get("sans") or ()):
                if "{" not in san:
                    found.setdefault(san.lower(), set()).update(group["hosts"])
    return found


def names_problem(
    groups: t.Sequence[t.Mapping[str, t.Any]], addresses: t.Mapping[str, str], control_planes: t.Collection[str]
) -> str:
    """Why the hosts' names or addresses cannot be signed, in a sentence: one belongs to the cluster, or to another host.

    A control plane may have the name or address of the API endpoint.
    """
    hosts = {host for group in groups for host in group["hosts"]}
    fixed = _holders(groups)
    owners: dict[str, str] = {}
    for host in sorted(hosts):
        for text in dict.fromkeys((host.lower(), addresses.get(host, ""))):
            if not text:
                continue
            kind = "address" if text == addresses.get(host) else "name"
            remedy = "set cluster_address for it" if kind == "address" else "give it another name in the inventory"
            if kind == "address" and not _addresses.is_unicast(text):
                return f"{host} has the address {text}, at which no other host can reach it: {remedy}."
            if _RESERVED.fullmatch(text) or (text in fixed and not {host} <= fixed[text] & {*control_planes}):
                return f"{host} has the {kind} {text}, which belongs to the cluster itself: {remedy}."
            if text in owners and owners[text] != host:
                return f"{owners[text]} and {host} have the same {kind} {text}: {remedy}."
            owners[text] = host
    return ""


def check_days(valid: int, renew_before: int, name: str, renew_name: str) -> None:
    if not 1 <= valid <= MAXIMUM_DAYS:
        raise CertificateError(f"{name} is {valid}: use 1 to {MAXIMUM_DAYS} days, because some clients reject more.")
    if valid <= renew_before:
        raise CertificateError(
            f"{name} ({valid}) must be more than {renew_name} ({renew_before}), or every run would reissue it."
        )


def subject(common_name: str, organization: str = "") -> t.Any:
    if not 1 <= len(common_name) <= _COMMON_NAME_LENGTH:
        raise CertificateError(
            f"The common name {common_name!r} has {len(common_name)} characters, but X.509 allows 1 to {_COMMON_NAME_LENGTH}: use a shorter name."
        )
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_names(sans: t.Iterable[str]) -> list[t.Any]:
    """Sorted, without duplicates: names before addresses."""
    names = sorted({san.lower() for san in sans if not _addresses.is_ip(san)})
    addresses = sorted(
        {ipaddress.ip_address(san) for san in sans if _addresses.is_ip(san)}, key=lambda ip: (ip.version, ip)
    )
    try:
        return [*map(x509.DNSName, names), *map(x509.IPAddress, addresses)]
    except ValueError:
        foreign = next(name for name in names if not name.isascii())
        raise CertificateError(
            f"The name {foreign!r} cannot be used in a certificate: write it in its ASCII form (xn--…)."
        ) from None


def _authority_identifier(certificate: t.Any) -> t.Any:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(certificate.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found)


def _key_usage(*usages: str) -> t.Any:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{usage: usage in usages for usage in every})


def _extensions(wanted: Wanted, public_key: t.Any, authority: Authority) -> list[tuple[t.Any, bool]]:
    """The extensions of a desired certificate, each with whether it is critical."""
    names = _general_names(wanted.sans)
    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage("digital_signature"), True),
        (x509.ExtendedKeyUsage([USAGES[usage] for usage in sorted(set(wanted.usages))]), False),
        (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
        (_authority_identifier(authority.certificate), False),
        *([(x509.SubjectAlternativeName(names), False)] if names else []),
    ]


# Issuing


def _certificate(
    name: t.Any, issuer: t.Any, public_key: t.Any, begin: t.Any, end: t.Any, extensions: t.Any, key: t.Any
) -> t.Any:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256())


def _authority_extensions(public_key: t.Any) -> list[tuple[t.Any, bool]]:
    """No path length limit: each successor adds a cross certificate to the path from the first CA to an end certificate."""
    return [
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (_key_usage("digital_signature", "key_cert_sign", "crl_sign"), True),
        (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
    ]


def new_authority(name: str, cluster: str, key: t.Any, now: datetime.datetime, generation: int = 1) -> Authority:
    """A self-signed CA."""
    who = subject(f"{cluster}-{name}-ca{'' if generation == 1 else f'-{generation}'}")
    end = now + datetime.timedelta(days=AUTHORITY_DAYS)
    extensions = _authority_extensions(key.public_key())
    return Authority(name, _certificate(who, who, key.public_key(), now - _BACKDATE, end, extensions, key), key)


def cross_certificate(new: t.Any, old: Authority, now: datetime.datetime) -> t.Any:
    """The new CA's certificate, issued by the old CA: with it, clients that trust only the old CA trust certificates of the new CA.

    None if the old CA must not have a CA below it, or has lost its key.
    """
    if old.key is None or not _may_have_below(old.certificate):
        return None
    extensions = [
        *_authority_extensions(new.public_key()),
        (_authority_identifier(old.certificate), False),
    ]
    end = min(not_after(new), not_after(old.certificate))
    who = old.certificate.subject
    return _certificate(new.subject, who, new.public_key(), now - _BACKDATE, end, extensions, old.key)


def _may_have_below(certificate: t.Any) -> bool:
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    return constraints.path_length is None or constraints.path_length > 0


def load_authority(name: str, certificate: str, key: str | None, path: str, now: datetime.datetime) -> Authority:
    """The CA in path.crt and path.key. It may be the operator's own, even with an RSA key.

    If there are several certificates, the CA's is the one that matches the key; without a key, the first one.
    """
    found = load_certificates(certificate)
    if not found:
        raise CertificateError(f"{path}.crt is not a readable certificate: restore the CA's certificate there.")
    loaded = None if key is None else load_any_key(key, f"{path}.key", "restore the CA's key there")
    mine = [one for one in found if loaded is None or same_key(one.public_key(), loaded.public_key())]
    if not mine:
        raise CertificateError(
            f"{path}.crt and {path}.key do not belong together: put the certificate and the key of one CA there."
        )
    if not _may_sign(mine[0]):
        raise CertificateError(f"{path}.crt ({fingerprint(mine[0])}) is not the certificate of a CA: put a CA there.")
    if not_after(mine[0]) <= now:
        raise CertificateError(f"{path}.crt expired on {not_after(mine[0]):%Y-%m-%d}: put a new CA there.")
    return Authority(name, mine[0], loaded, tuple(one for one in found if one is not mine[0]))


def _may_sign(certificate: t.Any) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def issue(wanted: Wanted, public_key: t.Any, authority: Authority, now: datetime.datetime, days: int) -> t.Any:
    """A certificate for a public key. It expires with its CA at the latest."""
    end = min(now + datetime.timedelta(days=days), not_after(authority.certificate))
    name = subject(wanted.common_name, wanted.organization)
    extensions = _extensions(wanted, public_key, authority)
    return _certificate(
        name, authority.certificate.subject, public_key, now - _BACKDATE, end, extensions, authority.key
    )


# The existing certificates


def load_certificate(text: str | None) -> t.Any:
    """The first certificate in a text; None if there is none, or if it is malformed."""
    try:
        found = x509.load_pem_x509_certificate((text or "").encode("utf-8", "surrogateescape"))
        # cryptography parses these on first access, and a host may send anything.
        found.public_key()
        describe(found)
    except _UNREADABLE:
        return None
    return found


def load_certificates(text: str | None) -> list[t.Any]:
    """All readable certificates in a text, such as a bundle of CAs."""
    return list(filter(None, map(load_certificate, _CERTIFICATE.findall(text or ""))))


def certificate_text(certificate: t.Any) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def chain_text(text: str | None) -> str:
    """The text after the first certificate in a file."""
    return "".join(map(certificate_text, load_certificates(text)[1:]))


def _utc(certificate: t.Any, which: str) -> datetime.datetime:
    # cryptography 42 introduced timezone-aware times and deprecates the naive ones.
    aware = getattr(certificate, f"{which}_utc", None)
    return aware or getattr(certificate, which).replace(tzinfo=datetime.timezone.utc)


def not_after(certificate: t.Any) -> datetime.datetime:
    return _utc(certificate, "not_valid_after")


def fingerprint(certificate: t.Any) -> str:
    """In the format of `openssl x509 -fingerprint -sha256`."""
    return "SHA-256 " + ":".join(f"{byte:02X}" for byte in certificate.fingerprint(hashes.SHA256()))


def issued_by(certificate: t.Any, authority: t.Any) -> bool:
    """Whether the CA with the certificate `authority` has issued it."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _values(certificate: t.Any) -> dict[t.Any, tuple[t.Any, bool]]:
    return {extension.oid: (extension.value, extension.critical) for extension in certificate.extensions}


def _san_texts(names: t.Iterable[t.Any]) -> list[str]:
    return [str(getattr(name, "value", name)) for name in names]


def _usage_texts(usages: t.Iterable[t.Any]) -> list[str]:
    words = {oid: word for word, oid in USAGES.items()}
    return [words.get(usage, usage.dotted_string) for usage in usages]


def describe(certificate: t.Any) -> str:
    """A certificate in a few lines, for a diff."""
    values = _values(certificate)
    sans: t.Any = values.get(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, ([],))[0]
    usages: t.Any = values.get(ExtensionOID.EXTENDED_KEY_USAGE, ([],))[0]
    return (
        f"subject: {certificate.subject.rfc4514_string()}\n"
        f"issuer: {certificate.issuer.rfc4514_string()}\n"
        f"names: {', '.join(_san_texts(sans))}\n"
        f"usages: {', '.join(_usage_texts(usages))}\n"
        f"valid until: {not_after(certificate):%Y-%m-%d}\n"
    )


# Reasons to reissue


def _differences(what: str, found: list[str], wanted: list[str]) -> list[str]:
    more, less = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    parts = [f"{word} {', '.join(items)}" for word, items in (("lacks", more), ("should not have", less)) if items]
    return [f"{what} {' and '.join(parts)}"] if parts else []


def _content_reasons(certificate: t.Any, wanted: Wanted, authority: Authority) -> list[str]:
    name = subject(wanted.common_name, wanted.organization).rfc4514_string()
    reasons = []
    if certificate.subject.rfc4514_string() != name:
        reasons.append(f"the subject is {certificate.subject.rfc4514_string()} and should be {name}")
    values = _values(certificate)
    expected = {
        extension.oid: (extension, critical)
        for extension, critical in _extensions(wanted, certificate.public_key(), authority)
    }
    compared = (
        (ExtensionOID.SUBJECT_ALTERNATIVE_NAME, "the list of names", _san_texts),
        (ExtensionOID.EXTENDED_KEY_USAGE, "the list of usages", _usage_texts),
    )
    for oid, what, texts in compared:
        reasons += _differences(what, *(texts(side.pop(oid, ((),))[0]) for side in (values, expected)))
    other = sorted(oid._name for oid in values.keys() | expected.keys() if values.get(oid) != expected.get(oid))
    return [*reasons, *([f"it differs in {', '.join(other)}"] if other else [])]


def _time_reasons(certificate: t.Any, authority: Authority, now: datetime.datetime, renew_before: int) -> list[str]:
    end = not_after(certificate)
    if _utc(certificate, "not_valid_before") > now:
        return [f"it is not valid before {_utc(certificate, 'not_valid_before'):%Y-%m-%d %H:%M} UTC"]
    if end <= now:
        return [f"it expired on {end:%Y-%m-%d}"]
    # If the certificate expires together with its CA, a new one would expire on the same day.
    if end - now < datetime.timedelta(days=renew_before) and end < not_after(authority.certificate):
        return [f"it expires in {(end - now).days} days"]
    return []


def reasons_to_issue(
    text: str | None, wanted: Wanted, public_key: t.Any, authority: Authority, now: datetime.datetime, renew_before: int
) -> list[str]:
    """Why the certificate in `text` does not match the desired one; empty if it does.

    A public key of None is unknown, and is not compared.
    """
    if not text:
        return ["it is absent"]
    certificate = load_certificate(text)
    if certificate is None:
        return ["it cannot be read"]
    reasons = []
    if not issued_by(certificate, authority.certificate):
        reasons.append(f"its issuer is another CA ({certificate.issuer.rfc4514_string()})")
    if public_key is not None and not same_key(certificate.public_key(), public_key):
        reasons.append("it does not match the host's key")
    # A different key or issuer changes the identifiers too; naming them would be redundant.
    content = [] if reasons else _content_reasons(certificate, wanted, authority)
    return [*reasons, *content, *_time_reasons(certificate, authority, now, renew_before)]


# The hosts' cluster


def carried_authority(certificate: str | None, leaves: t.Iterable[str | None], authority: Authority) -> str:
    """A description of the CA that a host has instead of this one; empty if it has none or this one.

    Determined from the CA's certificate, or if that is missing, from the certificates that it issued.
    """
    found = load_certificates(certificate)
    if found:
        keys = {public_text(one.public_key()) for one in authority.trusted}
        ours = any(public_text(one.public_key()) in keys for one in found)
        return "" if ours else f"{found[0].subject.rfc4514_string()} ({fingerprint(found[0])})"
    for leaf in filter(None, map(load_certificate, leaves)):
        if not any(issued_by(leaf, one) for one in authority.trusted):
            return leaf.issuer.rfc4514_string()
    return ""


# The location of the CA directory, recorded on each host


def origin_text(control_node: str, directory: str) -> str:
    return (
        "# Location of the CAs of this host's certificates; written by plainkube.cluster.\n"
        f"control node: {control_node}\n"
        f"directory: {directory}\n"
    )


def origin_place(text: str | None) -> str:
    """The location in a text of origin_text(), as a phrase; empty if it is unknown."""
    pairs = dict(line.split(": ", 1) for line in (text or "").splitlines() if ": " in line)
    if not {"control node", "directory"} <= pairs.keys():
        return ""
    return f"created on control node {pairs['control node']} in {pairs['directory']}"
