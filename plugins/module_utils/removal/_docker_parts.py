# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The parts of Docker Engine that belong to this collection: Kubernetes' containers and images, and docker0's settings for flannel's subnet."""

from __future__ import annotations

import os
import typing as t
import urllib.parse

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files, _host, _state
from ansible_collections.plainkube.cluster.plugins.module_utils.host._places import DOCKER_DROP_IN, UNITS
from ansible_collections.plainkube.cluster.plugins.module_utils.removal import _reset
from ansible_collections.plainkube.cluster.plugins.module_utils.removal._parts import Host, Part
from ansible_collections.plainkube.cluster.plugins.module_utils.removal._paths import at, listed, there
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import (
    _bridge,
    _docker,
    _docker_api,
    _docker_service,
)
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime._docker_service import SERVICE
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _environment, _stamp, _systemd

DROP_IN = f"{UNITS}/{SERVICE}.d/{DOCKER_DROP_IN}"
# For one start of Docker, while its default bridge is restored. Never survives a boot.
BRIDGELESS = f"/run/systemd/system/{SERVICE}.d/{DOCKER_DROP_IN}"
DROP_INS = (
    DROP_IN,
    f"{UNITS}/containerd.service.d/{DOCKER_DROP_IN}",
    BRIDGELESS,
    _environment.path("docker"),
    _docker.LEASE_FILE,
)


