# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest

from benchmarks import report
from benchmarks.__main__ import Results

QUIET = {report.FLOOR: 12, report.SITE: 23, report.BARE: 1.2, report.AGAIN: 7, report.FLAG: 9, report.STATUS: 2}


@pytest.mark.parametrize("slow", [1, 3])
def test_a_slow_machine_fails_no_bar_and_a_slower_playbook_does(slow):
    results = Results()
    for name, seconds in QUIET.items():
        results.add(name, seconds * slow)
    results.check_bars()
    assert results.problems == []
    results.seconds[report.AGAIN] = [12 * slow]
    results.check_bars()
    assert results.problems == [f"{report.AGAIN} took 10.00 times as long as {report.BARE}, the bar is 9"]
