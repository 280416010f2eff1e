# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""kube-bench on one host of each kind: no scored check fails, and docs/hardening.md explains every warning."""

from __future__ import annotations

import collections
import re

import pytest

from lab import kube_bench
from lab.base import CHECKOUT

pytestmark = pytest.mark.turn("ha")

# A control plane with etcd, and a node.
HOSTS = ("k1", "n1")
DOCUMENT = CHECKOUT / "docs" / "hardening.md"


@pytest.fixture(scope="module")
def results(lab, cluster):
    """Host -> results of kube-bench; the policies of the cluster are checked on the first control plane."""
    found = {}
    for host in HOSTS:
        targets = kube_bench.targets(
            etcd=host in cluster.control_planes,
            control_plane=host in cluster.control_planes,
            node=host in cluster.nodes,
        )
        if host == cluster.control_planes[0]:
            lab.demand(host, "sh", "-c", "apt-get -qq update && apt-get -qq install --yes jq")
            targets.append("policies")
        found[host] = kube_bench.KubeBench(lab, host).run(targets)
    return found


def test_no_scored_check_fails(results):
    for host, found in results.items():
        counts = collections.Counter(result.status for result in found if result.scored)
        print(f"{host}: {sum(counts.values())} scored checks, {counts['PASS']} PASS, {counts['FAIL']} FAIL")
    failed = [f"{host}: {result}" for host, found in results.items() for result in found if result.status == "FAIL"]
    assert failed == []


def test_every_scored_check_has_run(results):
    """A check that could not run must not count as passed."""
    for host, found in results.items():
        assert len([result for result in found if result.scored]) >= 10, host
        assert {result.status for result in found if result.scored} == {"PASS"}, host


def test_every_warning_is_explained_and_nothing_else_is(results):
    warned = {result.number: str(result) for found in results.values() for result in found if result.status != "PASS"}
    explained = re.findall(r"^\| (\d+(?:\.\d+)+) \| \S", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    print("\n".join(warned.values()))
    assert sorted(explained) == sorted(warned)
