# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A second run of site.yml restarts nothing. For scenarios whose converge.yml records the services before and after the run."""

from __future__ import annotations

import json
import os
import pathlib


def invocations(when):
    path = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], f"invocations-{when}.json")
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_last_run_restarted_nothing():
    """The last run is `idempotence`; in scenario default, whose tests have run site.yml before, it is `converge`. If a `molecule converge` by hand
    changed something, run it again before `molecule verify`."""
    before, after = invocations("before"), invocations("after")
    assert any(line.startswith("InvocationID=") and len(line) > 20 for lines in after.values() for line in lines)
    assert before == after
