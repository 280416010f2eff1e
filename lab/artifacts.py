# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Where the lab's hosts get binaries and images: from upstream if it answers, else from a mirror that is built here."""

from __future__ import annotations

import json
import os
import typing as t
import urllib.error
import urllib.request

from lab import machine, mirror
from lab.base import cache, playbook, say

# One address of each place that the roles download from.
UPSTREAM = ("https://dl.k8s.io/release/stable.txt", "https://registry.k8s.io/v2/", "https://github.com/etcd-io/etcd")


# Beside what the roles install by default: for nodes of scenario runtimes.
UPSTREAM_CONTAINERD = {"cluster_containerd_version": "2.2.9", "cluster_cni_plugins_version": "1.9.1"}


def built() -> bool:
    """Whether the lab's hosts install from the mirror. They do unless `ensure` has found the upstream downloads."""
    path = cache("artifacts-source")
    return not path.exists() or path.read_text(encoding="utf-8") == "mirror"


def ensure(more: t.Mapping[str, str] | None = None) -> None:
    """Decide, and build what is missing on the mirror, with these versions set. A mirror that was built once stays in use: its sums are its own."""
    path = cache("artifacts-source")
    if not path.exists() or not built():
        unreachable = unanswered(UPSTREAM)
        if not unreachable and not os.environ.get("PLAINKUBE_LAB_BUILD"):
            path.write_text("upstream", encoding="utf-8")
            say("the upstream downloads answer: hosts will install from there")
            return
        say(f"building the binaries here{': no answer from ' + ', '.join(unreachable) if unreachable else ''}")
    machine.install("gcc", "libc6-dev")
    playbook("build.yml", "-e", json.dumps({"build_directory": str(mirror.directory()), **(more or {})}))
    path.write_text("mirror", encoding="utf-8")


def unanswered(urls: tuple[str, ...], seconds: float = 5) -> list[str]:
    """The URLs that do not answer."""
    return [url for url in urls if not _answers(url, seconds)]


def _answers(url: str, seconds: float) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds):
            return True
    except (urllib.error.URLError, OSError):
        return False
