# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The image of a stand-in host: the own packages of Debian or Ubuntu, the same as in a bare cloud image."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile
import time
import typing as t
import urllib.request

import docker
from docker.errors import ImageNotFound

from lab import machine
from lab.base import FILES, LabError, cache, lock, run, say, step

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
# Ubuntu's releases; every other suite is Debian's.
UBUNTU = ("noble", "resolute")
# Not among the tested systems of role preflight until CI has run it.
UNTESTED = ("resolute",)
UBUNTU_ARCHIVES = {"x86_64": "http://archive.ubuntu.com/ubuntu", "aarch64": "http://ports.ubuntu.com/ubuntu-ports"}
# What Ubuntu signs its archive with. Where no package brings it, as on Debian, it comes from Ubuntu's package, which has this checksum, and is put where
# that would put it: apt checks signatures as a user without access to caches of root. Its key of 2018 is F6ECB3762474EDA9D21B7022871920D1991BC93C.
UBUNTU_KEYRING = pathlib.Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg")
UBUNTU_KEYRING_PACKAGE = "pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb"
UBUNTU_KEYRING_SUM = "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8"


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
        # Debian installs apt in any case.
        return (
            BARE
            + ["apt"] * (self.suite in UBUNTU)
            + (ROLES + ROLES_OF_SUITE.get(self.suite, []) if self.prepared else [])
        )

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
            *([f"--keyring={UBUNTU_KEYRING}"] if self.suite in UBUNTU else []),
            "--skip=output/dev",
            self.suite,
            output,
            *self.sources,
        ]

    @property
    def sources(self) -> list[str]:
        """The package sources. Without a mirror, mmdebstrap uses Debian's own archive."""
        if self.suite in UBUNTU:
            suites = (self.suite, f"{self.suite}-updates", f"{self.suite}-security")
            return [f"deb {self.mirror} {suite} main universe" for suite in suites]
        return [f"deb {self.mirror} {self.suite} main"] if self.mirror else []

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
    mirror = UBUNTU_ARCHIVES[platform.machine()] if suite in UBUNTU else machine.debian_mirror(machine.apt_sources())
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


def ensure_keyring() -> None:
    """Put Ubuntu's keys on this machine, if they are missing."""
    if UBUNTU_KEYRING.exists():
        return
    url = f"{UBUNTU_ARCHIVES['x86_64']}/{UBUNTU_KEYRING_PACKAGE}"
    with step("Ubuntu's keys: downloading"), tempfile.TemporaryDirectory() as directory:
        package = pathlib.Path(directory, "keyring.deb")
        try:
            with urllib.request.urlopen(url, timeout=60) as response:
                package.write_bytes(response.read())
        except OSError as error:
            raise LabError(f"{url} cannot be downloaded ({error}): install the package ubuntu-keyring.") from error
        found = hashlib.sha256(package.read_bytes()).hexdigest()
        if found != UBUNTU_KEYRING_SUM:
            raise LabError(f"{url} has the SHA-256 {found}, not {UBUNTU_KEYRING_SUM}: it is not what Ubuntu published.")
        run("dpkg-deb", "--extract", str(package), directory)
        temporary = UBUNTU_KEYRING.with_suffix(".new")
        shutil.copy(pathlib.Path(directory, *UBUNTU_KEYRING.parts[1:]), temporary)
        temporary.chmod(0o644)
        temporary.rename(UBUNTU_KEYRING)


def _archive(wanted: Definition) -> pathlib.Path:
    """The root file system as a cached tar archive."""
    archive = cache("lab-images", f"{wanted.name}.tar")
    if archive.exists():
        return archive
    if os.geteuid() != 0:
        raise LabError("building the lab's image needs root: run this as root.")
    machine.install("mmdebstrap", "debian-archive-keyring")
    if wanted.suite in UBUNTU:
        ensure_keyring()
    with step(f"image {wanted.name}: building from {wanted.mirror or 'the Debian archive'}, about a minute"):
        temporary = cache("lab-images", f".{wanted.name}.tar")
        # The remains of a killed build, which may still be written to.
        temporary.unlink(missing_ok=True)
        bootstrap(wanted.command(str(temporary)), wanted.environment)
        temporary.rename(archive)
    return archive


def bootstrap(command: list[str], environment: t.Mapping[str, str] | None = None) -> None:
    """Run this call of mmdebstrap, with more environment variables, and say how it proceeds."""
    started, said = time.monotonic(), []
    environment = {**os.environ, **(environment or {})}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr or ():
            said.append(line.rstrip())
            if line.startswith("I: ") and line.rstrip().endswith("..."):
                say(f"  {time.monotonic() - started:5.1f} s  {line[3:].rstrip()}")
    if process.returncode:
        raise LabError("mmdebstrap failed, its last lines:\n  " + "\n  ".join(said[-15:]))
