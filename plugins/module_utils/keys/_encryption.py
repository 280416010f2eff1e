# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The API servers' encryption configuration for Secrets and ConfigMaps in etcd: its keys, and the meaning of their order. No I/O.

The first key encrypts, and all keys decrypt. Keys are numbered in the order of their creation; number 0 is plaintext. So the file itself shows
the progress of a rotation: while an older key comes first, the newer one only decrypts. Once the newer one comes first, everything that was
written before must be rewritten, and then the older one can be removed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import typing as t

FILE = "encryption.yaml"
# The encrypted resources, by their name in the API and in etcd's keys below /registry/.
RESOURCES = ("secrets", "configmaps")
STEADY, BEGUN, SWITCHED = "steady", "begun", "switched"
_HEAD = """\
# How the API servers encrypt Secrets and ConfigMaps in etcd; written by plainkube.cluster. Without these keys nobody can read them again.
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets, configmaps]
    providers:
"""
_PROVIDER = """\
      - secretbox:
          keys:
            - name: key-{number}
              secret: {secret}
"""
_IDENTITY = "      - identity: {}\n"
_ENTRY = re.compile(r" +- (?:(identity): \{\}|secretbox:\n +keys:\n +- name: key-([1-9]\d*)\n +secret: (\S+))\n")
_LENGTH = 32


class EncryptionError(ValueError):
    """One sentence for the operator."""


class Key(t.NamedTuple):
    """A key; number 0 means no encryption."""

    number: int
    secret: str = ""

    @property
    def name(self) -> str:
        return f"key-{self.number}" if self.number else "identity"


PLAIN = Key(0)
Keys = t.Sequence[Key]


def new_key(number: int) -> Key:
    return Key(number, base64.b64encode(os.urandom(_LENGTH)).decode())


def render(keys: Keys) -> str:
    return _HEAD + "".join(_PROVIDER.format(**key._asdict()) if key.number else _IDENTITY for key in keys)


def _length(secret: str) -> int:
    try:
        return len(base64.b64decode(secret, validate=True))
    except (binascii.Error, ValueError):
        return 0


def _without_comments(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.lstrip().startswith("#"))


def parse(text: str, path: str) -> list[Key]:
    """The keys in a file in this format, in order. Comment lines are ignored; everything else must be as render() writes it."""
    content = _without_comments(text)
    keys = [Key(int(number or 0), secret) for dummy, number, secret in _ENTRY.findall(content)]
    numbers = [key.number for key in keys]
    right = 1 <= len(keys) <= 2 and len(set(numbers)) == len(keys) and _without_comments(render(keys)) == content
    if not right or numbers == [0] or any(key.number and _length(key.secret) != _LENGTH for key in keys):
        raise EncryptionError(f"{path} is not in the format that this collection writes: restore it from a backup.")
    return keys


def phase(keys: Keys) -> str:
    """The phase of a key rotation."""
    if len(keys) == 1:
        return STEADY
    return BEGUN if keys[0].number < keys[1].number else SWITCHED


def first_keys(live: bool) -> list[Key]:
    """The keys for a cluster without any. An existing cluster keeps writing plaintext until all its API servers have the key."""
    return [PLAIN, new_key(1)] if live else [new_key(1)]


def begin(keys: Keys) -> list[Key]:
    return [*keys, new_key(keys[0].number + 1)]


def switch(keys: Keys) -> list[Key]:
    return [keys[1], keys[0]]


def finish(keys: Keys) -> list[Key]:
    return [keys[0]]


def identify(text: str | None) -> list[str]:
    """Identifiers of the keys in a file that do not reveal them, the newest last; none if the file is invalid."""
    try:
        keys = parse(text or "", "")
    except EncryptionError:
        return []
    newest_last = sorted(key for key in keys if key.number)
    return [f"{key.name} {hashlib.sha256(key.secret.encode()).hexdigest()[:16]}" for key in newest_last]


def is_successor(mine: t.Sequence[str], theirs: t.Sequence[str]) -> bool:
    """Whether the keys in `mine` can decrypt everything that a host's keys encrypt; both in the format of identify().

    A rotation starts by adding a key and ends by removing the older one, so `mine` always includes the host's newest key.
    """
    return not theirs or theirs[-1] in mine


def uses(values: t.Iterable[bytes]) -> dict[str, int]:
    """The number of values in etcd by encryption key, determined from their prefixes."""
    count: dict[str, int] = {}
    for value in values:
        found = re.match(rb"k8s:enc:secretbox:v1:(key-\d+):", value)
        name = found.group(1).decode() if found else "another provider" if value.startswith(b"k8s:enc:") else PLAIN.name
        count[name] = count.get(name, 0) + 1
    return count
