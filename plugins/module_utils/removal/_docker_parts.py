# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The parts of Docker Engine that belong to this collection: Kubernetes' containers and images, and docker0's settings for flannel's subnet."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import typing as t
import urllib.parse

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files, _host
from ansible_collections.plainkube.cluster.plugins.module_utils.removal import _reset
from ansible_collections.plainkube.cluster.plugins.module_utils.removal._parts import (
    UNITS,
    Host,
    at,
    listed,
    remove_files,
    there,
)
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import (
    _bridge,
    _docker,
    _docker_api,
    _docker_service,
)
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime._docker_service import SERVICE, output
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _environment, _stamp, _systemd

# For one start of Docker, while its default bridge is restored. Never survives a boot.
BRIDGELESS = f"/run/systemd/system/{SERVICE}.d/{_docker.DROP_IN}"


class DockerHost(Host):
    """A host with Docker Engine. Its module has the options images and wait."""

    # Without one of these, nothing in Docker belongs to Kubernetes.
    OWNERS: tuple[str, ...] = ("kubelet", "cri-dockerd")

    def docker(self) -> dict[str, str]:
        return self.state(SERVICE)

    def docker_runs(self) -> bool:
        return self.docker().get("ActiveState") == "active"

    def drop_in(self) -> str:
        return f"{UNITS}/{SERVICE}.d/{_docker.DROP_IN}"

    def all_containers(self) -> list[dict[str, t.Any]]:
        return _docker_api.call("GET", "/containers/json?all=1") or [] if self.docker_runs() else []

    def containers(self) -> list[str]:
        if not self.has(*self.OWNERS):
            return []
        return sorted(_bridge.name(one) for one in self.all_containers() if _bridge.of_kubernetes(one))

    def foreign(self) -> list[str]:
        """Names of the running foreign containers."""
        running = [one for one in self.all_containers() if one.get("State") in ("running", "paused", "restarting")]
        return sorted(_bridge.name(one) for one in running if not _bridge.of_kubernetes(one))

    def remove_containers(self, names: list[str]) -> None:
        def remove(name: str) -> None:
            _docker_api.delete(f"/containers/{name}?force=1&v=1", self.module.params["wait"])

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(remove, names))

    def sorted_images(self) -> tuple[list[str], list[str]]:
        """Those of the collection's images to remove, and those to keep."""
        if not self.has(*self.OWNERS) or not self.docker_runs():
            return [], []
        images = _docker_api.call("GET", "/images/json") or []
        used = {one["ImageID"] for one in self.all_containers() if not _bridge.of_kubernetes(one)}
        return _reset.sorted_images(images, used, self.module.params["images"])

    def images(self) -> list[str]:
        return self.sorted_images()[0]

    def remove_images(self, names: list[str]) -> None:
        for name in names:
            _docker_api.delete(f"/images/{urllib.parse.quote(name, safe='/:@')}", self.module.params["wait"])

    def recorded(self) -> tuple[str, str | None, dict[str, t.Any]]:
        """daemon.json's path and text, and what docker_rebridge put there."""
        text = _files.read(at(self.drop_in()))
        inputs = _stamp.split(text or "")[1]
        path = next((path for path in inputs if path.endswith(".json")), _docker.DAEMON_JSON)
        return path, _files.read(at(path)), _docker.recorded(text)

    def settings(self) -> list[str]:
        path, text, recorded = self.recorded()
        current = _docker.parse_daemon_json(text, path) if recorded else {}
        return [f"{name} in {path}" for name in current if name not in _docker.unmerge(current, recorded)]

    def take_back_settings(self, dummy: list[str]) -> None:
        path, text, recorded = self.recorded()
        current = _docker.parse_daemon_json(text, path)
        own = _docker.unmerge(current, recorded)
        found = _files.inspect(at(path))
        if own and found:
            content = _docker.render_daemon_json(text, current, own)
            _files.write(self.module, {**found._asdict(), "path": at(path), "content": content})
        else:
            os.unlink(at(path))

    def drop_ins(self) -> list[str]:
        drop_ins = (f"{UNITS}/{unit}.d/{_docker.DROP_IN}" for unit in (SERVICE, "containerd.service"))
        return there([*drop_ins, BRIDGELESS, _environment.path("docker"), _docker.LEASE_FILE])

    def remove_drop_ins(self, paths: list[str]) -> None:
        remove_files(paths)
        for directory in {os.path.dirname(path) for path in paths}:
            with contextlib.suppress(OSError):  # a directory with files of other software, too
                os.rmdir(at(directory))
        _docker_service.systemctl(self.module, "daemon-reload")

    def stamped(self) -> bool:
        """Whether Docker's process was started with our flags."""
        return bool(_stamp.of_process(int(self.docker().get("MainPID") or 0)))

    def docker_process(self) -> list[str]:
        if not self.stamped() or self.foreign():
            return []
        return ["restarted, to restore its default bridge"]

    def startable(self) -> bool:
        """Whether Docker can start without our drop-in."""
        bounded = not _host.has_capability(_files.read(at("/proc/1/status")) or "", _host.CAP_SYS_RESOURCE)
        shown = _systemd.parse_show(output(self.module, "systemctl", "show", "--property=OOMScoreAdjust", SERVICE))
        return _reset.starts(bounded, shown.get("OOMScoreAdjust", ""))

    def restart_docker(self, dummy: list[str]) -> None:
        _docker_service.stop(self.module, rebuild=True)
        if self.startable():
            self.forget_bridge()
            _docker_service.start(self.module, self.module.params["wait"])
        else:
            self.kept.append(
                "Docker is stopped: its unit asks for a negative OOMScoreAdjust, which this host does not allow, so it could not be started before either."
            )

    def forget_bridge(self) -> None:
        """Make Docker forget docker0's network, which it stores on disk with the old address, together with other networks.

        It does so when it starts without a bridge. If the administrator sets the address, nothing is stored.
        """
        command = _docker.start_command([output(self.module, "systemctl", "cat", SERVICE)])
        told = {**_docker.parse_daemon_json(self.recorded()[1]), **_docker.flag_settings(command, {})}
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
        _docker_service.systemctl(self.module, "daemon-reload")
        _docker_service.start(self.module, self.module.params["wait"])
        _docker_service.stop(self.module, rebuild=True)
        self.remove_drop_ins([BRIDGELESS])

    def wake_docker(self) -> None:
        """Start a stopped Docker that should run: only Docker can list containers and images."""
        state = self.docker()
        wanted = self.has(*self.OWNERS) and state.get("UnitFileState") == "enabled"
        if not wanted or state.get("ActiveState") == "active" or not self.startable():
            return
        if not os.path.exists(at(self.drop_in())) and not listed(f"{_bridge.INTERFACE}/brif"):
            # A killed run stopped it while restoring the default bridge.
            _docker_service.delete_bridge(self.module)
        _docker_service.start(self.module, self.module.params["wait"])

    def keeps(self) -> list[str]:
        """What stays for now, because foreign containers are running."""
        foreign = self.foreign()
        kept = []
        if foreign and self.stamped():
            kept.append(
                f"Docker keeps its process and docker0 its address, because a restart would stop {', '.join(foreign)}: "
                "run plainkube.cluster.reset again after they have stopped."
            )
        in_use = self.sorted_images()[1]
        if in_use:
            kept.append(f"Images in use by foreign containers stay: {', '.join(in_use)}.")
        return kept
