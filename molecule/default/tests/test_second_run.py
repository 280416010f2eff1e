# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A second run of site.yml starts nothing again."""

from __future__ import annotations

import json
import os
import pathlib


def invocations(when):
    path = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], f"invocations-{when}.json")
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_last_run_restarted_nothing():
    """The last run is the one for idempotence; in scenario default, whose tests have run site.yml before, it is `converge`. After a `molecule
    converge` by hand that changed something, converge once more."""
    before, after = invocations("before"), invocations("after")
    assert any(line.startswith("InvocationID=") and len(line) > 20 for lines in after.values() for line in lines)
    assert before == after
