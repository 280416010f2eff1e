# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The disk that virtual machines of one Debian release start from, with its kernel: Debian's own packages, the same as in a cloud image."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import platform
import shutil
import tempfile

from lab import image, machine
from lab.base import FILES, LabError, cache, lock, run, step

# What a machine needs beyond a container, as in Debian's cloud images; the lab acts as root through the guest agent.
MACHINE = [
    *("linux-image-cloud-amd64", "initramfs-tools", "zstd", "udev", "apparmor", "qemu-guest-agent"),
    *("systemd-resolved", "libnss-myhostname", "e2fsprogs"),
]
# Small, so that tests can fill it. The file has holes.
SIZE = "8G"
CUSTOMIZATION = "customize-machine"


@dataclasses.dataclass(frozen=True)
class Definition:
    """Everything that determines a disk."""

    suite: str
    mirror: str
    settings: tuple[str, ...]

    def command(self, output: str) -> list[str]:
        """The mmdebstrap call."""
        return [
            "mmdebstrap",
            "--variant=minbase",
            "--format=directory",
            f"--include={','.join(image.BARE + MACHINE)}",
            *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale", "info")),
            '--aptopt=Acquire::Languages "none"',
            *(f"--aptopt={setting.rstrip(';')}" for setting in self.settings),
            f'--customize-hook="{FILES}/{CUSTOMIZATION}" "$1"',
            self.suite,
            output,
            *([f"deb {self.mirror} {self.suite} main"] if self.mirror else []),
        ]

    @property
    def digest(self) -> str:
        """Changes if, and only if, the disk changes."""
        text = "\0".join([SIZE, *self.command("")]).replace(str(FILES), "")
        return hashlib.sha256(text.encode() + (FILES / CUSTOMIZATION).read_bytes()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """The name of its directory in the cache."""
        return f"{self.suite}-machine-{self.digest}"


def definition(suite: str) -> Definition:
    """The disk for machines on this machine."""
    if suite in image.UBUNTU:
        raise LabError(f"the lab's virtual machines are Debian's, not {suite}.")
    if platform.machine() != "x86_64":
        raise LabError(f"the lab has virtual machines on x86_64, not on {platform.machine()}.")
    return Definition(suite, machine.debian_mirror(machine.apt_sources()), tuple(machine.apt_settings()))


def ensure(suite: str) -> str:
    """The name of the disk; builds it if it is missing."""
    wanted = definition(suite)
    with lock():
        if not path_of(wanted.name).exists():
            _build(wanted, path_of(wanted.name))
    return wanted.name


def path_of(name: str) -> pathlib.Path:
    """The directory with root.img, vmlinuz and initrd.img."""
    return cache("lab-images", name)


def _build(wanted: Definition, directory: pathlib.Path) -> None:
    if os.geteuid() != 0:
        raise LabError("building the lab's disk needs root: run this as root.")
    machine.install("mmdebstrap", "debian-archive-keyring", "e2fsprogs")
    unfinished = cache("lab-images", f".{wanted.name}")
    # The remains of a killed build.
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    with (
        step(f"disk {wanted.name}: building from {wanted.mirror or 'the Debian archive'}, about two minutes"),
        tempfile.TemporaryDirectory(dir=unfinished) as temporary,
    ):
        root = pathlib.Path(temporary, "root")
        image.bootstrap(wanted.command(str(root)))
        for name in ("vmlinuz", "initrd.img"):
            (kernel,) = (root / "boot").glob(f"{name}-*")
            shutil.copy(kernel, unfinished / name)
        run("mkfs.ext4", "-q", "-L", "root", "-d", str(root), str(unfinished / "root.img"), SIZE)
    unfinished.rename(directory)
