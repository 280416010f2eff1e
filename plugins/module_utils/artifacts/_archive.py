# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Reproducible archives, whose bytes depend only on their content: tar, tar.gz, and images in the format of `docker save`."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import typing as t


class Entry(t.NamedTuple):
    """A file in an archive, or a directory if `content` is None."""

    name: str
    content: bytes | None
    mode: int = 0o755


def tar(entries: t.Sequence[Entry]) -> bytes:
    """A tar archive without times, owners, or other traces of the machine that built it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.mode = entry.mode
            info.type = tarfile.DIRTYPE if entry.content is None else tarfile.REGTYPE
            info.size = len(entry.content or b"")
            archive.addfile(info, io.BytesIO(entry.content or b""))
    return buffer.getvalue()


def tar_gz(entries: t.Sequence[Entry]) -> bytes:
    """The same, compressed."""
    return gzip.compress(tar(entries), compresslevel=6, mtime=0)


def _json(value: t.Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def image_config(layer: bytes, architecture: str, created: str, config: dict[str, t.Any]) -> dict[str, t.Any]:
    """The configuration of an image with one layer; its digest identifies the image."""
    return {
        "architecture": architecture,
        "config": config,
        "created": created,
        "history": [{"created": created, "created_by": "plainkube.cluster build"}],
        "os": "linux",
        "rootfs": {"diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"], "type": "layers"},
    }


def image(name: str, entries: t.Sequence[Entry], architecture: str, created: str, config: dict[str, t.Any]) -> bytes:
    """An image archive for `docker load` and `ctr images import`; `config` has the image's Entrypoint, Cmd, User."""
    layer = tar(entries)
    document = _json(image_config(layer, architecture, created, config))
    document_name = f"{hashlib.sha256(document).hexdigest()}.json"
    layer_name = f"{hashlib.sha256(layer).hexdigest()}.tar"
    manifest = _json([{"Config": document_name, "Layers": [layer_name], "RepoTags": [name]}])
    return tar(
        [
            Entry("manifest.json", manifest, 0o644),
            Entry(document_name, document, 0o644),
            Entry(layer_name, layer, 0o644),
        ]
    )
