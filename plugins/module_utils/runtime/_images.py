# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Image names, and the container runtimes' commands for images."""

from __future__ import annotations

import typing as t


def familiar(name: str) -> str:
    """A name as Docker lists it: without docker.io/ and library/, which are implied."""
    for prefix in ("docker.io/library/", "docker.io/"):
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


def repository(name: str) -> str:
    """A name without its tag; a registry's port is not a tag."""
    head, colon, tail = name.rpartition(":")
    return head if colon and "/" not in tail else name


def from_registry(name: str, registry: str) -> str:
    """The reference to pull for `name` from a private registry: the same path on another host. With an empty registry, the name itself."""
    return f"{registry.rstrip('/')}/{name.partition('/')[2]}" if registry else name


def pull_reference(source: str, digest: str) -> str:
    """The reference to pull: with the digest if there is one, else with the tag."""
    return f"{repository(source)}@{digest}" if digest else source


class Docker(t.NamedTuple):
    """The commands of Docker Engine; other runtimes have a class with the same methods."""

    command: str = "docker"
    service: str = "docker.service"

    def listed(self, name: str) -> str:
        """A name as `listing` prints it."""
        return familiar(name)

    def listing(self, names: t.Sequence[str]) -> list[str]:
        """Print the tags of the existing names, one per line; code 1 if one does not exist."""
        return [self.command, "image", "inspect", "--format", "{{range .RepoTags}}{{println .}}{{end}}", *names]

    def load(self, archive: str) -> list[str]:
        return [self.command, "load", "--quiet", "--input", archive]

    def pull(self, reference: str) -> list[str]:
        return [self.command, "pull", "--quiet", reference]

    def tag(self, reference: str, name: str) -> list[str]:
        return [self.command, "tag", reference, name]


class Containerd(t.NamedTuple):
    """The commands of containerd's own client, for Kubernetes' images."""

    command: tuple[str, ...] = ("ctr", "--namespace", "k8s.io", "images")
    service: str = "containerd.service"

    def listed(self, name: str) -> str:
        """A name as `listing` prints it: the full name, as in the roles."""
        return name

    def listing(self, names: t.Sequence[str]) -> list[str]:
        """Print the names of all images, one per line, including other images."""
        return [*self.command, "list", "--quiet"]

    def load(self, archive: str) -> list[str]:
        return [*self.command, "import", archive]

    def pull(self, reference: str) -> list[str]:
        """Through the same mirrors as the kubelet's pulls."""
        return [*self.command, "pull", "--hosts-dir", "/etc/containerd/certs.d", reference]

    def tag(self, reference: str, name: str) -> list[str]:
        return [*self.command, "tag", "--force", reference, name]


RUNTIMES: dict[str, t.Any] = {"docker": Docker(), "containerd": Containerd()}
