# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Identifies the cluster of a host: its copies of the CAs, and the names of its keys."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files, _places
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _encryption

# On hosts.
DIRECTORY = _places.PKI
FILES = ["ca.crt", "etcd/ca.crt", "front-proxy-ca.crt", "sa.pub", "sa.key", "encryption.yaml", "origin"]


def encryption_keys(path: str) -> list[str]:
    """Identifiers of the keys; none for a user who cannot read them, as in a playbook without become that only needs addresses."""
    try:
        return _encryption.identify(_files.read(path) or "")
    except PermissionError:
        return []


def inspect(directory: str, names: t.Sequence[str]) -> dict[str, t.Any]:
    """The files with these names in a host's directory, in the format of module certificate_request, without keys."""
    keys = [name for name in names if _files.is_secret(name)]
    texts = {name: _files.read(os.path.join(directory, name)) for name in names if name not in keys}
    public = {name: text.encode("ascii", "replace").decode() for name, text in texts.items() if text is not None}
    return {
        "public": public,
        "secret": [name for name in keys if os.path.exists(os.path.join(directory, name))],
        "encryption": encryption_keys(os.path.join(directory, _encryption.FILE)),
    }
