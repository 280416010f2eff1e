# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Each line of docs/security.md names a test that exists."""

from __future__ import annotations

import pathlib
import re

TOP = pathlib.Path(__file__).parents[3]
PAGE = TOP / "docs" / "security.md"
TEST = re.compile(r"`((?:molecule|tests)/\S+\.py)::(test_\w+)`")


def tables():
    """The rows of each table whose last column is `test`."""
    found, rows = [], None
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            rows = None
        elif rows is None:
            rows = []
            if cells[-1] == "test":
                found.append(rows)
        elif set(cells) != {"---"}:
            rows.append(cells)
    return found


def test_every_line_names_a_test():
    rows = [row for table in tables() for row in table]
    assert len(rows) > 40
    assert [row for row in rows if not TEST.fullmatch(row[-1])] == []


def test_every_test_exists():
    named = TEST.findall(PAGE.read_text(encoding="utf-8"))
    assert [
        name
        for path, name in named
        if not re.search(rf"^def {name}\(", (TOP / path).read_text(encoding="utf-8"), re.MULTILINE)
    ] == []
