# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Whether this machine's KVM boots a guest. In some virtual machines /dev/kvm opens, but no kernel runs on it."""

from __future__ import annotations

import os
import pathlib
import subprocess
import typing as t

from lab.base import cache, step

DEVICE = pathlib.Path("/dev/kvm")
# Without a disk, the kernel panics when it has booted, and restarts at once; QEMU then ends.
PANICKED = "Kernel panic - not syncing: VFS"
# With a working KVM it takes about a second.
SECONDS = 20


def works(kernel: pathlib.Path) -> bool:
    """Whether a guest with this kernel boots; tried once per boot of this machine."""
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return False
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    known = cache("kvm")
    if known.exists() and known.read_text(encoding="ascii").split()[:1] == [boot]:
        return known.read_text(encoding="ascii").split()[1] == "works"
    with step("KVM: booting a kernel"):
        found = booted(probe(kernel))
    known.write_text(f"{boot} {'works' if found else 'fails'}\n", encoding="ascii")
    return found


def booted(console: str) -> bool:
    """Whether the kernel with this console output came as far as it can without a disk."""
    return PANICKED in console


def command(kernel: pathlib.Path) -> t.Sequence[str]:
    """QEMU with nothing but a kernel."""
    return (
        *("qemu-system-x86_64", "-M", "q35", "-accel", "kvm", "-cpu", "host", "-m", "256", "-nodefaults"),
        *("-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"),
        *("-kernel", str(kernel), "-append", "console=ttyS0 panic=-1"),
    )


def probe(kernel: pathlib.Path) -> str:
    """The console of that guest; QEMU is killed if it does not end in time."""
    try:
        done = subprocess.run(
            command(kernel), stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired as error:
        return (error.stdout or b"").decode(errors="replace")
    return done.stdout.decode(errors="replace")
