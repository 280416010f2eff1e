# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""What a plan announces is what the run does, and on those hosts only."""

from __future__ import annotations

import json

RETENTION = ("-e", json.dumps({"etcd_auto_compaction_retention": "9m"}))


def what(run):
    """(host, task, files written, services started again) of everything that changed."""
    return sorted(
        (one["host"], one["task"], *one["written"], *(f"{name}: {why}" for name, why in one["restarts"].items()))
        for one in run.changes
    )


def test_a_live_cluster_has_nothing_planned(site):
    run = site.plan()
    assert what(run) == []
    assert "nothing would change on 3 hosts" in run.output


def test_one_flag_changed(site):
    plan = site.plan(*RETENTION)
    assert {host: [*services] for host, services in plan.restarts.items()} == {"k1": ["etcd"]}
    assert "+  --auto-compaction-retention=9m" in plan.output
    run, started = site.apply(*RETENTION)
    print(f"one flag changed: {run.seconds:.1f} s")
    assert what(run) == what(plan)
    assert started == {"k1/etcd"}
    assert site.run(*RETENTION).demand().changed == 0


def test_a_name_more_in_the_certificates(site):
    """The API server takes up its new certificate by itself."""
    more = (*RETENTION, "-e", json.dumps({"certificates_extra_sans": ["api.example.org"]}))
    plan = site.plan(*more)
    assert "the list of names lacks api.example.org" in plan.output
    run, started = site.apply(*more)
    assert (what(run), started) == (what(plan), set())


def test_back_to_what_it_was(site):
    back, started = site.apply()
    assert (back.restarts.keys(), started) == ({"k1"}, {"k1/etcd"})
