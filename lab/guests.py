# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""One virtual machine as a host: QEMU on a disk of its own, with a tap on the lab's bridge. Its root is the guest agent."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import json
import os
import pathlib
import shutil
import signal
import subprocess
import typing as t

from lab import agent, disk, kvm, machine, network, ssh
from lab.base import LabError, cache, run
from plugins.module_utils.host._wait import poll

PROGRAM = "qemu-system-x86_64"
PACKAGES = ("qemu-system-x86", "qemu-utils")
MEMORY = 3072
PROCESSORS = 2
# KVM boots a machine in ten seconds; without it, a busy computer with two cores has needed four minutes for two machines.
BOOT_SECONDS = 900


@dataclasses.dataclass(frozen=True)
class Definition:
    """What a machine is created with, stored next to its disk."""

    lab: str
    name: str
    address: str
    source: str
    subnet: str
    gateway: str


def tap(address: str) -> str:
    """The interface of this machine for the host with this address: at most 15 characters."""
    return f"pkv-{int(ipaddress.ip_address(address)):08x}"


def mac(address: str) -> str:
    """A MAC address of QEMU's range, unique among the labs."""
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in ipaddress.IPv4Address(address).packed[1:])


def kernel_arguments(wanted: Definition, resolver: str, accelerated: bool) -> str:
    """The kernel's command line: systemd-network-generator configures the address."""
    mask = ipaddress.ip_network(wanted.subnet).netmask
    return " ".join(
        [
            "root=/dev/vda ro console=ttyS0 net.ifnames=0 quiet",
            f"systemd.hostname={wanted.name}",
            f"ip={wanted.address}::{wanted.gateway}:{mask}::eth0:none:{resolver}",
            # Emulated, they cost much and protect from nothing.
            *([] if accelerated else ["mitigations=off"]),
        ]
    )


