# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Runs kubectl, for what it does beyond single requests - server-side diff and apply, deletion, rollouts, drain - and parses its output."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.health._probe import Answer
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command, _places
from ansible_collections.plainkube.cluster.plugins.module_utils.kube._api import ApiError

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

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


def run(module: AnsibleModule, *arguments: str, **options: t.Any) -> Answer:
    """Run kubectl with the module's kubeconfig. Returns its output, or its error output. options: for run_command."""
    kubeconfig = module.params["kubeconfig"]
    path = module.get_bin_path("kubectl", opt_dirs=[_places.BINARIES])
    if path is None:
        raise _missing("kubectl is not installed on this host; role artifacts installs it on control planes")
    if not os.path.exists(kubeconfig):
        raise _missing(f"kubeconfig {kubeconfig} does not exist on this host; role control_plane writes it")
    command = [path, f"--kubeconfig={kubeconfig}", "--request-timeout=20s", *arguments]
    code, out, err = _command.run(module, command, **options)
    # `kubectl diff` exits with 1 if it printed differences.
    good = code == 0 or (code == 1 and arguments[0] == "diff" and out)
    return Answer(200, out) if good else Answer(status(err), err)


def _missing(reason: str) -> ApiError:
    return ApiError(reason, Answer(0, reason))


def refused(module: AnsibleModule, verb: str, answer: Answer) -> ApiError:
    kubeconfig = module.params["kubeconfig"]
    return ApiError(f"kubectl could not {verb} with kubeconfig {kubeconfig}: {reason(answer.text)}", answer)


# The output


def clean_diff(text: str) -> str:
    """kubectl's diff without its temporary directories and times, so that it is reproducible."""
    return _HEADER.sub(r"\1 \2", _COMMAND.sub("", text))


def differing(text: str) -> list[str]:
    """The objects in kubectl's diff, as VERSION.KIND.NAMESPACE.NAME."""
    return sorted({name for marker, name in _HEADER.findall(text) if marker == "+++"})


def missing_namespace(complaint: str) -> str:
    """The missing namespace, without which kubectl cannot compare objects in it; empty for other errors."""
    missing = re.search(r'namespaces "([^"]+)" not found', complaint)
    return missing.group(1) if missing else ""


def status(complaint: str) -> int:
    """The HTTP status that corresponds to kubectl's error: 0 if no API server responds, 503 if a retry may succeed, else 400."""
    if any(sign in complaint for sign in _SILENCE):
        return 0
    return 503 if any(sign in complaint for sign in _EARLY) else 400


def reason(complaint: str) -> str:
    """The last line of kubectl's error, without its prefix."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    text = lines[-1] if lines else "no output"
    return re.sub(r"^(?:[Ee]rror(?: from server(?: \(\w+\))?)?|Unable to connect to the server): ", "", text)
