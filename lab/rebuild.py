# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Builds artifacts twice, in separate directories with separate Go caches, and compares them byte by byte."""

from __future__ import annotations

import json
import pathlib
import subprocess
import tempfile
import typing as t

from lab import machine
from lab.base import LabError, playbook, say
from plugins.module_utils.artifacts import _sums

# Artifacts that take less than a minute, by file name: an archive and an image.
SMALL = ("pause", "cni-plugins")
# Of different length and depth, to detect a path in an artifact.
PLACES = ("a", "another/and/deeper")


def selection(kinds: t.Sequence[str]) -> str:
    """A regular expression for the artifacts of role build whose URL has one of these names."""
    return f"{{{{ __build_every | selectattr('url', 'search', '/({'|'.join(kinds)})[^/]*$') | list }}}}"


def digests(directory: pathlib.Path) -> dict[str, str]:
    """Path -> SHA-256 of each file in a mirror."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): _sums.of_file(str(path)) for path in files}


def differences(first: t.Mapping[str, str], second: t.Mapping[str, str]) -> list[str]:
    """The files that differ between the mirrors, or exist in only one."""
    return sorted(path for path in {*first, *second} if first.get(path) != second.get(path))


def _go(name: str) -> str:
    return subprocess.run(["go", "env", name], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def build(place: pathlib.Path, kinds: t.Sequence[str]) -> dict[str, str]:
    """Build into an empty directory, with caches in it. Returns the digests of what was built."""
    variables: dict[str, t.Any] = {
        "build_directory": str(place / "mirror"),
        "build_work_directory": str(place / "work"),
    }
    if kinds:
        variables["__build_artifacts"] = selection(kinds)
    (place / "temporary").mkdir(parents=True)
    environment = {
        "GOCACHE": str(place / "cache"),
        "GOMODCACHE": str(place / "modules"),
        "GOTMPDIR": str(place / "temporary"),
        # Modules that were downloaded before come from the machine's own cache; go.sum verifies them in both cases. GOFLAGS, which would make the
        # new cache writable, is set by the module.
        "GOPROXY": f"file://{_go('GOMODCACHE')}/cache/download,{_go('GOPROXY')}",
    }
    playbook("build.yml", "-e", json.dumps(variables), environment=environment)
    return digests(place / "mirror")


def main(every: bool) -> None:
    """Build all artifacts twice, or the small ones, and end with an error if any differs."""
    kinds = () if every else SMALL
    machine.install("gcc", "libc6-dev")
    with tempfile.TemporaryDirectory(prefix="plainkube-rebuild-") as top:
        try:
            first, second = (build(pathlib.Path(top) / place, kinds) for place in PLACES)
        finally:
            # Go's module cache is read-only.
            subprocess.run(["chmod", "--recursive", "u+w", top], check=True)
    if not first:
        raise LabError("nothing was built.")
    differing = differences(first, second)
    if differing:
        raise LabError(f"the two builds differ: {', '.join(differing)}.")
    say(f"{len(first)} files are the same in both builds")
