# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Variables that the tests change."""

from __future__ import annotations

import json
import pathlib

import pytest


@pytest.fixture(scope="session")
def settings(inventory):
    """Change variables like an operator, for this and all later runs of site.yml."""
    path = pathlib.Path(inventory).parent / "group_vars" / "all.yml"

    def change(**values):
        path.parent.mkdir(exist_ok=True)
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        path.write_text(json.dumps({**known, **values}), encoding="utf-8")

    change()
    return change
