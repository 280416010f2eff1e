# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Published SHA-256 checksums, in the three formats that upstreams use, parsed and written.

- A single checksum next to the file (`kubelet.sha256`, Kubernetes).
- A list of `SUM  NAME` lines (`SHA256SUMS`, etcd; also what `sha256sum` prints).
- GitHub's release document: JSON with `assets[].name` and `assets[].digest` (flannel and cri-dockerd publish no file).
"""

from __future__ import annotations

import hashlib
import json
import re
import typing as t

_LINE = re.compile(r"^([0-9a-fA-F]{64})(?:\s+\*?(\S.*))?$")
_BLOCK = 1 << 20


def of_stream(stream: t.BinaryIO) -> str:
    """The SHA-256 of the rest of a stream."""
    digest = hashlib.sha256()
    for block in iter(lambda: stream.read(_BLOCK), b""):
        digest.update(block)
    return digest.hexdigest()


def of_file(path: str) -> str:
    """The SHA-256 of a file; an empty string if it does not exist."""
    try:
        with open(path, "rb") as stream:
            return of_stream(stream)
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _of_release(text: str, name: str) -> str:
    try:
        assets = json.loads(text).get("assets") or []
    except (ValueError, AttributeError):
        return ""
    digests = [str(asset.get("digest") or "") for asset in assets if asset.get("name") == name]
    return next((digest[len("sha256:") :] for digest in digests if digest.startswith("sha256:")), "")


def find(text: str, name: str) -> str:
    """The checksum of the file `name` in a published document; an empty string if it has none."""
    if text.lstrip().startswith("{"):
        return _of_release(text, name)
    for line in text.splitlines():
        found = _LINE.match(line.strip())
        if found and (found.group(2) is None or found.group(2).rsplit("/", 1)[-1] == name):
            return found.group(1).lower()
    return ""


def _add_to_release(text: str, name: str, checksum: str) -> str:
    document = json.loads(text) if text.strip() else {}
    others = [asset for asset in document.get("assets", []) if asset.get("name") != name]
    assets = [*others, {"name": name, "digest": f"sha256:{checksum}"}]
    document["assets"] = sorted(assets, key=lambda asset: asset["name"])
    return json.dumps(document, indent=2) + "\n"


def _add_to_list(text: str, name: str, checksum: str) -> str:
    matches = (_LINE.match(line.strip()) for line in text.splitlines())
    sums = {found.group(2): found.group(1) for found in matches if found and found.group(2)}
    sums[name] = checksum
    return "".join(f"{value}  {key}\n" for key, value in sorted(sums.items()))


def add(text: str, path: str, name: str, checksum: str) -> str:
    """The document to publish at `path`: its current content plus the checksum of the file `name`."""
    if path.endswith(".sha256"):
        return checksum
    if path.startswith("api.github.com/"):
        return _add_to_release(text, name, checksum)
    return _add_to_list(text, name, checksum)
