# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""What is this collection's on a host, part by part: how to find it, in words that name it, and how to remove it."""

from __future__ import annotations

import glob
import os
import shutil
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils import (
    _command,
    _docker_service,
    _files,
    _reset,
    _systemd,
)
from ansible_collections.plainkube.cluster.plugins.module_utils._docker_service import Trouble, output
from ansible_collections.plainkube.cluster.plugins.module_utils._wait import poll

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

# Tests put a directory of theirs before all paths.
ROOT = ""
UNITS = "/etc/systemd/system"
# As long as a service that is to go may take to end by itself.
STOP_SECONDS = 15


class Part(t.NamedTuple):
    """One kind of things: how to find them, in words that name them, and how to remove them."""

    kind: str
    find: t.Callable[[], list[str]]
    remove: t.Callable[[list[str]], None]


def at(path: str) -> str:
    return f"{ROOT}{path}"


def there(paths: t.Iterable[str]) -> list[str]:
    return [path for path in paths if os.path.lexists(at(path))]


def matching(pattern: str) -> list[str]:
    return sorted(path[len(ROOT) :] for path in glob.glob(at(pattern)))


def listed(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(at(directory)))
    except OSError:
        return []


def remove_path(path: str) -> None:
    """Remove a file, or a directory with all in it; of a mount point, what is in it."""
    place = at(path)
    if os.path.islink(place) or not os.path.isdir(place):
        os.unlink(place)
    elif os.path.ismount(place):
        for name in os.listdir(place):
            remove_path(f"{path}/{name}")
        os.chown(place, 0, 0)
    else:
        shutil.rmtree(place)


def remove_paths(paths: t.Iterable[str]) -> None:
    for path in paths:
        remove_path(path)


def remove_cgroup(path: str) -> OSError | None:
    """Remove a cgroup with those below it; the error where one of them still has processes."""
    try:
        for directory, _names, _files_in_it in os.walk(at(path), topdown=False):
            os.rmdir(directory)
    except OSError as error:
        return error
    return None


class Host:
    """The host as it is now. What is ours is told by the units that were there when it began."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.units = {path: _files.read(at(path)) or "" for path in matching(f"{UNITS}/*.service")}
        names = {os.path.basename(path)[: -len(".service")]: text for path, text in self.units.items()}
        self.ours = _reset.owned_units(names)
        self.going: set[str] = set()  # in a look at everything, what will be gone before directories are
        self.kept: list[str] = []

    def run(self, *command: str, **options: t.Any) -> None:
        code, out, err = _command.run(self.module, command, **options)
        if code != 0:
            raise Trouble(f"`{' '.join(command)}` failed: {(err or out).strip()}")

    def has(self, *names: str) -> bool:
        return any(name in self.ours for name in names)

    def state(self, unit: str) -> dict[str, str]:
        return _systemd.show(self.module, unit)

    def stop_services(self, names: list[str]) -> None:
        units = [f"{name}.service" for name in names]
        # Each for itself until none is left that makes containers.
        for unit in [unit for unit in units if unit in ("kubelet.service", "cri-dockerd.service")]:
            _docker_service.systemctl(self.module, "stop", unit)
        # An API server whose etcd is gone, here or on another host, would wait for it in vain for two minutes.
        servers = [unit for unit in units if unit != "etcd.service"]
        if servers:
            _docker_service.systemctl(self.module, "stop", "--no-block", *servers)
            late = poll(lambda: [unit for unit in servers if self.runs(unit)], lambda left: not left, STOP_SECONDS)
            if late:
                output(self.module, "systemctl", "kill", "--signal=KILL", *late)
        _docker_service.systemctl(self.module, "stop", *units)
        _docker_service.systemctl(self.module, "disable", "--quiet", *units)
        output(self.module, "systemctl", "reset-failed", *units)

    def runs(self, unit: str) -> bool:
        return self.state(unit).get("ActiveState") not in ("inactive", "failed")

    def remove_units(self, paths: list[str]) -> None:
        remove_paths(paths)
        _docker_service.systemctl(self.module, "daemon-reload")

    def remove_interfaces(self, links: list[str]) -> None:
        for link in links:
            self.run("ip", "link", "delete", link)

    def remove_tables(self, tables: list[str]) -> None:
        """nftables' tables, each as FAMILY NAME."""
        for table in tables:
            self.run("nft", "delete", "table", *table.split())

    def unmount(self, mounts: list[str]) -> None:
        for mount in mounts:
            self.run("umount", mount)


def look(host: Host, parts: list[Part]) -> dict[str, list[str]]:
    """What there is, by kind."""
    found: dict[str, list[str]] = {}
    for part in parts:
        names = part.find()
        host.going = {*host.going, *names}
        if names:
            found.setdefault(part.kind, []).extend(names)
    return found


def apply(host: Host, parts: list[Part]) -> None:
    """Remove part after part, and look anew before each: until it was stopped, the kubelet may have made more."""
    host.going = set()
    for part in parts:
        names = part.find()
        if names:
            part.remove(names)
