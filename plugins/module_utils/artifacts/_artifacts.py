# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Artifacts: their sources, the files that a host needs, and their descriptions."""

from __future__ import annotations

import json
import os
import re
import typing as t

MANIFEST = ".plainkube.json"
# Verified files are staged here until they are installed; downloads in progress are in the other directory.
STAGING, INCOMING = ".staged", ".incoming"


def mirror_path(url: str) -> str:
    """The path on a mirror of an upstream URL: https://HOST/PATH is at HOST/PATH. A relative path is unchanged."""
    return url.partition("://")[2] or url


def locate(mirror: str, url: str) -> str:
    """The source for url: a URL, or an absolute path; empty if there is none."""
    if not mirror:
        return url if "://" in url else ""
    if mirror.startswith(("http://", "https://")):
        return f"{mirror.rstrip('/')}/{mirror_path(url)}"
    return os.path.join(mirror[len("file://") :] if mirror.startswith("file://") else mirror, mirror_path(url))


_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def wrong_pins(checksums: dict[str, str]) -> list[str]:
    """The names whose value is not a SHA-256."""
    return [name for name, checksum in checksums.items() if not _SHA256.fullmatch(str(checksum))]


def pin(checksums: dict[str, str], url: str) -> str:
    """The user's SHA-256 for a URL, by its file name or a longer URL suffix; empty if there is none."""
    path = mirror_path(url)
    found = [name for name in checksums if path == name or path.endswith(f"/{name}")]
    return checksums[max(found, key=len)].lower() if found else ""


class Piece(t.NamedTuple):
    """One file to install on a host: a binary, or a file that is kept as downloaded."""

    name: str
    version: str
    url: str
    sums_url: str
    member: str  # path in the downloaded archive; empty: the download is the file
    directory: str
    mode: int
    link: str  # the symlink that selects it; empty: none
    setting: str = ""  # the variable that sets the version, for errors

    @property
    def path(self) -> str:
        return os.path.join(self.directory, self.name)

    @property
    def used_path(self) -> str:
        """The path under which it is used."""
        return self.link or self.path

    def waiting(self, root: str) -> Piece:
        """The same piece at its staging path, where it is verified and waits to be installed."""
        place = os.path.join(root, STAGING, os.path.relpath(self.directory, root))
        return self._replace(directory=place, link="")


def select(artifacts: t.Sequence[dict[str, t.Any]], kinds: t.Sequence[str]) -> list[dict[str, t.Any]]:
    """The artifacts for a host of these kinds; all artifacts if there are no kinds."""
    return [artifact for artifact in artifacts if not kinds or set(kinds) & set(artifact.get("kinds") or kinds)]


def pieces(artifacts: t.Sequence[dict[str, t.Any]], root: str, bin_directory: str) -> list[Piece]:
    """All files that a list of artifacts installs on a host."""
    found = []
    for artifact in artifacts:
        version = artifact.get("version") or ""
        directory = os.path.join(root, artifact["component"], version).rstrip("/")
        source = (version, artifact["url"], artifact["sums_url"])
        setting, links = artifact.get("setting") or "", artifact.get("bin_directory") or bin_directory
        for name, member in (artifact.get("binaries") or {}).items():
            link = os.path.join(links, name)
            found.append(Piece(name, *source, member or "", directory, 0o755, link, setting))
        if not artifact.get("binaries"):
            found.append(Piece(os.path.basename(artifact["url"]), *source, "", directory, 0o644, "", setting))
    return found


def mirror_files(artifacts: t.Sequence[dict[str, t.Any]], kinds: t.Sequence[str]) -> list[str]:
    """The paths on a mirror of everything that a host of these kinds may need: downloads, and their published checksums."""
    urls = [artifact[key] for artifact in select(artifacts, kinds) for key in ("url", "sums_url")]
    return sorted({mirror_path(url) for url in urls})


def is_inside(path: str) -> bool:
    """Whether a path, as text, stays inside a mirror."""
    return bool(path) and not path.startswith("/") and ".." not in path.split("/")


def parse_manifest(text: str) -> dict[str, dict[str, t.Any]]:
    """Name -> what was installed. An unreadable manifest counts as missing, so its files are installed again."""
    try:
        files = json.loads(text)["files"]
        return {name: entry for name, entry in files.items() if isinstance(entry, dict)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def render_manifest(files: dict[str, dict[str, t.Any]]) -> str:
    """The manifest of a directory."""
    note = "Written by plainkube.cluster: the files that it installed here, so that the next run need not download or hash them."
    return json.dumps({"note": note, "files": files}, indent=2, sort_keys=True) + "\n"


def provenance(path: str, text: str) -> list[dict[str, t.Any]]:
    """The origin of the files in a manifest at ROOT/COMPONENT/VERSION, or at ROOT/COMPONENT without a version."""
    directory = os.path.dirname(path)
    above, last = os.path.split(directory)
    versioned = os.path.basename(above) if re.match(r"\d", last) else ""
    component, version = (versioned, last) if versioned else (last, "")
    known = ("sha256", "source", "source_sha256", "verified_by")
    return [
        {"component": component, "version": version, "name": name, **{key: str(entry.get(key) or "") for key in known}}
        for name, entry in sorted(parse_manifest(text).items())
    ]


def same_file(entry: dict[str, t.Any], status: os.stat_result) -> bool:
    """Whether a file's metadata is unchanged since it was installed; then its content is not read."""
    return (entry.get("size"), entry.get("mtime_ns")) == (status.st_size, status.st_mtime_ns)


def current_version(target: str, root: str) -> str | None:
    """The version of a symlink's target; None if that is not ROOT/COMPONENT/VERSION/BINARY, so not ours."""
    parts = os.path.normpath(target)[len(root) :].split(os.sep) if target.startswith(f"{root}{os.sep}") else []
    return parts[2] if len(parts) == 4 else None


class State(t.NamedTuple):
    """The state of a piece on a host."""

    file: str  # intact, absent, damaged (changed since it was installed) or unpinned (not the pinned checksum)
    current: str = "absent"  # the version that the symlink selects, if there should be a symlink
    linked: bool = False  # whether the symlink points to this piece

    def ok(self, piece: Piece) -> bool:
        """Whether there is nothing to do."""
        return self.file == "intact" and (self.linked or not piece.link)


_REMARKS = {"absent": "file is missing", "damaged": "damaged", "unpinned": "differs from the pinned SHA-256"}


def describe(piece: Piece, state: State) -> str:
    """The installed state of a piece as a short text: `1.36.3`, `absent`, `1.37.2 (damaged)`."""
    if not piece.link:
        return {"intact": "present", "absent": "absent"}.get(state.file, f"present ({_REMARKS.get(state.file)})")
    if state.file == "intact" or not state.linked:
        return state.current
    return f"{state.current} ({_REMARKS[state.file]})"


def change(piece: Piece, state: State) -> str:
    """The change, on one line: `kubelet 1.36.3 → 1.37.2`."""
    return f"{piece.name} {describe(piece, state)} → {piece.version if piece.link else 'present'}"


def does_not_exist(piece: Piece, source: str, mirror: str) -> str:
    """What to do if neither upstream nor the mirror has a version."""
    otherwise = f"add it to artifacts_mirror ({mirror}; plainkube.cluster.build builds a mirror)"
    advice = f"correct {piece.setting or 'the version'}" + (
        f", or {otherwise}" if mirror else " to one that was released"
    )
    return f"{source} does not exist: {advice}."
