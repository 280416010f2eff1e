# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The parts of this collection on a host: how to find, name and remove them."""

from __future__ import annotations

import glob
import os
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command, _files, _mounts, _trees
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.removal import _reset
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _docker_service
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime._docker_service import Failure, output
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _systemd

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

# Prefix of all paths, for tests.
ROOT = ""
UNITS = "/etc/systemd/system"
# Timeout for a service to stop before it is removed.
STOP_SECONDS = 15


class Part(t.NamedTuple):
    """One kind of part: how to find, name and remove its items."""

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


def remove_files(paths: t.Iterable[str]) -> None:
    for path in paths:
        os.unlink(at(path))


def resolved(path: str) -> str:
    """The target of a path, following links."""
    return os.path.realpath(at(path))[len(ROOT) :]


def mounted() -> list[_mounts.Mount]:
    return _mounts.parse(_files.read(at("/proc/self/mountinfo")) or "")


class Tree(t.NamedTuple):
    """A directory that is ours with all its content."""

    path: str  # the path in our components
    place: str  # its target
    stays: bool  # whether it is a link or a mount point


class Trees:
    """Our files, and directories that are ours with all their content. They are removed, and everything mounted below them is unmounted.

    If a directory is a link or a mount point, only its content is removed: the link, the directory to which it
    leads, and the mount stay. The name of a directory that loses only its content ends with a slash.
    """

    def __init__(self, paths: t.Iterable[str]) -> None:
        self.mounts = mounted()
        points = {mount.point for mount in self.mounts}
        found = there(paths)
        # A link that does not lead to a directory is not ours.
        self.files = [path for path in found if not os.path.isdir(at(path)) and not os.path.islink(at(path))]
        trees = []
        for path in found:
            place = resolved(path)
            if os.path.isdir(at(path)):
                trees.append(Tree(path, place, os.path.islink(at(path)) or place in points))
        # A subdirectory is removed together with its parent.
        self.trees = [
            tree for tree in trees if tree.stays or not any(_mounts.within(tree.place, one.place) for one in trees)
        ]
        self.kept = {tree.place for tree in self.trees if tree.stays}
        self.kept |= {f"{point}/lost+found" for point in self.kept & points}
        self.kept |= {self.location(tree.path) for tree in self.trees if os.path.islink(at(tree.path))}

    @staticmethod
    def location(path: str) -> str:
        """Where a link is, those on the way to it followed."""
        return f"{resolved(os.path.dirname(path))}/{os.path.basename(path)}"

    def keep(self) -> set[str]:
        return {at(path) for path in self.kept}

    def names(self) -> list[str]:
        """The items to remove."""
        found = [*self.files]
        for tree in self.trees:
            content_only = tree.stays or any(_mounts.within(path, tree.place) for path in self.kept)
            if not content_only or _trees.holds(at(tree.place), self.keep()):
                found.append(f"{tree.path}/" if content_only else tree.path)
        return found

    def remove(self) -> None:
        remove_files(self.files)
        for tree in self.trees:
            _trees.remove(at(tree.place), self.keep(), content_only=tree.stays)

    def below(self) -> list[_mounts.Below]:
        return [_mounts.below(self.mounts, tree.place) for tree in self.trees]

    def mount_points(self) -> list[str]:
        """What is mounted below the directories, in the order in which it can be unmounted; a point as often as something is mounted there."""
        found = {mount.id: mount.point for below in self.below() for mount in below.mounts}
        return [point for point in found.values() if point not in self.kept]

    def refusals(self) -> list[str]:
        """Why it is not safe to remove them, as sentences."""
        return [problem for tree in self.trees for problem in self.problems(tree)]

    def problems(self, tree: Tree) -> t.Iterator[str]:
        names = [name for name in listed(tree.place) if f"{tree.place}/{name}" not in self.kept]
        strangers = _reset.strangers(tree.path, names) if tree.stays else []
        if strangers:
            what = f"is a link to {tree.place}, which" if os.path.islink(at(tree.path)) else "is a mount point, and"
            more = " and more" if len(strangers) > 5 else ""
            yield (
                f"{tree.path} {what} also contains {', '.join(strangers[:5])}{more}, which does not belong to the cluster: "
                "move it to another directory"
            )
        for path in (f"{tree.place}/{name}" for name in names):
            if os.path.islink(at(path)) and os.path.isdir(at(path)):
                yield (
                    f"{path} is a link to {resolved(path)}, and its content may not belong to the cluster: unmount and remove what does, "
                    "remove the link"
                )
        hidden = _mounts.below(self.mounts, tree.place).hidden
        if hidden:
            more = " and more" if len(hidden) > 1 else ""
            yield (
                f"{hidden[0].point}{more} cannot be unmounted, because another file system was mounted at {tree.place} later: "
                "unmount that one"
            )