def command(
    wanted: Definition, directory: pathlib.Path, source: pathlib.Path, resolver: str, kvm_works: bool
) -> list[str]:
    """The call of QEMU. Guest's flushes reach this machine's disk, so that a killed QEMU is a power failure and nothing worse."""
    # Emulated page walks cost less without a fifth level. With it, a kernel ended once in a double fault (QEMU 7.2).
    emulated = ["tcg,thread=multi,tb-size=512", "-cpu", "max,la57=off"]
    accelerator = ["kvm", "-cpu", "host"] if kvm_works else emulated
    return [
        *(PROGRAM, "-name", title(wanted.lab, wanted.name)),
        *("-nodefaults", "-no-user-config", "-display", "none", "-M", "q35", "-accel", *accelerator),
        *("-smp", str(PROCESSORS), "-m", str(MEMORY), "-rtc", "base=utc"),
        *("-qmp", f"unix:{directory}/qmp.sock,server=on,wait=off"),
        *("-serial", f"file:{directory}/console.log"),
        *("-kernel", str(source / "vmlinuz"), "-initrd", str(source / "initrd.img")),
        *("-append", kernel_arguments(wanted, resolver, kvm_works)),
        *("-drive", f"file={directory}/disk.qcow2,if=virtio,cache=writeback,discard=unmap"),
        *("-netdev", f"tap,id=net,ifname={tap(wanted.address)},script=no,downscript=no"),
        *("-device", f"virtio-net-pci,netdev=net,mac={mac(wanted.address)}", "-device", "virtio-rng-pci"),
        *("-chardev", f"socket,id=agent,path={directory}/agent.sock,server=on,wait=off"),
        *("-device", "virtio-serial", "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
    ]


def title(lab: str, name: str) -> str:
    """The machine's name for QEMU, by which its process is found. Neither part has a colon."""
    return f"plainkube:{lab}:{name}"


def machine_of(cmdline: str, lab: str) -> str | None:
    """The lab's machine that runs as a process with this /proc/PID/cmdline."""
    words = cmdline.split("\0")
    start = title(lab, "")
    if words[:2] != [PROGRAM, "-name"] or not words[2].startswith(start):
        return None
    return words[2].removeprefix(start)


def processes(lab: str) -> dict[str, int]:
    """Machine -> QEMU's process. Found by their command lines: a PID that was stored may be another process's by now."""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            name = machine_of(path.read_text(encoding="utf-8", errors="replace"), lab)
            if name is not None:
                found[name] = int(path.parent.name)
    return found


class Guest:
    """A machine of a lab, as lab/host.py describes it."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        text = (directory / "definition.json").read_text(encoding="utf-8")
        self.definition = Definition(**json.loads(text))

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def address(self) -> str:
        return self.definition.address

    @property
    def source(self) -> str:
        return self.definition.source

    @property
    def _agent(self) -> pathlib.Path:
        return self.directory / "agent.sock"

    def is_emulated(self) -> bool:
        """Whether its processors are emulated, because this machine has no KVM."""
        return not kvm.works(self._kernel)

    @property
    def _kernel(self) -> pathlib.Path:
        return disk.path_of(self.source) / "vmlinuz"

    def pid(self) -> int | None:
        """QEMU's process."""
        return processes(self.definition.lab).get(self.name)

    def _qmp(self, name: str) -> t.Any:
        return agent.qmp(self.directory / "qmp.sock", name)

    def state(self) -> str:
        if self.pid() is None:
            return "off"
        try:
            return self._qmp("query-status")["status"]
        except agent.NoAnswer:
            # It starts or ends.
            return "silent"

    def run(self, command: t.Sequence[str]) -> tuple[int, bytes]:
        # The agent keeps the two streams apart.
        code, output, errors = self.exec(command)
        return code, output + errors

    def exec(self, command: t.Sequence[str], stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """Exit code, output and errors of a command, as root."""
        try:
            return agent.run(self._agent, command, stdin)
        except agent.NoAnswer as error:
            raise LabError(f"{self.name} does not answer ({self.state()}): {error}") from error

    def put(self, directory: str, archive: bytes) -> None:
        code, dummy, errors = self.exec(["tar", "-x", "--same-owner", "--same-permissions", "-C", directory], archive)
        if code:
            raise LabError(f"files cannot be written to {directory} on {self.name}: {errors.decode(errors='replace')}")

    def get(self, path: str) -> bytes:
        parent, dummy, name = path.rpartition("/")
        code, output, errors = self.exec(["tar", "-c", "-C", parent or "/", name])
        if code:
            raise LabError(f"{path} on {self.name} cannot be read: {errors.decode(errors='replace')}")
        return output

    def start(self) -> None:
        state = self.state()
        if state == "paused":
            self.unpause()
        if state != "off":
            return
        machine.install(*PACKAGES)
        source = disk.path_of(self.source)
        self._plug()
        words = command(self.definition, self.directory, source, network.upstream_resolver(), not self.is_emulated())
        with open(self.directory / "qemu.log", "w", encoding="utf-8") as log:
            subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=self.directory
            )
        if not poll(self.state, lambda state: state == "running", seconds=20, interval=0.1):
            raise LabError(f"QEMU does not start for {self.name}: see {self.directory}/qemu.log.")

    def _plug(self) -> None:
        """The tap is a port of the lab's bridge. Docker's filter rules are those of the bridge, and concern it as well."""
        port = self.port()
        if not pathlib.Path("/sys/class/net", port).exists():
            run("ip", "tuntap", "add", "dev", port, "mode", "tap")
        run("ip", "link", "set", "dev", port, "master", network.bridge(self.definition.lab), "up")

    def wait(self) -> None:
        state = poll(self._system_state, lambda state: state in ("running", "degraded"), BOOT_SECONDS, interval=1)
        if state not in ("running", "degraded"):
            raise LabError(
                f"{self.name} has not booted after {BOOT_SECONDS} s, systemd says {state!r}: see {self.directory}/console.log."
            )
        self.put(f"/home/{ssh.USER}", ssh.authorization())
        if not poll(lambda: ssh.answers(self.address), bool, BOOT_SECONDS, interval=0.5):
            raise LabError(f"{self.name} does not respond on SSH ({self.address}) after {BOOT_SECONDS} s.")

    def _system_state(self) -> str:
        if self.pid() is None:
            raise LabError(f"{self.name} has ended: see qemu.log and console.log in {self.directory}.")
        try:
            return agent.run(self._agent, ["systemctl", "is-system-running"])[1].decode().strip()
        except agent.NoAnswer as error:
            return str(error)

    def wait_off(self) -> None:
        if poll(self.pid, lambda pid: pid is None, BOOT_SECONDS, interval=0.2) is not None:
            raise LabError(f"{self.name} has not shut down after {BOOT_SECONDS} s: see {self.directory}/console.log.")

    def pause(self) -> None:
        self._qmp("stop")

    def unpause(self) -> None:
        self._qmp("cont")

    def kill(self) -> None:
        pid = self.pid()
        if pid is None:
            raise LabError(f"{self.name} is off already.")
        os.kill(pid, signal.SIGKILL)
        self.wait_off()

    def port(self) -> str:
        return tap(self.address)

    def remove(self) -> None:
        if self.pid() is not None:
            self.kill()
        if pathlib.Path("/sys/class/net", self.port()).exists():
            run("ip", "link", "delete", "dev", self.port())
        shutil.rmtree(self.directory)


def clear(lab: str) -> None:
    """Remove processes and taps that are left of machines whose directories were deleted."""
    for pid in processes(lab).values():
        os.kill(pid, signal.SIGKILL)
    poll(lambda: processes(lab), lambda left: not left, seconds=20, interval=0.1)
    for path in pathlib.Path("/sys/class/net", network.bridge(lab), "brif").glob("pkv-*"):
        run("ip", "link", "delete", "dev", path.name)


def find(lab: str) -> dict[str, Guest]:
    """The lab's machines by name, in order."""
    paths = cache("labs", lab, "machines").glob("*/definition.json")
    return {path.parent.name: Guest(path.parent) for path in sorted(paths)}


def create(wanted: Definition) -> None:
    """Create the machine without starting it."""
    directory = cache("labs", wanted.lab, "machines", wanted.name)
    # The remains of an interrupted creation.
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    machine.install(*PACKAGES)
    base = disk.path_of(wanted.source) / "root.img"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", "raw", str(directory / "disk.qcow2"))
    (directory / "definition.json").write_text(json.dumps(dataclasses.asdict(wanted)), encoding="utf-8")