class DockerHost(Host):
    """A host with Docker Engine. Its module has the options images and wait."""

    # IDs of images to remove, whatever their names.
    pulled: t.AbstractSet[str] = frozenset()

    def container_parts(self, owners: tuple[str, ...]) -> list[Part]:
        """Kubernetes' containers, and images. Without one of the owners, which are our services, nothing in Docker belongs to Kubernetes."""
        return [
            Part("container", self.containers, self.remove_containers, owners),
            Part("image", lambda: self.sorted_images()[0], self.remove_images, owners),
        ]

    def bridge_parts(self, process: t.Callable[[], list[str]], runs: bool) -> list[Part]:
        """docker0's settings for flannel's subnet. `process` finds out whether Docker must leave it; `runs`: Docker runs afterwards."""
        return [
            Part("setting of Docker", self.settings, self.take_back_settings),
            Part("Docker's process", process, lambda dummy: self.leave_bridge(runs)),
            Part("file", lambda: there(DROP_INS), self.remove_docker_drop_ins),
        ]

    # --- containers and images ---

    def all_containers(self) -> list[dict[str, t.Any]]:
        return _docker_api.call("GET", "/containers/json?all=1") or [] if self.active(SERVICE) else []

    def containers(self) -> list[str]:
        return sorted(_bridge.name(one) for one in self.all_containers() if _bridge.of_kubernetes(one))

    def foreign(self) -> list[str]:
        """Names of the running foreign containers."""
        running = [one for one in self.all_containers() if one.get("State") in ("running", "paused", "restarting")]
        return sorted(_bridge.name(one) for one in running if not _bridge.of_kubernetes(one))

    def remove_containers(self, names: list[str]) -> None:
        def remove(name: str) -> None:
            _docker_api.delete(f"/containers/{name}?force=1&v=1", self.module.params["wait"])

        _docker_api.for_each(names, remove)

    def sorted_images(self) -> tuple[list[str], list[str]]:
        """The images to remove, and those of the collection to keep."""
        used = {one["ImageID"] for one in self.all_containers() if not _bridge.of_kubernetes(one)}
        images = _docker_api.call("GET", "/images/json") or [] if self.active(SERVICE) else []
        return _reset.sorted_images(images, used, self.module.params["images"], self.pulled)

    def remove_images(self, names: list[str]) -> None:
        for name in names:
            _docker_api.delete(f"/images/{urllib.parse.quote(name, safe='/:@')}", self.module.params["wait"])

    # --- docker0 ---

    def daemon_json(self) -> tuple[str, dict[str, t.Any], dict[str, t.Any]]:
        """Path and settings of daemon.json, and the settings that are not ours."""
        path, recorded = _docker.recorded(_state.read(at("")))
        current = _docker.parse_daemon_json(_files.read(at(path)), path)
        return path, current, _docker.unmerge(current, recorded)

    def settings(self) -> list[str]:
        if not _docker.recorded(_state.read(at(""))).settings:
            return []
        path, current, others = self.daemon_json()
        return [f"{name} in {path}" for name in current if name not in others]

    def take_back_settings(self, dummy: list[str]) -> None:
        path, current, others = self.daemon_json()
        found = _files.inspect(at(path))
        if others and found:
            content = _docker.render_daemon_json(found.content, current, others)
            _files.write(self.module, {**found._asdict(), "path": at(path), "content": content})
        else:
            os.unlink(at(path))

    def remove_docker_drop_ins(self, paths: list[str]) -> None:
        _state.update(self.module, _state.DOCKER, None, at(""))
        self.remove_drop_ins(paths)

    def stamped(self) -> bool:
        """Whether Docker's process was started with our flags."""
        return bool(_stamp.of_process(int(self.state(SERVICE).get("MainPID") or 0)))

    def startable(self) -> bool:
        """Whether Docker can start without our drop-in."""
        bounded = not _host.has_capability(_files.read(at("/proc/1/status")) or "", _host.CAP_SYS_RESOURCE)
        shown = _systemd.parse_show(self.output("systemctl", "show", "--property=OOMScoreAdjust", SERVICE))
        return not (bounded and shown.get("OOMScoreAdjust", "").startswith("-"))

    def leave_bridge(self, runs: bool) -> None:
        """Docker's containers, images and volumes stay; the next time it starts, it has its default bridge."""
        _docker_service.stop(self.module, rebuild=True)
        if not runs:
            self.run("systemctl", "disable", "--quiet", SERVICE, "docker.socket")
        if there(DROP_INS):
            self.remove_docker_drop_ins(there(DROP_INS))
        if self.startable():
            self.forget_bridge()
            if runs:
                _docker_service.start(self.module, self.module.params["wait"])
        elif runs:
            self.kept.append(
                "Docker is stopped: its unit asks for a negative OOMScoreAdjust, which this host does not allow, so it could not be started before either."
            )

    def forget_bridge(self) -> None:
        """Make Docker forget docker0's network, which it stores on disk with the old address, together with other networks.

        It does so when it starts without a bridge. If the administrator sets the address, nothing is stored.
        """
        command = _docker.start_command([self.output("systemctl", "cat", SERVICE)])
        told = {**self.daemon_json()[1], **_docker.flag_settings(command, {})}
        if {"bip", "bridge"} & {*told}:
            return
        # With a stamp, so that the run after a killed one detects that Docker must be restarted.
        lines = [
            "[Service]",
            "ExecStart=",
            f"ExecStart={command} --bridge=none",
            f"Environment={_stamp.VARIABLE}=reset",
        ]
        drop_in = {"path": at(BRIDGELESS), "content": "\n".join(lines) + "\n", "mode": "0644", **_files.me()}
        _files.write(self.module, drop_in)
        self.run("systemctl", "daemon-reload")
        _docker_service.start(self.module, self.module.params["wait"])
        _docker_service.stop(self.module, rebuild=True)
        self.remove_docker_drop_ins([BRIDGELESS])

    def wake_docker(self) -> None:
        """Start a stopped Docker that should run: only Docker can list containers and images."""
        if self.active(SERVICE) or self.state(SERVICE).get("UnitFileState") != "enabled" or not self.startable():
            return
        if not there([DROP_IN, BRIDGELESS]) and not listed(f"{_bridge.INTERFACE}/brif"):
            # A killed run stopped it while restoring the default bridge.
            self.forget_bridge()
        _docker_service.start(self.module, self.module.params["wait"])
