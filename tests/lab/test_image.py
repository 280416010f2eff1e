# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import dataclasses
import pathlib

from lab import image

BASE = image.Definition("trixie", False, "http://m/debian", ('Acquire::http::Proxy "http://p";',), True, True)


def test_a_bare_host_has_nothing_that_the_roles_install():
    assert not {*image.ROLES, "docker-cli"} & set(BASE.packages)


def test_a_prepared_host_has_it():
    packages = dataclasses.replace(BASE, prepared=True).packages
    assert {*image.BARE, *image.ROLES, "docker-cli"} == set(packages)
    assert "docker-cli" not in dataclasses.replace(BASE, prepared=True, suite="bookworm").packages


def test_every_part_of_the_definition_changes_the_digest():
    others = [
        dataclasses.replace(BASE, **{field: value})
        for field, value in {
            "suite": "bookworm",
            "prepared": True,
            "mirror": "http://n/debian",
            "settings": (),
            "bounded": False,
            "cgroup_v1": False,
        }.items()
    ]
    assert len({BASE.digest, *(other.digest for other in others)}) == 7


def test_files_change_the_digest_and_their_place_does_not(monkeypatch, tmp_path):
    before = BASE.digest
    for path in image.FILES.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    # What Python leaves there when a test has imported a file is no part of an image.
    (tmp_path / "__pycache__").mkdir()
    monkeypatch.setattr(image, "FILES", tmp_path)
    assert before == BASE.digest
    pathlib.Path(tmp_path, "lab-init").write_text("other")
    assert before != BASE.digest


def test_command():
    command = BASE.command("/tmp/out.tar")
    assert command[0] == "mmdebstrap"
    assert command[-3:] == ["trixie", "/tmp/out.tar", "deb http://m/debian trixie main"]
    assert '--aptopt=Acquire::http::Proxy "http://p"' in command


def test_without_a_mirror_of_its_own_mmdebstrap_takes_debians():
    wanted = image.Definition("trixie", False, "", (), False, False)
    assert wanted.command("out")[-2:] == ["trixie", "out"]
