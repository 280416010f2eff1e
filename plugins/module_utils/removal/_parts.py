# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The parts of this collection on a host: how to find, name and remove them."""

from __future__ import annotations

import contextlib
import glob
import os
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command, _files, _mounts, _trees
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.removal import _reset
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _docker_service
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime._docker_service import Trouble, output
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _systemd

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

Found = dict[str, list[str]]
# Table -> lines for iptables-restore.
Rules = dict[str, list[str]]
Owned = t.Callable[[str], Rules]
Also = t.Callable[[Rules], None]
# Tests put a directory of theirs before all paths.
ROOT = ""
UNITS = "/etc/systemd/system"
# Timeout for a service to stop before it is removed.
STOP_SECONDS = 15
# Where role artifacts has symlinks.
LINKS = ("/usr/local/bin", "/opt/cni/bin")


class Part(t.NamedTuple):
    """One kind of part: how to find, name and remove its items."""

    kind: str
    find: t.Callable[[], list[str]]
    remove: t.Callable[[list[str]], None]
    # Our services, one of which must be on the host; empty: always ours.
    owners: tuple[str, ...] = ()
    # Why it is not safe to remove them, in sentences.
    refusals: t.Callable[[], list[str]] = list


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
    """Where a path leads, links followed."""
    return os.path.realpath(at(path))[len(ROOT) :]


def mounted() -> list[_mounts.Mount]:
    return _mounts.parse(_files.read(at("/proc/self/mountinfo")) or "")


class Tree(t.NamedTuple):
    """A directory that is ours with all in it."""

    path: str  # as our components know it
    place: str  # where that leads
    stays: bool  # somebody has put a link or a mount point there


