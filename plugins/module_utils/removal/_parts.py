# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The parts of this collection on a host: how to find, name and remove them."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command, _files, _trees
from ansible_collections.plainkube.cluster.plugins.module_utils.host._places import UNITS
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.removal import _paths, _reset
from ansible_collections.plainkube.cluster.plugins.module_utils.removal._paths import Trees, at, matching, there
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _systemd

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

# Kind -> names.
Found = dict[str, list[str]]
# Timeout for a service to stop before it is removed.
STOP_SECONDS = 15


class Part(t.NamedTuple):
    """One kind of part: how to find, name and remove its items."""

    kind: str
    find: t.Callable[[], list[str]]
    remove: t.Callable[[list[str]], None]
    # Our services, one of which must be on the host; empty: always ours.
    owners: tuple[str, ...] = ()
    # Why it is not safe to remove them, as sentences.
    refusals: t.Callable[[], list[str]] = list


class Host:
    """The current state of the host. The units that existed at the start identify what is ours."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        paths = matching(f"{UNITS}/*.service")
        self.units = {os.path.basename(path)[: -len(".service")]: _files.read(at(path)) or "" for path in paths}
        self.ours = _reset.owned_units(self.units)
        # Why something stays, as sentences.
        self.kept: list[str] = []

    def parts(self) -> list[Part]:
        """In the order of removal."""
        raise NotImplementedError

    def wake(self) -> None:
        """Start the stopped runtimes: only they can list what is left in them."""

    # --- inspection and removal ------------------------------------------------------------------------------------

    def applicable(self) -> list[Part]:
        return [part for part in self.parts() if not part.owners or self.has(*part.owners)]

    def refuse(self, again: str) -> None:
        """Fail if it is not safe to remove the parts. `again` is what to run again."""
        refusals = [sentence for part in self.applicable() for sentence in part.refusals()]
        if refusals:
            self.module.fail_json(msg=f"Nothing was removed: {'; '.join(refusals)}, and run {again} again.")

    def inspect(self) -> Found:
        """The existing items, by kind."""
        found: Found = {}
        for part in self.applicable():
            names = part.find()
            if names:
                found.setdefault(part.kind, []).extend(names)
        return found

    def remove(self) -> None:
        """Remove the parts one by one, and search again before each: the kubelet may have created more until it stopped."""
        self.wake()
        for part in self.applicable():
            names = part.find()
            if names:
                part.remove(names)

    # --- commands --------------------------------------------------------------------------------------------------

    def run(self, *command: str, **options: t.Any) -> None:
        _command.check(self.module, *command, **options)

    def output(self, *command: str) -> str:
        return _command.output(self.module, *command)

    def each(self, *command: str) -> t.Callable[[list[str]], None]:
        """A function that runs a command for each name, which may consist of several words."""

        def run(names: list[str]) -> None:
            for name in names:
                self.run(*command, *name.split())

        return run

    # --- services --------------------------------------------------------------------------------------------------

    def has(self, *names: str) -> bool:
        return any(name in self.ours for name in names)

    def state(self, unit: str) -> dict[str, str]:
        return _systemd.show(self.module, unit)

    def active(self, unit: str) -> bool:
        return self.state(unit).get("ActiveState") == "active"

    def runs(self, unit: str) -> bool:
        return self.state(unit).get("ActiveState") not in ("inactive", "failed")

    def started(self, names: t.Iterable[str]) -> list[str]:
        """The services that are running, have failed, or would start at boot."""
        states = {name: self.state(f"{name}.service") for name in names}
        return [
            name
            for name, state in states.items()
            if state.get("ActiveState") not in ("inactive", None) or state.get("UnitFileState") == "enabled"
        ]

    def stop_services(self, names: list[str]) -> None:
        units = [f"{name}.service" for name in names]
        # One by one, until no service that creates containers is left.
        for unit in [unit for unit in units if unit in ("kubelet.service", "cri-dockerd.service")]:
            self.run("systemctl", "stop", unit)
        # An API server without etcd, on this or another host, would wait two minutes for it.
        servers = [unit for unit in units if unit != "etcd.service"]
        if servers:
            self.run("systemctl", "stop", "--no-block", *servers)
            late = poll(lambda: [unit for unit in servers if self.runs(unit)], lambda left: not left, STOP_SECONDS)
            if late:
                self.output("systemctl", "kill", "--signal=KILL", *late)
        self.run("systemctl", "stop", *units)
        self.run("systemctl", "disable", "--quiet", *units)
        self.output("systemctl", "reset-failed", *units)

    def unit_part(self, names: t.Iterable[str]) -> Part:
        """Units are removed last, because they identify what is ours."""

        def remove(paths: list[str]) -> None:
            _paths.remove_files(paths)
            self.run("systemctl", "daemon-reload")

        return Part("unit", lambda: there(f"{UNITS}/{name}.service" for name in names if self.has(name)), remove)

    # --- files -----------------------------------------------------------------------------------------------------

    def tree_parts(self, kind: str, paths: t.Callable[[], list[str]], owners: tuple[str, ...] = ()) -> list[Part]:
        """Directories that are ours with all their content, and the mounts below them."""

        def remove(dummy: list[str]) -> None:
            Trees(paths()).remove()

        return [
            Part("mount", lambda: Trees(paths()).mount_points(), self.unmount, owners),
            Part(kind, lambda: Trees(paths()).names(), remove, owners, lambda: Trees(paths()).refusals()),
        ]

    def binary_parts(self, *directories: str) -> list[Part]:
        """Directories of role artifacts, and the links to them."""
        inside = tuple(f"{directory}/" for directory in directories)

        def links() -> list[str]:
            paths = [
                path for directory in _paths.LINKS for path in matching(f"{directory}/*") if os.path.islink(at(path))
            ]
            return [path for path in paths if os.readlink(at(path)).startswith(inside)]

        return [Part("link", links, _paths.remove_files), *self.tree_parts("binaries", lambda: [*directories])]

    def unmount(self, points: list[str]) -> None:
        for point in points:
            try:
                # It may have disappeared together with a mount whose copy it was.
                if any(mount.point == point for mount in _paths.mounted()):
                    self.run("umount", point)
            except _command.Failed:
                # After a lazy unmount, its content would still be readable.
                holders = ", ".join(_trees.holders(at(point)) if there([point]) else [])
                if not holders:
                    raise
                raise _command.Failed(f"{point} cannot be unmounted, because it is used by {holders}") from None

    def remove_drop_ins(self, paths: list[str]) -> None:
        _paths.remove_files(paths)
        for directory in {os.path.dirname(path) for path in paths}:
            with contextlib.suppress(OSError):  # a directory with files of other software, too
                os.rmdir(at(directory))
        self.run("systemctl", "daemon-reload")

    # --- packet filters --------------------------------------------------------------------------------------------

    def rule_part(self, command: str, owned: t.Callable[[str], _reset.Rules], owners: tuple[str, ...]) -> Part:
        """Rules of iptables; `owned` finds them in the output of `iptables-save`."""

        def find() -> _reset.Rules:
            return owned(self.output(f"{command}-save"))

        def remove(dummy: list[str]) -> None:
            self.run(f"{command}-restore", "--noflush", "--wait", data=_reset.restore_script(find()))

        return Part("rules", lambda: _reset.rule_names(command, find()), remove, owners)

    def table_part(self, tables: t.Container[str], owners: tuple[str, ...]) -> Part:
        """Tables of nftables, each as FAMILY NAME."""

        def find() -> list[str]:
            return _reset.owned_tables(self.output("nft", "list", "tables"), tables)

        return Part("nftables table", find, self.each("nft", "delete", "table"), owners)


@contextlib.contextmanager
def explained(module: AnsibleModule, again: str) -> t.Iterator[None]:
    """Ends the module with a sentence if something fails."""
    try:
        yield
    except (_command.Failed, OSError, ValueError) as error:
        module.fail_json(msg=f"{str(error).rstrip('.')}. Fix that, and run {again} again: it resumes here.")


def actions(found: Found) -> list[Action]:
    """The actions that remove what was found. The unit of a service is a separate part."""
    pairs = [(kind, name) for kind, names in found.items() for name in names]
    return [Action("stop", name) if kind == "service" else Action("remove", f"{kind} {name}") for kind, name in pairs]


def diff(found: Found) -> dict[str, str]:
    """Ansible's diff."""
    before = "".join(f"{kind} {name}\n" for kind, names in found.items() for name in names)
    return {"before_header": "this host", "after_header": "this host", "before": before, "after": ""}
