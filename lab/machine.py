# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The machine that runs the lab: capabilities, cgroups, and package sources."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess

from lab.base import LabError, run, step
from plugins.module_utils.host import _host

# Settings of the machine's apt without which downloads may fail; the hosts get them as well.
APT_SETTING = re.compile(r'^Acquire::(?:https?::Proxy(?:::\S+)?|Check-Valid-Until|Check-Date) ".+";$', re.MULTILINE)


def lacks_sys_resource() -> bool:
    """Whether containers on this machine cannot have CAP_SYS_RESOURCE and negative OOM scores."""
    return not _host.has_capability(
        pathlib.Path("/proc/self/status").read_text(encoding="utf-8"), _host.CAP_SYS_RESOURCE
    )


def cgroup_version() -> int:
    """2 if the unified hierarchy is in use."""
    return 2 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 1


# Each host's systemd, journal, kubelet and Docker Engine use some, and all count for this machine's root. The kernel's default of 128 is too low for
# the kubelets of a dozen hosts ("inotify_init: too many open files").
INOTIFY_INSTANCES = 2048


def raise_inotify(path: pathlib.Path = pathlib.Path("/proc/sys/fs/inotify/max_user_instances")) -> None:
    """Raise the limit of inotify instances for the hosts. Never lowers it; does nothing without permission."""
    if int(path.read_text(encoding="ascii")) < INOTIFY_INSTANCES and os.access(path, os.W_OK):
        path.write_text(f"{INOTIFY_INSTANCES}\n", encoding="ascii")


def runs_systemd() -> bool:
    """Whether systemd is PID 1 (sd_booted's own test)."""
    return os.path.isdir("/run/systemd/system")


def _sources(text: str) -> list[tuple[str, list[str], list[str]]]:
    """(URI, suites, components) of an apt source file, of either format."""
    found = []
    for line in re.findall(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.+)$", text, re.MULTILINE):
        found.append((line[0], [line[1]], line[2].split()))
    for stanza in re.split(r"\n\s*\n", text):
        fields = {name.lower(): value.split() for name, value in re.findall(r"^([\w-]+):[ \t]*(.*)$", stanza, re.M)}
        if "deb" in fields.get("types", []) and fields.get("enabled") != ["no"]:
            found += [(uri, fields.get("suites", []), fields.get("components", [])) for uri in fields.get("uris", [])]
    return found


def debian_mirror(texts: list[str]) -> str:
    """The Debian archive in these apt source files; empty if there is none, as on Ubuntu."""
    for uri, suites, components in (source for text in texts for source in _sources(text)):
        path = uri.rstrip("/")
        if path.startswith("http") and path.endswith("/debian") and "main" in components and suites:
            return path
    return ""


def apt_sources() -> list[str]:
    """The texts of the machine's apt source files."""
    root = pathlib.Path("/etc/apt")
    paths = [root / "sources.list", *sorted(root.glob("sources.list.d/*.sources"))]
    paths += sorted(root.glob("sources.list.d/*.list"))
    return [path.read_text(encoding="utf-8") for path in paths if path.is_file()]


def apt_settings() -> list[str]:
    """The machine's apt settings that the hosts need too: proxies and date checks."""
    return APT_SETTING.findall(run("apt-config", "dump")) if shutil.which("apt-config") else []


def install(*packages: str) -> None:
    """Install these Debian packages on the machine if they are missing."""
    missing = [name for name in packages if not _installed(name)]
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise LabError(f"the lab needs the packages {names}; install them, or run this as root on Debian or Ubuntu.")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300")
    with step(f"packages for this machine: {names}"):
        run(*apt, "update", env=environment)
        run(*apt, "install", "--yes", "--no-install-recommends", *missing, env=environment)


def _installed(package: str) -> bool:
    query = ("dpkg-query", "--show", "--showformat=${db:Status-Status}", package)
    if not shutil.which(query[0]):
        return False
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout == "installed"
