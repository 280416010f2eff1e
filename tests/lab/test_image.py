# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import dataclasses
import hashlib
import io
import pathlib

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from lab import image, sums
from lab.base import LabError

SUITES = {
    "bookworm": ("debian", "12"),
    "trixie": ("debian", "13"),
    "noble": ("ubuntu", "24.04"),
    "resolute": ("ubuntu", "26.04"),
}
BASE = image.Definition("trixie", False, "http://m/debian", ('Acquire::http::Proxy "http://p";',), True, True)


def installed(suite, **more):
    """The packages that role artifacts installs on hosts of all kinds with this system, with every option."""
    kinds = ("is_control_plane", "is_node", "has_docker", "has_load_balancer", "has_virtual_ip")
    known = {**sums._roles.variables(), **{f"__cluster_{kind}": True for kind in kinds}}
    known["__cluster_facts"] = {"distribution": SUITES[suite][0], "distribution_version": SUITES[suite][1]}
    text = trust_as_template("{{ __artifacts_packages }}")
    found = Templar(DataLoader(), variables={**known, "firewall_enabled": True, **more}).template(text)
    return {package.partition("|")[0] for package in found}


@pytest.mark.parametrize("suite", SUITES)
def test_a_bare_host_has_nothing_that_the_roles_install(suite):
    bare = {*dataclasses.replace(BASE, suite=suite).packages}
    # A minimal Debian has no CAs, so it could not download anything.
    assert bare & installed(suite) == {"ca-certificates"}


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("runtime", ["docker", "containerd"])
def test_a_prepared_host_has_all_of_it(suite, runtime):
    prepared = {*dataclasses.replace(BASE, suite=suite, prepared=True).packages}
    assert len(installed(suite, cluster_runtime=runtime)) > 9
    assert installed(suite, cluster_runtime=runtime) <= prepared


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
    # Python's caches, from tests that imported a file, are not part of an image.
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


def test_ubuntu_has_its_own_archive_with_updates_and_its_own_keys():
    command = dataclasses.replace(BASE, suite="noble", mirror="http://u/ubuntu").command("out")
    suites = ("noble", "noble-updates", "noble-security")
    assert command[-5:] == ["noble", "out", *(f"deb http://u/ubuntu {suite} main universe" for suite in suites)]
    assert f"--keyring={image.UBUNTU_KEYRING}" in command
    assert not any("keyring" in word for word in BASE.command("out"))
    assert image.definition(suite="noble").mirror in image.UBUNTU_ARCHIVES.values()


@pytest.fixture
def archive(monkeypatch, tmp_path):
    """Ubuntu's archive with this package of its keys."""

    def give(content, expected):
        monkeypatch.setattr(image, "UBUNTU_KEYRING", tmp_path / "keys.gpg")
        monkeypatch.setattr(image, "UBUNTU_KEYRING_SUM", hashlib.sha256(expected).hexdigest())
        monkeypatch.setattr(image.urllib.request, "urlopen", lambda url, timeout: io.BytesIO(content))

    return give


def test_other_keys_than_ubuntus_are_refused(archive):
    archive(b"other", b"keys")
    with pytest.raises(LabError, match="it is not what Ubuntu published"):
        image.ensure_keyring()
    assert not image.UBUNTU_KEYRING.exists()


def test_without_a_mirror_of_its_own_mmdebstrap_takes_debians():
    wanted = image.Definition("trixie", False, "", (), False, False)
    assert wanted.command("out")[-2:] == ["trixie", "out"]
