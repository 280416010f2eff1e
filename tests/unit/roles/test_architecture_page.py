# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The path of one setting in docs/architecture.md has every file that names the setting, and only files that exist."""

from __future__ import annotations

import pathlib
import re

TOP = pathlib.Path(__file__).parents[3]
SETTING = "etcd_auto_compaction_retention"


def listed():
    text = (TOP / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text[text.index("#### Files on this path") : text.index("## Roles\n")]
    return re.findall(r"^\| `([\w/.]+)` \|", section, re.MULTILINE)


def test_the_path_is_short_and_its_files_exist():
    assert 10 < len(listed()) <= 14
    assert [path for path in listed() if not (TOP / path).is_file()] == []


def test_no_file_that_names_the_setting_is_left_out():
    files = [path for top in ("roles", "plugins", "playbooks") for path in (TOP / top).rglob("*.*")]
    texts = {
        str(path.relative_to(TOP)): path.read_text(encoding="utf-8")
        for path in files
        if path.is_file() and path.suffix in (".py", ".yml", ".j2", ".sh")
    }
    named = {path for path, text in texts.items() if SETTING in text}
    assert len(named) > 3
    assert named - {*listed()} == set()
