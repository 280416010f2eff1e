# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Programs that the tests use on the lab's hosts: each is built once from its Go module, which is verified."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil

from lab.base import LabError, cache, lock, run, step


@dataclasses.dataclass(frozen=True)
class Program:
    """A program, and what to build from its module."""

    name: str
    module: str
    version: str
    module_sum: str  # what go.sum says of it: of all that is in it
    version_variable: str  # the Go variable that holds the version, without the module
    package: str = "."
    checks: str = ""  # a directory of the module that goes with the program, as cfg/


CRICTL = Program(
    "crictl",
    "sigs.k8s.io/cri-tools",
    "1.37.0",
    "h1:BmTImEoTX3KPXCLwmIU9mfCC8umUqF4R8WibY9eVU9Y=",
    package="./cmd/crictl",
    version_variable="pkg/version.Version",
)


def ensure(program: Program) -> pathlib.Path:
    """The directory with the program and its files; builds them if they are missing or have changed."""
    directory = cache(program.name, program.version)
    with lock():
        if not _intact(directory):
            with step(f"{program.name} {program.version}: building"):
                build(program, directory)
    return directory


def sums(directory: pathlib.Path) -> str:
    """The output of sha256sum for the directory's files."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(directory)}\n" for path in paths
    )


def _intact(directory: pathlib.Path) -> bool:
    noted = directory / "SHA256SUMS"
    return noted.is_file() and noted.read_text(encoding="utf-8") == sums(directory)


def build(program: Program, directory: pathlib.Path) -> None:
    """Build it atomically."""
    go = shutil.which("go") or "/usr/local/go/bin/go"
    temporary = directory.with_name(f".{program.version}")
    for leftover in (temporary, directory):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary.mkdir()
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}
    module = f"{program.module}@v{program.version}"
    downloaded = json.loads(run(go, "mod", "download", "-json", module, cwd=temporary, env=environment))
    if downloaded["Sum"] != program.module_sum:
        raise LabError(
            f"{module} has the sum {downloaded['Sum']}, not {program.module_sum}: it is not what was published."
        )
    flags = f"-s -w -X {program.module}/{program.version_variable}={program.version}"
    # In Go's cache, which is read-only, with its own go.sum: `go install` would query all existing versions.
    command = (go, "build", "-trimpath", f"-ldflags={flags}", "-o", str(temporary / program.name), program.package)
    run(*command, cwd=downloaded["Dir"], env=environment)
    if program.checks:
        (temporary / "cfg").mkdir()
        for path in pathlib.Path(downloaded["Dir"], program.checks).iterdir():
            (temporary / "cfg" / path.name).write_bytes(path.read_bytes())
    (temporary / "SHA256SUMS").write_text(sums(temporary), encoding="utf-8")
    temporary.rename(directory)
