# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""One stand-in host: a container that boots systemd."""

from __future__ import annotations

import ipaddress
import re

import docker
from docker.errors import APIError, ImageNotFound, NotFound
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


def find(client: docker.DockerClient, lab: str) -> dict[str, Container]:
    """The lab's hosts by name, in order."""
    found = client.containers.list(all=True, filters={"label": f"{LABEL}={lab}"})
    return dict(sorted((container.labels[HOST_LABEL], container) for container in found))


def address_of(container: Container) -> str:
    """The host's current address, or its address after it starts."""
    (network,) = container.attrs["NetworkSettings"]["Networks"].values()
    return network["IPAMConfig"]["IPv4Address"]


def create(client: docker.DockerClient, lab: str, host: str, image: str, network: str, ip: str) -> Container:
    """Create the host without starting it."""
    name = container_name(lab, host)
    endpoint = client.api.create_endpoint_config(ipv4_address=ip, aliases=[host])
    try:
        return client.containers.create(
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


def start(container: Container) -> None:
    """Start the host, whatever its state."""
    container.reload()
    if container.status == "paused":
        container.unpause()
    # Every time: an earlier `up` may have been interrupted before this, and the key may be new.
    ssh.authorize(container)
    if container.status not in ("running", "paused"):
        container.start()


def wait(container: Container, seconds: float = 60) -> None:
    """Wait until systemd has booted and SSH responds."""
    name = container.labels[HOST_LABEL]
    state = poll(lambda: _system_state(container), lambda answer: answer in ("running", "degraded"), seconds)
    if state not in ("running", "degraded"):
        raise LabError(
            f"{name} has not booted after {seconds} s, systemd says {state!r}: see `docker logs {container.name}`."
        )
    if not poll(lambda: ssh.answers(address_of(container)), bool, seconds):
        raise LabError(f"{name} does not respond on SSH ({address_of(container)}) after {seconds} s.")


def _system_state(container: Container) -> str:
    try:
        return container.exec_run(["systemctl", "is-system-running"]).output.decode().strip()
    except APIError as error:
        container.reload()
        if container.status not in ("running", "created"):
            raise LabError(f"{container.name} has ended: see `docker logs {container.name}`.") from error
        return str(error)


def is_of(container: Container, client: docker.DockerClient, image: str) -> bool:
    """Whether the host was created from this image."""
    try:
        return container.attrs["Image"] == client.images.get(image).id
    except ImageNotFound:
        return False


def remove(container: Container) -> None:
    """Remove the host and its volumes immediately."""
    try:
        container.remove(v=True, force=True)
    except NotFound:
        return
