# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The image of a stand-in host: Debian's own packages, the same as in a bare cloud image."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import subprocess
import time

import docker
from docker.errors import ImageNotFound

from lab import machine
from lab.base import FILES, LabError, cache, lock, say, step

REPOSITORY = "plainkube-lab"
SUITE = os.environ.get("PLAINKUBE_LAB_SUITE", "trixie")

# The packages of a cloud image, without any that the roles install.
BARE = [
    *("systemd", "systemd-sysv", "dbus", "python3", "python3-apt", "openssh-server", "sudo", "iproute2", "procps"),
    *("ca-certificates", "curl", "kmod", "iputils-ping", "diffutils"),
]
# Files that customize puts into the image, and customize itself.
CUSTOMIZATION = ("customize", "kubelet-lab.conf", "lab-init", "runc-bounded")
# What the roles install. In the prepared image, for benchmarks and for tests that do not concern packages.
ROLES = [
    "docker.io",
    "containerd",
    "containernetworking-plugins",
    "runc",
    "iptables",
    "nftables",
    "conntrack",
    "ethtool",
    "socat",
    "python3-cryptography",
    "haproxy",
    "keepalived",
]
ROLES_OF_SUITE = {"trixie": ["docker-cli"]}


@dataclasses.dataclass(frozen=True)
class Definition:
    """Everything that determines an image."""

    suite: str
    prepared: bool
    mirror: str
    settings: tuple[str, ...]
    bounded: bool
    cgroup_v1: bool

    @property
    def packages(self) -> list[str]:
        """The packages, without their dependencies."""
        return BARE + (ROLES + ROLES_OF_SUITE.get(self.suite, []) if self.prepared else [])

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of files/customize."""
        flags = {"LAB_BOUNDED": self.bounded, "LAB_CGROUP_V1": self.cgroup_v1, "LAB_PREPARED": self.prepared}
        return {name: "1" if flag else "" for name, flag in flags.items()}

    def command(self, output: str) -> list[str]:
        """The mmdebstrap call."""
        return [
            "mmdebstrap",
            "--variant=minbase",
            f"--include={','.join(self.packages)}",
            # Hosts need not survive a power failure, and need no manuals.
            "--dpkgopt=force-unsafe-io",
            *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale", "info")),
            '--aptopt=Acquire::Languages "none"',
            *(f"--aptopt={setting.rstrip(';')}" for setting in self.settings),
            f'--customize-hook="{FILES}/customize" "$1"',
            "--skip=output/dev",
            self.suite,
            output,
            # Without a mirror, mmdebstrap uses Debian's own archive.
            *([f"deb {self.mirror} {self.suite} main"] if self.mirror else []),
        ]

    @property
    def digest(self) -> str:
        """Changes if, and only if, the image changes."""
        inputs = [repr(dataclasses.astuple(self)), *self.command("")]
        text = "\0".join(inputs).replace(str(FILES), "")
        files = b"\0".join(name.encode() + (FILES / name).read_bytes() for name in CUSTOMIZATION)
        return hashlib.sha256(text.encode() + files).hexdigest()[:12]

    @property
    def name(self) -> str:
        """The image's tag and the cached archive's name."""
        return f"{self.suite}-{'prepared' if self.prepared else 'bare'}-{self.digest}"


def definition(prepared: bool = False, suite: str = SUITE) -> Definition:
    """The image for this machine."""
    mirror = machine.debian_mirror(machine.apt_sources())
    settings = tuple(machine.apt_settings())
    return Definition(suite, prepared, mirror, settings, machine.lacks_sys_resource(), machine.cgroup_version() == 1)


def ensure(client: docker.DockerClient, prepared: bool = False, suite: str = SUITE) -> str:
    """The image's reference; builds the image if it is missing."""
    wanted = definition(prepared, suite)
    reference = f"{REPOSITORY}:{wanted.name}"
    with lock():
        try:
            client.images.get(reference)
        except ImageNotFound:
            archive = _archive(wanted)
            with step(f"image {reference}: loading"):
                client.api.import_image_from_file(
                    str(archive), REPOSITORY, wanted.name, changes=["ENV container=docker"]
                )
            client.images.get(reference)
    return reference


def _archive(wanted: Definition) -> pathlib.Path:
    """The root file system as a cached tar archive."""
    archive = cache("lab-images", f"{wanted.name}.tar")
    if archive.exists():
        return archive
    if os.geteuid() != 0:
        raise LabError("building the lab's image needs root: run this as root.")
    machine.install("mmdebstrap", "debian-archive-keyring")
    with step(f"image {wanted.name}: building from {wanted.mirror or 'the Debian archive'}, about a minute"):
        temporary = cache("lab-images", f".{wanted.name}.tar")
        # The remains of a killed build, which may still be written to.
        temporary.unlink(missing_ok=True)
        _bootstrap(wanted, temporary)
        temporary.rename(archive)
    return archive


def _bootstrap(wanted: Definition, output: pathlib.Path) -> None:
    started, said = time.monotonic(), []
    environment = {**os.environ, **wanted.environment}
    command = wanted.command(str(output))
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr or ():
            said.append(line.rstrip())
            if line.startswith("I: ") and line.rstrip().endswith("..."):
                say(f"  {time.monotonic() - started:5.1f} s  {line[3:].rstrip()}")
    if process.returncode:
        raise LabError("mmdebstrap failed, its last lines:\n  " + "\n  ".join(said[-15:]))
