# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""ansible-builder accepts the image definition, and finds in the installed collection what an image needs."""

from __future__ import annotations

import pytest
import yaml

from lab.base import CHECKOUT
from tests.packaging.archive import Installed, build, command


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return Installed(build(tmp_path_factory.mktemp("built")), tmp_path_factory.mktemp("installed"))


def test_the_image_definition_is_accepted(tmp_path):
    """`create` writes the build context, whose Containerfile installs the collection and what it asks for."""
    definition = str(CHECKOUT / "docs" / "execution-environment.yml")
    words = ["ansible-builder", "create", "--file", definition, "--context", str(tmp_path / "context")]
    # A name of its own, whatever engine is here.
    command(tmp_path, *words, "--output-filename", "Containerfile").demand()
    containerfile = (tmp_path / "context" / "Containerfile").read_text(encoding="utf-8")
    assert "ansible-galaxy collection install" in containerfile
    requirements = yaml.safe_load((tmp_path / "context" / "_build" / "requirements.yml").read_text(encoding="utf-8"))
    assert requirements["collections"] == [{"name": "plainkube.cluster"}]


def test_the_collection_tells_what_an_image_needs(installed):
    """The control node's needs, and nothing of what tests and lab use."""
    run = installed.run("ansible-builder", "introspect", str(installed.collections)).demand()
    found = yaml.safe_load("\n".join(line for line in run.output.splitlines() if not line.startswith("#")))
    assert [line.split(";")[0].split("#")[0].strip() for line in found["python"]] == ["cryptography>=41"]
    assert [line.split()[0] for line in found["system"]] == ["openssh-client", "openssh-clients"]
