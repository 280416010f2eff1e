# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Removal of directories without mounts; tests/lab/test_mounts.py tests mounts."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _trees


@pytest.fixture
def place(tmp_path):
    """A directory with files, a pipe, and links to what must stay."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/canary").write_text("mine", encoding="utf-8")
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/b/file").write_text("x", encoding="utf-8")
    os.mkfifo(tree / "a/pipe")
    (tree / "a/directory").symlink_to(tmp_path / "mine")
    (tree / "a/file").symlink_to(tmp_path / "mine/canary")
    (tree / "a/nowhere").symlink_to("/nonexistent")
    (tree / "empty").mkdir()
    os.mkdir(os.path.join(os.fsencode(tree), b"\xff\n name"))
    return tree


def left(place):
    return sorted(
        os.path.relpath(os.path.join(top, name), place)
        for top, names, files in os.walk(place)
        for name in names + files
    )


def test_links_are_removed_and_not_followed(place):
    _trees.remove(str(place))
    assert not place.exists()
    assert left(place.parent) == ["mine", "mine/canary"]


def test_of_a_place_that_stays_the_content_goes(place):
    assert _trees.holds(str(place))
    _trees.remove(str(place), content_only=True)
    assert os.listdir(place) == []
    assert not _trees.holds(str(place))


def test_what_is_kept_stays_with_what_leads_to_it(place):
    kept = {f"{place}/a/directory", f"{place}/empty"}
    _trees.remove(str(place), kept)
    assert left(place) == ["a", "a/directory", "empty"]
    assert not _trees.holds(str(place), kept)
    assert _trees.holds(str(place), {f"{place}/a/directory"})


def test_a_link_in_the_place_itself_is_only_a_link(place):
    link = place.parent / "link"
    link.symlink_to(place)
    _trees.remove(str(link))
    assert not link.is_symlink()
    assert place.exists()


def test_a_link_is_not_taken_for_the_directory_that_it_leads_to(place):
    """It became one just now."""
    link = place.parent / "link"
    link.symlink_to(place)
    _trees.remove(str(link), content_only=True)
    assert (place / "a/b/file").exists()


def test_a_file_is_removed(place):
    _trees.remove(f"{place}/a/b/file")
    assert os.listdir(place / "a/b") == []


def test_a_directory_may_be_deeper_than_python_and_paths_reach(place):
    levels = 6000
    script = f"import os; os.chdir({str(place)!r})\nfor dummy in range({levels}):\n    os.mkdir('deep')\n    os.chdir('deep')\n"
    subprocess.run([sys.executable, "-c", script], check=True)
    _trees.remove(str(place))
    assert not place.exists()


def test_descriptors_are_closed(place):
    before = os.listdir("/proc/self/fd")
    _trees.remove(str(place), {f"{place}/a/b"})
    with pytest.raises(FileNotFoundError):
        _trees.remove(f"{place}/nothing")
    assert len(os.listdir("/proc/self/fd")) == len(before)
