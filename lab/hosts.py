# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""One stand-in host: a container that boots systemd."""

from __future__ import annotations

import ipaddress
import pathlib
import re
import typing as t

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.types import Mount

from lab import machine, ssh
from lab.base import LabError
from lab.network import LABEL
from plugins.module_utils.host._wait import poll

HOST_LABEL = "plainkube.host"
# Data that must not be on the container's overlay file system: overlayfs cannot be stacked, and etcd needs a real fsync.
VOLUMES = ("/var/lib/docker", "/var/lib/containerd", "/var/lib/kubelet", "/var/lib/etcd")
TMPFS = {"/run": "", "/run/lock": "", "/tmp": "exec"}
CGROUP_V1_ARGUMENTS = ["systemd.unified_cgroup_hierarchy=0", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]
# The last byte of an address: k1 is .11, n1 is .21; others are numbered from .201 in the order of their names.
PLACES = {"k": (10, 9), "n": (20, 150)}


def address(name: str, subnet: str, others: list[str]) -> str:
    """The host's fixed address in the lab's subnet; `others` are the addresses in use."""
    network = ipaddress.ip_network(subnet)
    match = re.fullmatch(r"([a-z]+)(\d*)", name)
    kind, number = match.groups() if match else ("", "")
    if kind in PLACES and number and 1 <= int(number) <= PLACES[kind][1]:
        return str(network[PLACES[kind][0] + int(number)])
    return next(str(network[place]) for place in range(201, 255) if str(network[place]) not in others)


def container_name(lab: str, host: str) -> str:
    """The columns of `docker ps`."""
    return f"{lab}-{host}"


class ContainerHost:
    """A container of a lab, as lab/host.py describes it."""

    def __init__(self, container: Container) -> None:
        self.container = container

    @property
    def name(self) -> str:
        return self.container.labels[HOST_LABEL]

    @property
    def address(self) -> str:
        (network,) = self.container.attrs["NetworkSettings"]["Networks"].values()
        return network["IPAMConfig"]["IPv4Address"]

    @property
    def source(self) -> str:
        return self.container.attrs["Config"]["Image"]

    def state(self) -> str:
        self.container.reload()
        return self.container.status

    def run(self, command: t.Sequence[str]) -> tuple[int, bytes]:
        code, output = self.container.exec_run(list(command))
        return code, output

    def put(self, directory: str, archive: bytes) -> None:
        self.container.put_archive(directory, archive)

    def get(self, path: str) -> bytes:
        return b"".join(self.container.get_archive(path)[0])

    def start(self) -> None:
        if self.state() == "paused":
            self.unpause()
        # Every time: an earlier `up` may have been interrupted before this, and the key may be new.
        self.put(f"/home/{ssh.USER}", ssh.authorization())
        if self.container.status not in ("running", "paused"):
            self.container.start()

    def wait(self, seconds: float = 60) -> None:
        logs = f"see `docker logs {self.container.name}`"
        state = poll(self._system_state, lambda answer: answer in ("running", "degraded"), seconds)
        if state not in ("running", "degraded"):
            raise LabError(f"{self.name} has not booted after {seconds} s, systemd says {state!r}: {logs}.")
        if not poll(lambda: ssh.answers(self.address), bool, seconds):
            raise LabError(f"{self.name} does not respond on SSH ({self.address}) after {seconds} s.")

    def _system_state(self) -> str:
        try:
            return self.container.exec_run(["systemctl", "is-system-running"]).output.decode().strip()
        except APIError as error:
            if self.state() not in ("running", "created"):
                raise LabError(f"{self.container.name} has ended: see `docker logs {self.container.name}`.") from error
            return str(error)

    def wait_off(self) -> None:
        self.container.wait(timeout=180)

    def pause(self) -> None:
        self.container.pause()

    def unpause(self) -> None:
        self.container.unpause()

    def kill(self) -> None:
        self.container.kill()

    def port(self) -> str:
        """The machine's end of the host's veth pair."""
        code, peer = self.run(["cat", "/sys/class/net/eth0/iflink"])
        for path in pathlib.Path("/sys/class/net").glob("*/ifindex"):
            if code == 0 and path.read_bytes() == peer:
                return path.parent.name
        raise LabError(f"{self.name} has no network interface on this machine: is it running?")

    def remove(self) -> None:
        try:
            self.container.remove(v=True, force=True)
        except NotFound:
            return


def find(client: docker.DockerClient, lab: str) -> dict[str, ContainerHost]:
    """The lab's hosts by name, in order."""
    found = client.containers.list(all=True, filters={"label": f"{LABEL}={lab}"})
    return {host.name: host for host in sorted(map(ContainerHost, found), key=lambda host: host.name)}


def create(client: docker.DockerClient, lab: str, host: str, image: str, network: str, ip: str) -> None:
    """Create the host without starting it."""
    name = container_name(lab, host)
    endpoint = client.api.create_endpoint_config(ipv4_address=ip, aliases=[host])
    try:
        client.containers.create(
            image,
            ["/usr/local/sbin/lab-init", *(CGROUP_V1_ARGUMENTS if machine.cgroup_version() == 1 else [])],
            name=name,
            hostname=host,
            labels={LABEL: lab, HOST_LABEL: host},
            privileged=True,
            cgroupns="private",
            tmpfs=TMPFS,
            mounts=[Mount(target=path, source=None, type="volume") for path in VOLUMES],
            network=network,
            networking_config={network: endpoint},
            stop_signal="SIGRTMIN+3",
            environment={"container": "docker"},
        )
    except APIError as error:
        if error.status_code == 409:
            raise LabError(f"a container {name} that is not the lab's exists already: remove or rename it.") from error
        raise
