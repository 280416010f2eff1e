# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The simulated hosts of benchmarks/scale.py answer every question of the roles. `make benchmark-scale` measures their cost."""

from __future__ import annotations

from benchmarks import scale


def test_a_second_run_over_made_up_hosts_changes_nothing():
    with scale.simulated(4) as simulation:
        measured = scale.measured(simulation, simulation.begin())
    assert measured.hosts == 4
    assert any("Compare the host" in name for name in measured.tasks)
    assert not any("Install" in name for name in measured.tasks if "(start)" not in name)
