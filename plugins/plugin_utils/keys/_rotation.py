# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Rotation of a CA or key in the directory on the control node, in three steps. Every host takes each step. No I/O.

- begin: the new one is trusted in addition to the old one, which still signs.
- switch: the new one signs; whatever the old one signed is still trusted.
- finish: only the new one is trusted.

Only the directory records the progress. Each step is a list of changes, in an order that allows a kill at any point: when repeated,
it completes what it started.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _certificates, _encryption

STEADY, BEGUN, SWITCHED = _encryption.STEADY, _encryption.BEGUN, _encryption.SWITCHED
SERVICE_ACCOUNT, ENCRYPTION = "service-account", "encryption"
NAMES = (*_certificates.AUTHORITIES, SERVICE_ACCOUNT, ENCRYPTION)
# Cross certificates of the Kubernetes CA: with them, clients that read its predecessor at start, such as pods, trust its certificates.
CROSS = "ca-cross.crt"
_STEMS = {**_certificates.AUTHORITIES, SERVICE_ACCOUNT: "sa"}
_PUBLIC_KEY = re.compile(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----\n?", re.DOTALL)


class Change(t.NamedTuple):
    """One change of the directory: a file to write, rename, or remove."""

    name: str
    content: str | None = None
    new_name: str = ""


Contents = t.Mapping[str, str]


def files() -> list[str]:
    """All files of the directory that a rotation may involve."""
    found = [f"{stem}{end}" for stem in _STEMS.values() for end in (".key", ".next.key", ".rotation")]
    return [*found, *(f"{stem}.crt" for stem in _certificates.AUTHORITIES.values()), "sa.pub", CROSS, _encryption.FILE]


def phase(name: str, contents: Contents) -> str:
    """The phase of the rotation of a CA or key."""
    if name == ENCRYPTION:
        return _encryption.phase(_keys(contents)) if _encryption.FILE in contents else STEADY
    if f"{_STEMS[name]}.rotation" not in contents:
        return STEADY
    return BEGUN if f"{_STEMS[name]}.next.key" in contents else SWITCHED


def phases(contents: Contents) -> dict[str, str]:
    return {name: phase(name, contents) for name in NAMES}


def states(contents: Contents) -> dict[str, str]:
    """The phase of each rotation, and a digest that distinguishes it from all earlier and later ones. Reveals no key."""
    found = {}
    for name, its_phase in phases(contents).items():
        if name == ENCRYPTION:
            parts = _encryption.identify(contents.get(_encryption.FILE))
        else:
            stem = _STEMS[name]
            public = "sa.pub" if name == SERVICE_ACCOUNT else f"{stem}.crt"
            parts = [contents.get(public, ""), contents.get(f"{stem}.rotation", "")]
        found[name] = f"{its_phase} {hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]}"
    return found


def _keys(contents: Contents) -> list[_encryption.Key]:
    return _encryption.parse(contents[_encryption.FILE], _encryption.FILE)


def _marker(contents: Contents, name: str) -> dict[str, str]:
    """The content of the marker file of a CA rotation: the old CA, and since when the new one is in use."""
    file = f"{_STEMS[name]}.rotation"
    try:
        found = json.loads(contents[file])
    except ValueError:
        raise _certificates.CertificateError(f"{file} cannot be read: restore it from a backup.") from None
    return found


def _mark(name: str, marker: t.Mapping[str, str]) -> Change:
    return Change(f"{_STEMS[name]}.rotation", f"{json.dumps(marker)}\n")


def public_keys(text: str | None) -> list[str]:
    """The public keys in a text, each as text."""
    return [f"{found.rstrip()}\n" for found in _PUBLIC_KEY.findall(text or "")]


# Begin


def _generation(certificate: t.Any) -> int:
    """The number of the CA after this one: plainkube-etcd-ca is followed by plainkube-etcd-ca-2."""
    found = re.search(r"-ca-(\d+)(?:,|$)", certificate.subject.rfc4514_string())
    return int(found.group(1)) + 1 if found else 2


def _begin_authority(name: str, contents: Contents, cluster: str, now: datetime.datetime) -> list[Change]:
    stem = _STEMS[name]
    text, made = contents[f"{stem}.crt"], contents.get(f"{stem}.next.key")
    key = _certificates.load_key(made, f"{stem}.next.key") if made else _certificates.new_key()
    known = _certificates.load_certificates(text)
    new = next((one for one in known if _certificates.same_key(one.public_key(), key.public_key())), None)
    old = _certificates.load_authority(name, text, contents.get(f"{stem}.key"), stem, now)
    changes = [] if made else [Change(f"{stem}.next.key", _certificates.key_text(key))]
    if new is None:
        new = _certificates.new_authority(name, cluster, key, now, _generation(old.certificate)).certificate
        changes.append(Change(f"{stem}.crt", f"{text.rstrip()}\n{_certificates.certificate_text(new)}"))
    cross = _certificates.cross_certificate(new, old, now) if name == "kubernetes" else None
    if cross is not None:
        changes.append(Change(CROSS, contents.get(CROSS, "") + _certificates.certificate_text(cross)))
    return [*changes, _mark(name, {"old": _certificates.fingerprint(old.certificate)})]


def _begin_service_account(contents: Contents) -> list[Change]:
    made = contents.get("sa.next.key")
    key = _certificates.load_key(made, "sa.next.key") if made else _certificates.new_key()
    public, known = _certificates.public_text(key.public_key()), public_keys(contents["sa.pub"])
    changes = [] if made else [Change("sa.next.key", _certificates.key_text(key))]
    changes += [] if public in known else [Change("sa.pub", "".join([*known, public]))]
    return [*changes, _mark(SERVICE_ACCOUNT, {})]


def begin(name: str, contents: Contents, cluster: str, now: datetime.datetime) -> list[Change]:
    if name == ENCRYPTION:
        return [Change(_encryption.FILE, _encryption.render(_encryption.begin(_keys(contents))))]
    if name == SERVICE_ACCOUNT:
        return _begin_service_account(contents)
    return _begin_authority(name, contents, cluster, now)


# Switch


def switch(name: str, contents: Contents, now: datetime.datetime) -> list[Change]:
    """One rename at the end, so that at any time exactly one of them signs."""
    if name == ENCRYPTION:
        return [Change(_encryption.FILE, _encryption.render(_encryption.switch(_keys(contents))))]
    stem = _STEMS[name]
    marker = {**_marker(contents, name), "switched": now.isoformat(timespec="seconds")}
    return [_mark(name, marker), Change(f"{stem}.next.key", new_name=f"{stem}.key")]


# Finish


def tokens_end(contents: Contents, overlap: datetime.timedelta) -> datetime.datetime | None:
    """Until when tokens signed with the old service-account key may be in use; None if it is not about to be removed."""
    if phase(SERVICE_ACCOUNT, contents) != SWITCHED:
        return None
    return datetime.datetime.fromisoformat(_marker(contents, SERVICE_ACCOUNT)["switched"]) + overlap


def _finish_authority(name: str, contents: Contents, now: datetime.datetime) -> list[Change]:
    stem, old = _STEMS[name], _marker(contents, name)["old"]
    signer = _certificates.load_authority(name, contents[f"{stem}.crt"], contents[f"{stem}.key"], stem, now)
    kept = [one for one in signer.trusted if one is signer.certificate or _certificates.fingerprint(one) != old]
    changes = [Change(f"{stem}.crt", "".join(map(_certificates.certificate_text, kept)))]
    if name == "kubernetes" and CROSS in contents:
        mine = crosses(contents[CROSS], signer.certificate, now)
        changes.append(Change(CROSS, "".join(map(_certificates.certificate_text, mine))))
    return [*changes, Change(f"{stem}.rotation")]


def finish(name: str, contents: Contents, now: datetime.datetime) -> list[Change]:
    if name == ENCRYPTION:
        return [Change(_encryption.FILE, _encryption.render(_encryption.finish(_keys(contents))))]
    if name == SERVICE_ACCOUNT:
        key = _certificates.load_any_key(contents["sa.key"], "sa.key", "put the cluster's key there")
        return [Change("sa.pub", _certificates.public_text(key.public_key())), Change("sa.rotation")]
    return _finish_authority(name, contents, now)


def crosses(text: str | None, certificate: t.Any, now: datetime.datetime) -> list[t.Any]:
    """The valid cross certificates in a text that lead from this CA back to its predecessors."""
    known = [one for one in reversed(_certificates.load_certificates(text)) if _certificates.not_after(one) > now]
    found: list[t.Any] = []
    following = [one for one in known if _certificates.same_key(one.public_key(), certificate.public_key())]
    while following:
        found.append(following[0])
        following = [one for one in known if _certificates.issued_by(found[-1], one) and one not in found]
    return found


# In words


def describe(name: str, found: str) -> str:
    """The meaning of a phase, as text for operators."""
    if found == STEADY:
        return f"{name}: in use, no rotation in progress"
    if name == ENCRYPTION:
        words = {
            BEGUN: "known but not used yet",
            SWITCHED: "used; objects encrypted with the old one must still be rewritten",
        }
        return f"{name}: a new key is {words[found]}"
    if name == SERVICE_ACCOUNT:
        if found == SWITCHED:
            return f"{name}: the new key signs tokens, and tokens of the old one are still accepted"
        return f"{name}: a new key is trusted, and the old one signs tokens"
    return f"{name}: two CAs are trusted, and the {'new' if found == SWITCHED else 'old'} one signs"