def remove_cgroup(path: str) -> OSError | None:
    """Remove a cgroup with those below it; returns the error if one of them still has processes."""
    try:
        for directory, _names, _files_in_it in os.walk(at(path), topdown=False):
            os.rmdir(directory)
    except OSError as error:
        return error
    return None


class Host:
    """The current state of the host. The units that existed at the start identify what is ours."""

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
            raise Failure(f"`{' '.join(command)}` failed: {(err or out).strip()}")

    def has(self, *names: str) -> bool:
        return any(name in self.ours for name in names)

    def state(self, unit: str) -> dict[str, str]:
        return _systemd.show(self.module, unit)

    def stop_services(self, names: list[str]) -> None:
        units = [f"{name}.service" for name in names]
        # One by one, until no service that creates containers is left.
        for unit in [unit for unit in units if unit in ("kubelet.service", "cri-dockerd.service")]:
            _docker_service.systemctl(self.module, "stop", unit)
        # An API server without etcd, on this or another host, would wait two minutes for it.
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
        remove_files(paths)
        _docker_service.systemctl(self.module, "daemon-reload")

    def remove_interfaces(self, links: list[str]) -> None:
        for link in links:
            self.run("ip", "link", "delete", link)

    def remove_tables(self, tables: list[str]) -> None:
        """nftables' tables, each as FAMILY NAME."""
        for table in tables:
            self.run("nft", "delete", "table", *table.split())

    def unmount(self, points: list[str]) -> None:
        for point in points:
            # It may have disappeared together with a mount whose copy it was.
            if any(mount.point == point for mount in mounted()):
                self.unmount_one(point)

    def unmount_one(self, point: str) -> None:
        command = ["umount", point]
        code, out, err = _command.run(self.module, command)
        if code == 0:
            return
        # After a lazy unmount, its content would still be readable.
        holders = _trees.holders(at(point)) if os.path.lexists(at(point)) else []
        if holders:
            raise Failure(f"{point} cannot be unmounted, because it is used by {', '.join(holders)}")
        raise Failure(f"`{' '.join(command)}` failed: {(err or out).strip()}")


def inspect(host: Host, parts: list[Part]) -> dict[str, list[str]]:
    """The existing items, by kind."""
    found: dict[str, list[str]] = {}
    for part in parts:
        names = part.find()
        host.going = {*host.going, *names}
        if names:
            found.setdefault(part.kind, []).extend(names)
    return found


def actions(found: t.Mapping[str, t.Sequence[str]]) -> list[Action]:
    """The actions that remove what was found. The unit of a service is a separate part."""
    pairs = [(kind, name) for kind, names in found.items() for name in names]
    return [Action("stop", name) if kind == "service" else Action("remove", f"{kind} {name}") for kind, name in pairs]


def apply(host: Host, parts: list[Part]) -> None:
    """Remove the parts one by one, and search again before each: the kubelet may have created more until it stopped."""
    host.going = set()
    for part in parts:
        names = part.find()
        if names:
            part.remove(names)