class Trees:
    """Directories that are ours with all in them, and files. They go, and what is mounted below them is unmounted.

    Where somebody has put a link or a mount point in the place of a directory, only what is in it goes: the link, the directory that it
    leads to and the mount stay. So the name of a directory of which only the content goes ends with a slash.
    """

    def __init__(self, paths: t.Iterable[str]) -> None:
        self.mounts = mounted()
        points = {mount.point for mount in self.mounts}
        found = there(paths)
        # A link that leads to no directory is not ours.
        self.files = [path for path in found if not os.path.isdir(at(path)) and not os.path.islink(at(path))]
        trees = []
        for path in found:
            place = resolved(path)
            if os.path.isdir(at(path)):
                trees.append(Tree(path, place, os.path.islink(at(path)) or place in points))
        # A directory in another one goes with that.
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
        """What there is to remove."""
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

    def mount_points(self) -> list[str]:
        """What is mounted below the directories, in the order in which it can be unmounted; a point as often as something is mounted there."""
        below = [_mounts.below(self.mounts, tree.place).mounts for tree in self.trees]
        found = {mount.id: mount.point for mounts in below for mount in mounts}
        return [point for point in found.values() if point not in self.kept]

    def refusals(self) -> list[str]:
        """Why it is not safe to remove them, in sentences."""
        return [trouble for tree in self.trees for trouble in self.troubles(tree)]

    def troubles(self, tree: Tree) -> t.Iterator[str]:
        names = [name for name in listed(tree.place) if f"{tree.place}/{name}" not in self.kept]
        strangers = _reset.strangers(tree.path, names) if tree.stays else []
        if strangers:
            what = f"is a link to {tree.place}, which" if os.path.islink(at(tree.path)) else "is a mount point, and"
            more = " and more" if len(strangers) > 5 else ""
            yield (
                f"{tree.path} {what} also holds {', '.join(strangers[:5])}{more}, and that is not the cluster's: "
                "move it to another directory"
            )
        for path in (f"{tree.place}/{name}" for name in names):
            if os.path.islink(at(path)) and os.path.isdir(at(path)):
                yield (
                    f"{path} is a link to {resolved(path)}, and what is there may not be the cluster's: unmount and remove there what is, "
                    "remove the link"
                )
        hidden = _mounts.below(self.mounts, tree.place).hidden
        if hidden:
            more = " and more" if len(hidden) > 1 else ""
            yield (
                f"{hidden[0].point}{more} cannot be unmounted, because another file system was mounted at {tree.place} later: "
                "unmount that one"
            )


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

    def active(self, unit: str) -> bool:
        return self.state(unit).get("ActiveState") == "active"

    def started(self, names: t.Iterable[str]) -> list[str]:
        """Those of the services that run, have failed, or would start at boot."""
        states = {name: self.state(f"{name}.service") for name in names}
        return [
            name
            for name, state in states.items()
            if state.get("ActiveState") not in ("inactive", None) or state.get("UnitFileState") == "enabled"
        ]

    def stop_services(self, names: list[str]) -> None:
        units = [f"{name}.service" for name in names]
        # One by one until no service is left that creates containers.
        for unit in [unit for unit in units if unit in ("kubelet.service", "cri-dockerd.service")]:
            _docker_service.systemctl(self.module, "stop", unit)
        # An API server whose etcd is gone, here or on another host, would wait two minutes for it.
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

    def each(self, *command: str) -> t.Callable[[list[str]], None]:
        """What runs a command for each name, which may be several words."""

        def run(names: list[str]) -> None:
            for name in names:
                self.run(*command, *name.split())

        return run

    # --- parts of several kinds ---

    def tree_parts(self, kind: str, paths: t.Callable[[], list[str]], owners: tuple[str, ...] = ()) -> list[Part]:
        """Directories that are ours with all in them, and what is mounted there."""

        def remove(dummy: list[str]) -> None:
            Trees(paths()).remove()

        return [
            Part("mount", lambda: Trees(paths()).mount_points(), self.unmount, owners),
            Part(kind, lambda: Trees(paths()).names(), remove, owners, lambda: Trees(paths()).refusals()),
        ]

    def binary_parts(self, *directories: str) -> list[Part]:
        """Directories of role artifacts, and the links that lead there."""
        inside = tuple(f"{directory}/" for directory in directories)

        def links() -> list[str]:
            paths = [path for directory in LINKS for path in matching(f"{directory}/*") if os.path.islink(at(path))]
            return [path for path in paths if os.readlink(at(path)).startswith(inside)]

        return [Part("link", links, remove_files), *self.tree_parts("binaries", lambda: [*directories])]

    def rule_part(self, command: str, owned: Owned, owners: tuple[str, ...], also: Also = lambda tables: None) -> Part:
        """Rules of iptables: `owned` finds them in what `iptables-save` prints, `also` adds what else changes with them."""

        def find() -> Rules:
            return owned(output(self.module, f"{command}-save"))

        def remove(dummy: list[str]) -> None:
            rules = find()
            also(rules)
            self.run(f"{command}-restore", "--noflush", "--wait", data=_reset.restore_script(rules))

        return Part("rules", lambda: _reset.rule_names(command, find()), remove, owners)

    def table_part(self, tables: t.Container[str], owners: tuple[str, ...]) -> Part:
        """Tables of nftables, each as FAMILY NAME."""

        def find() -> list[str]:
            return _reset.owned_tables(output(self.module, "nft", "list", "tables"), tables)

        return Part("nftables table", find, self.each("nft", "delete", "table"), owners)

    def unmount(self, points: list[str]) -> None:
        for point in points:
            # It may have disappeared together with another mount of which it was a copy.
            if any(mount.point == point for mount in mounted()):
                self.unmount_one(point)

    def unmount_one(self, point: str) -> None:
        command = ["umount", point]
        code, out, err = _command.run(self.module, command)
        if code == 0:
            return
        # Unmounted lazily, what is in it could still be read.
        holders = _trees.holders(at(point)) if os.path.lexists(at(point)) else []
        if holders:
            raise Trouble(f"{point} cannot be unmounted, because it is used by {', '.join(holders)}")
        raise Trouble(f"`{' '.join(command)}` failed: {(err or out).strip()}")

    # --- all of it ---

    def parts(self) -> list[Part]:
        """In the order in which they are removed."""
        raise NotImplementedError

    def wake(self) -> None:
        """Start the runtimes that have to be asked for what is left in them."""

    def concerned(self) -> list[Part]:
        return [part for part in self.parts() if not part.owners or self.has(*part.owners)]

    def look(self) -> Found:
        """What there is, by kind."""
        found: Found = {}
        for part in self.concerned():
            names = part.find()
            self.going = {*self.going, *names}
            if names:
                found.setdefault(part.kind, []).extend(names)
        return found

    def apply(self) -> None:
        """Remove the parts one after the other, and search again before each: until it was stopped, the kubelet may have created more."""
        self.going = set()
        for part in self.concerned():
            names = part.find()
            if names:
                part.remove(names)

    def refuse(self, again: str) -> None:
        """Fail where it is not safe to remove the parts. `again` is what to run once more after an error."""
        refusals = [sentence for part in self.concerned() for sentence in part.refusals()]
        if refusals:
            self.module.fail_json(msg=f"Nothing was removed: {'; '.join(refusals)}, and run {again} again.")

    def remove(self) -> Found:
        """Remove what there is, or in check mode only tell."""
        found = self.look()
        if found and not self.module.check_mode:
            with _run.held(self.module):
                self.wake()
                self.apply()
        return found


@contextlib.contextmanager
def explained(module: AnsibleModule, again: str) -> t.Iterator[None]:
    """Ends the module with a sentence where something fails."""
    try:
        yield
    except (Trouble, OSError, ValueError) as error:
        module.fail_json(msg=f"{str(error).rstrip('.')}. Put that right, and run {again} again: it goes on from here.")


def report(found: Found, pending: t.Sequence[Action] = ()) -> dict[str, t.Any]:
    """The module's answer. The unit of a service is a part of its own."""
    pairs = [(kind, name) for kind, names in found.items() for name in names]
    done = [Action("stop", name) if kind == "service" else Action("remove", f"{kind} {name}") for kind, name in pairs]
    before = "".join(f"{kind} {name}\n" for kind, name in pairs)
    return {
        **_actions.result([*done, *pending]),
        "diff": {"before_header": "this host", "after_header": "this host", "before": before, "after": ""},
    }
