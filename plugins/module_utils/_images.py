# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""Image names and the commands of the container runtimes that have to do with images."""

from __future__ import annotations

import typing as t


def familiar(name: str) -> str:
    """A name as Docker lists it: without docker.io/ and library/, which it adds by itself."""
    for prefix in ("docker.io/library/", "docker.io/"):
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


def repository(name: str) -> str:
    """A name without its tag; the port of a registry is no tag."""
    head, colon, tail = name.rpartition(":")
    return head if colon and "/" not in tail else name


def from_registry(name: str, registry: str) -> str:
    """What to pull for `name` from a registry of one's own: the same path, another host. Empty registry: the name itself."""
    return f"{registry.rstrip('/')}/{name.partition('/')[2]}" if registry else name


def pull_reference(source: str, digest: str) -> str:
    """What to pull: by digest where one is given, else by tag."""
    return f"{repository(source)}@{digest}" if digest else source


class Docker(t.NamedTuple):
    """The commands of Docker Engine; another runtime has a class with the same methods."""

    command: str = "docker"
    service: str = "docker.service"

    def list(self, names: t.Sequence[str]) -> list[str]:
        """Print the tags of those of the names that exist, one a line; code 1 when one does not."""
        return [self.command, "image", "inspect", "--format", "{{range .RepoTags}}{{println .}}{{end}}", *names]

    def load(self, archive: str) -> list[str]:
        return [self.command, "load", "--quiet", "--input", archive]

    def pull(self, reference: str) -> list[str]:
        return [self.command, "pull", "--quiet", reference]

    def tag(self, reference: str, name: str) -> list[str]:
        return [self.command, "tag", reference, name]


RUNTIMES: dict[str, t.Any] = {"docker": Docker()}
