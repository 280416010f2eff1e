# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Paths of this collection on a host, and directories that may be links or mount points, or have mounts below them."""

from __future__ import annotations

import glob
import os
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files, _mounts, _places, _trees
from ansible_collections.plainkube.cluster.plugins.module_utils.removal import _reset

# Prefix of all paths, for tests.
ROOT = ""
# The directories with role artifacts' symlinks.
LINKS = (_places.BINARIES, _places.CNI_PLUGINS)


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
        """The path of a link, with the links in its parents resolved."""
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

    def mount_points(self) -> list[str]:
        """The mounts below the directories, in the order in which they can be unmounted; a point appears once for each mount on it."""
        below = [_mounts.below(self.mounts, tree.place).mounts for tree in self.trees]
        found = {mount.id: mount.point for mounts in below for mount in mounts}
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
