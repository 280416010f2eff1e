# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
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

    def listed(self, name: str) -> str:
        """A name as `listing` prints it."""
        return familiar(name)

    def listing(self, names: t.Sequence[str]) -> list[str]:
        """Print the tags of those of the names that exist, one a line; code 1 when one does not."""
        return [self.command, "image", "inspect", "--format", "{{range .RepoTags}}{{println .}}{{end}}", *names]

    def load(self, archive: str) -> list[str]:
        return [self.command, "load", "--quiet", "--input", archive]

    def pull(self, reference: str) -> list[str]:
        return [self.command, "pull", "--quiet", reference]

    def tag(self, reference: str, name: str) -> list[str]:
        return [self.command, "tag", reference, name]


class Containerd(t.NamedTuple):
    """The commands of containerd's own client, for the images that Kubernetes sees."""

    command: tuple[str, ...] = ("ctr", "--namespace", "k8s.io", "images")
    service: str = "containerd.service"

    def listed(self, name: str) -> str:
        """A name as `listing` prints it: in full, as the roles write names."""
        return name

    def listing(self, names: t.Sequence[str]) -> list[str]:
        """Print the names of all images, one a line: those that are asked for, and others."""
        return [*self.command, "list", "--quiet"]

    def load(self, archive: str) -> list[str]:
        return [*self.command, "import", archive]

    def pull(self, reference: str) -> list[str]:
        """Through the mirrors that the kubelet's pulls go through as well."""
        return [*self.command, "pull", "--hosts-dir", "/etc/containerd/certs.d", reference]

    def tag(self, reference: str, name: str) -> list[str]:
        return [*self.command, "tag", "--force", reference, name]


RUNTIMES: dict[str, t.Any] = {"docker": Docker(), "containerd": Containerd()}
