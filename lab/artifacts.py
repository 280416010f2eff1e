# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Where the lab's hosts get binaries and images: from upstream if it is available, else from a locally built mirror."""

from __future__ import annotations

import json
import os
import pathlib
import platform
import re
import tarfile
import typing as t
import urllib.error
import urllib.request

from lab import machine, mirror
from lab.base import CHECKOUT, LabError, cache, playbook, say
from plugins.module_utils.artifacts import _sums
from plugins.module_utils.host import _host

# One URL on each server from which the roles download.
UPSTREAM = ("https://dl.k8s.io/release/stable.txt", "https://registry.k8s.io/v2/", "https://github.com/etcd-io/etcd")


def built() -> bool:
    """Whether the lab's hosts install from the mirror. They do unless `ensure` has found the upstream downloads."""
    path = cache("artifacts-source")
    return not path.exists() or path.read_text(encoding="utf-8") == "mirror"


def ensure(more: t.Mapping[str, str] | None = None) -> None:
    """Decide, and build missing artifacts on the mirror, with these versions set. Once built, a mirror stays in use, because it has its own checksums."""
    path = cache("artifacts-source")
    if not path.exists() or not built():
        unreachable = unanswered(UPSTREAM)
        if not unreachable and not os.environ.get("PLAINKUBE_LAB_BUILD"):
            path.write_text("upstream", encoding="utf-8")
            say("the upstream downloads are available: hosts will install from there")
            return
        say(f"building the binaries here{': no response from ' + ', '.join(unreachable) if unreachable else ''}")
    machine.install("gcc", "libc6-dev")
    playbook("build.yml", "-e", json.dumps({"build_directory": str(mirror.directory()), **(more or {})}))
    path.write_text("mirror", encoding="utf-8")


# Unit tests run a real etcd, regardless of where hosts install from.

ETCD_PROGRAMS = ("etcd", "etcdctl")


def ensure_etcd() -> None:
    """Ensure that the mirror has etcd in the cluster's version; build it if it is missing or its checksum does not match."""
    archive = etcd_archive()
    if not _intact(archive):
        variables = {
            "build_directory": str(mirror.directory()),
            "build_architectures": [_host.ARCHITECTURES[platform.machine()]],
            # Selects it from everything that would be built.
            "__build_artifacts": "{{ __build_every | selectattr('component', 'eq', 'etcd') }}",
        }
        playbook("build.yml", "-e", json.dumps(variables))
    if not _intact(archive):
        raise LabError(
            f"{archive} was built and does not match SHA256SUMS in its directory: remove both, and build again."
        )


def default(variable: str) -> str:
    """A default version of role cluster."""
    settings = (CHECKOUT / "roles" / "cluster" / "defaults" / "main.yml").read_text(encoding="utf-8")
    (version,) = re.findall(rf"^{variable}: \"?([\d.]+)\"?$", settings, re.MULTILINE)
    return version


def etcd_archive() -> pathlib.Path:
    """Its path on the mirror."""
    version = default("cluster_etcd_version")
    downloads = mirror.directory() / "github.com/etcd-io/etcd/releases/download"
    return downloads / f"v{version}" / f"etcd-v{version}-linux-{_host.ARCHITECTURES[platform.machine()]}.tar.gz"


def extract_etcd(target: pathlib.Path) -> None:
    """etcd and etcdctl in a directory, if their checksum matches."""
    archive = etcd_archive()
    if not _intact(archive):
        raise LabError(f"{archive} is missing, or does not match SHA256SUMS in its directory: run `make etcd`.")
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if pathlib.PurePath(member.name).name in ETCD_PROGRAMS:
                member.name = pathlib.PurePath(member.name).name
                tar.extract(member, target, filter="data")


def _intact(archive: pathlib.Path) -> bool:
    checksum, sums = _sums.of_file(str(archive)), archive.with_name("SHA256SUMS")
    return bool(checksum) and sums.exists() and checksum == _sums.find(sums.read_text(encoding="utf-8"), archive.name)


def unanswered(urls: tuple[str, ...], seconds: float = 5) -> list[str]:
    """The URLs that do not respond."""
    return [url for url in urls if not _answers(url, seconds)]


def _answers(url: str, seconds: float) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds):
            return True
    except (urllib.error.URLError, OSError):
        return False
