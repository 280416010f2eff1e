# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A user: a home directory with the installed archive, and an empty working directory."""

from __future__ import annotations

import pathlib
import re
import shutil

import pytest

from tests.packaging import archive


class User:
    """Commands of a user who has installed only the collection, with Ansible's default settings."""

    def __init__(self, directory: pathlib.Path, inventory: str) -> None:
        self.home, self.work = directory / "home", directory / "work"
        for path in (self.home, self.work):
            path.mkdir()
        self.environment = {"HOME": str(self.home)}
        self.run("ansible-galaxy", "collection", "install", "--offline", str(archive.build(directory))).demand()
        shutil.copy(inventory, self.work / "hosts.ini")

    def run(self, *words, **environment):
        return archive.command(self.work, *words, **self.environment, **environment)

    def playbook(self, name, *arguments, inventory=("-i", "hosts.ini"), **environment):
        return self.run("ansible-playbook", f"plainkube.cluster.{name}", *inventory, *arguments, **environment)


def warnings(output: str) -> list[str]:
    """Ansible's warnings."""
    return re.findall(r"^\[(?:DEPRECATION )?WARNING\]: .*", output, re.MULTILINE)


@pytest.fixture(scope="session")
def user(tmp_path_factory, inventory):
    # ssh refuses longer paths of sockets, and real home directories have short paths.
    return User(pathlib.Path(tmp_path_factory.mktemp("u")), inventory)


@pytest.fixture(scope="session")
def said():
    return warnings
