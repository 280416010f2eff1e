# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""Parsers for kubectl's output about objects."""

from __future__ import annotations

import re
import typing as t

# `--- /tmp/LIVE-1234/apps.v1.Deployment.kube-system.coredns<tab>2026-…`
_HEADER = re.compile(r"^(---|\+\+\+) \S*/(?:LIVE|MERGED)-\d+/(\S+)\t.*$", re.MULTILINE)
_COMMAND = re.compile(r"^diff .*\n", re.MULTILINE)
# No response at all.
_SILENCE = (
    "connection refused",
    "was refused",
    "connection reset",
    "Unable to connect to the server",
    "i/o timeout",
    "no route to host",
    "network is unreachable",
    "TLS handshake timeout",
    ": EOF",
)
# Errors of an API server that is still starting.
_EARLY = (
    "currently unable to handle the request",
    "apiserver not ready",
    "the server is shutting down",
    'namespaces "kube-system" not found',
    "Too many requests",
    "etcdserver: request timed out",
    "etcdserver: leader changed",
    # Concurrent writes to the same objects.
    "the object has been modified",
    "provided IP is already allocated",
)


class Rollout(t.NamedTuple):
    """A workload whose pods must be available."""

    namespace: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name} in namespace {self.namespace}"


def clean_diff(text: str) -> str:
    """kubectl's diff without the names of its temporary directories and without times, so that it is reproducible."""
    return _HEADER.sub(r"\1 \2", _COMMAND.sub("", text))


def differing(text: str) -> list[str]:
    """The objects in kubectl's diff, as VERSION.KIND.NAMESPACE.NAME."""
    return sorted({name for marker, name in _HEADER.findall(text) if marker == "+++"})


def in_new_namespace(complaint: str, manifest: str) -> bool:
    """Whether kubectl cannot compare the objects because the manifest itself creates their namespace."""
    missing = re.search(r'namespaces "([^"]+)" not found', complaint)
    if not missing:
        return False
    name = re.compile(rf"\bname: *[\"']?{re.escape(missing.group(1))}\b")
    documents = re.split(r"^---", manifest, flags=re.MULTILINE)
    return any(
        re.search(r"^kind: *Namespace\b", document, re.MULTILINE) and name.search(document) for document in documents
    )


def applied(text: str) -> list[str]:
    """The objects that `kubectl apply` names, as KIND/NAME."""
    return sorted(line.split()[0] for line in text.splitlines() if line.endswith(" serverside-applied"))


def silent(complaint: str) -> bool:
    """Whether kubectl reports that no API server responds."""
    return any(sign in complaint for sign in _SILENCE)


def early(complaint: str) -> bool:
    """Whether a retry may succeed."""
    return silent(complaint) or any(sign in complaint for sign in _EARLY)


def reason(complaint: str) -> str:
    """The last line of kubectl's error output, which is the most specific, without its prefix."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    text = lines[-1] if lines else "no output"
    return re.sub(r"^(?:[Ee]rror(?: from server(?: \(\w+\))?)?|Unable to connect to the server): ", "", text)
