# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The first control plane in the inventory, which has etcd's leader, loses power: the others and the playbooks continue to work."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.turn("ha")

DOWN = "k1"
OTHERS = ("k2", "k3")
# Seconds without a response. They consist of timeouts, which do not depend on the machine: the load balancer's check takes up to 1.25 s and its
# connections up to 2 s (tcp-ut) to detect that a host is gone. etcd waits 5 s and two elections for the result of a write that was on its way to the
# dead leader.
GAPS = {"API, new connections": 3, "API, kept connections": 3, "API, writes": 8, "Service": 3}
# How playbooks report that they continued without a host; a host outside --limit is not part of the run.
SAID = {
    "status": "{} is unreachable: ",
    "verify": "Skipped because they are unreachable: {}",
    "kubeconfig": "{} (",
}


@pytest.fixture(scope="module")
def ended(lab, site, probes):
    """The runs of the playbooks while the host was down."""
    return {}


def test_a_reset_that_would_leave_no_majority_is_refused(site):
    run = site.run("--limit", ",".join(OTHERS), "-e", "reset_confirm=plainkube", playbook="reset")
    assert run.code > 0
    assert run.changed == 0
    said = " ".join(run.output.split())
    assert (
        "Without k2 and k3, 1 of 3 etcd members would be left (k1), which is no majority, and the cluster would stop"
        in said
    )


def test_the_host_is_stopped(lab, site, probes, etcd, nodes, pods, ended):
    etcd.lead(DOWN, (DOWN, *OTHERS))
    before, running = nodes(), pods()
    with probes.running(f"{DOWN}, which has etcd's leader, without power") as outcomes:
        lab.kill(DOWN)
        ended["status"] = site.run(playbook="status")
        ended["verify"] = site.run(playbook="verify")
        ended["kubeconfig"] = site.run(playbook="kubeconfig")
        ended["limited"] = site.run("--limit", f"all:!{DOWN}")
        after = nodes("k2")
    assert outcomes.problems == []
    assert {name: gap for name, gap in outcomes.gaps.items() if gap > GAPS[name]} == {}
    assert after == before
    assert pods("k2") == running


@pytest.mark.parametrize("name", ["status", "verify", "kubeconfig", "limited"])
def test_playbooks_work_without_it_and_say_so(ended, name):
    run = ended[name]
    print(f"{name} without {DOWN}: {run.seconds:.1f} s, ended with {run.code}")
    assert SAID.get(name, "").format(DOWN) in run.output
    # status.yml reports a host that is down as a problem.
    assert run.code == 0 or name == "status", run.output


def test_site_yml_changes_nothing_on_the_others(ended):
    assert ended["limited"].changed == 0
    assert ended["limited"].restarts == {}


def test_the_host_comes_back(lab, site, probes, nodes):
    before = nodes("k2")
    with probes.running(f"{DOWN} has power again") as outcomes:
        lab.start(DOWN)
        found = site.status(wait=60)
        run, started = site.apply()
    assert found["healthy"], [host["problems"] for host in found["hosts"].values()]
    assert (run.changed, started) == (0, set())
    assert outcomes.problems == []
    assert nodes() == before
