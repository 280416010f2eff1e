# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Unit files and drop-ins of a service, in the directories that systemd reads (systemd.unit(5)), and those that another owner wrote.

Without the directories of `systemctl set-property`, which only sets limits and takes effect at once.
"""

from __future__ import annotations

import glob
import os
import re
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files, _places
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _stamp

# In the order of their precedence. The first is the administrator's, and ours.
DIRECTORIES = (_places.UNITS, "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")
# A package brings this one as well, and ours takes precedence.
_PACKAGED = "containerd"
_COMMAND = re.compile(r"^\s*ExecStart\s*=", re.MULTILINE)


def _drop_in_directories(service: str) -> list[str]:
    """For kube-apiserver: kube-apiserver.service.d, kube-.service.d, and service.d, which is for all services."""
    parts = service.split("-")
    prefixes = ["-".join(parts[:end]) + "-" for end in range(len(parts) - 1, 0, -1)]
    return [*(f"{name}.service.d" for name in (service, *prefixes)), "service.d"]


def units(service: str) -> list[str]:
    """The unit files of a service; systemd reads the first."""
    return [path for path in (f"{directory}/{service}.service" for directory in DIRECTORIES) if os.path.lexists(path)]


def drop_ins(service: str) -> list[str]:
    """The drop-ins of a service, in the order in which systemd reads them. A file hides those of the same name in later directories."""
    found: dict[str, str] = {}
    for name in _drop_in_directories(service):
        for directory in DIRECTORIES:
            for path in glob.glob(f"{directory}/{name}/*.conf"):
                found.setdefault(os.path.basename(path), path)
    return [found[name] for name in sorted(found)]


def replaced_commands(services: t.Iterable[str]) -> dict[str, list[str]]:
    """Path -> services, for drop-ins that replace the command of a service of ours: it would run another program, or with other flags than ours."""
    found: dict[str, list[str]] = {}
    for service in services:
        for path in drop_ins(service):
            if _COMMAND.search(_files.readable(path)):
                found.setdefault(path, []).append(service)
    return found


def _is_ours(service: str) -> bool:
    """Whether a service is ours: its unit has our stamp, or our program is installed, so that a unit without a stamp has only lost it."""
    binary = os.path.realpath(os.path.join(_places.BINARIES, service))
    installed = binary.startswith(f"{os.path.realpath(_places.RELEASES)}/") or service.startswith("plainkube-")
    return installed or _stamp.split(_files.readable(f"{_places.UNITS}/{service}.service"))[2] is not None


def foreign(service: str) -> str:
    """The unit file of another service with the name of one of ours; empty if there is none."""
    found = [] if _is_ours(service) else units(service)
    if service == _PACKAGED:
        found = [path for path in found if path.startswith(f"{DIRECTORIES[0]}/")]
    return next(iter(found), "")


def has_unit(service: str) -> bool:
    """Whether a service of ours has its unit."""
    return os.path.exists(f"{_places.UNITS}/{service}.service") and not foreign(service)
