# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Two runs of one control node at once, one of which may be killed: one changes the cluster, the other says so and ends."""

from __future__ import annotations

import json
import random
import time

import pytest

from lab import runs, turns

pytestmark = pytest.mark.turn("alone")

ROUNDS = 20
REFUSED = "Another run changes cluster"
# Until a run has looked at the hosts and changes them.
LONGEST_HEAD_START = 8


def settings(number):
    return (
        "-e",
        runs.extra_variables(
            {"etcd_auto_compaction_retention": f"{number + 10}m", "node_pod_pids_limit": 4000 + number}
        ),
    )


def pair(number):
    """Playbook and arguments of two runs."""
    site = ("site", *settings(number))
    renewal = ("certificates", "-e", "certificates_renew=all")
    return [
        (site, ("site", *settings(number + 100))),
        (site, renewal),
        (renewal, ("encryption", "-e", "certificates_rotate=encryption")),
    ][number % 3]


def sums(lab):
    """Every installed program of every host."""
    script = "find /opt/plainkube -type f ! -name '.*' -exec sha256sum {} + | sort"
    return {host: lab.run(host, "sh", "-c", script)[1] for host in lab.hosts()}


def left_over(lab):
    return {
        host: lab.run(host, "sh", "-c", "ls -d /opt/plainkube/.incoming /opt/plainkube/.staged 2>/dev/null || true")[1]
        for host in lab.hosts()
    }


@pytest.fixture(scope="module")
def secret(cluster):
    """A Secret of before, which all encryption keys have encrypted in their turn."""
    cluster.kubectl("create", "secret", "generic", "of-before", "--from-literal=text=secret")
    yield
    cluster.kubectl("delete", "secret", "of-before")


@pytest.fixture(scope="module")
def outcomes(lab, inventory, secret):
    """Of each round, whether a run was killed, and both runs."""
    chance = random.Random(turns.seed())
    before = sums(lab)
    found = []
    for number in range(ROUNDS):
        names = pair(number)
        both = []
        for name, *arguments in names:
            both.append(runs.Playbook(name, *runs.inventory_arguments(inventory), *arguments))
            time.sleep(chance.uniform(0, LONGEST_HEAD_START) if len(both) == 1 else 0)
        killed = chance.randrange(2) if number % 2 else None
        if killed is not None:
            time.sleep(chance.uniform(0, LONGEST_HEAD_START))
            both[killed].kill()
        ended = [one.wait() for one in both]
        print(
            f"  round {number}: {names[0][0]} beside {names[1][0]}, killed: {killed}, ended with {[one.code for one in ended]}"
        )
        found.append((killed, ended))
    return before, found


def test_one_of_two_runs_wins(outcomes):
    """Both do, if one ended before the other one began to change anything."""
    wins = 0
    for killed, ended in outcomes[1]:
        for number, run in enumerate(ended):
            if number == killed and run.code < 0:
                continue
            assert run.code == 0 or REFUSED in run.output, run.output
            if run.code:
                assert "changed=0" in run.output or "PLAY RECAP" not in run.output
                other = ended[1 - number]
                assert other.code <= 0, other.output
        wins += any(run.code == 0 for run in ended)
        assert killed is not None or any(run.code == 0 for run in ended)
    refused = [run for _killed, ended in outcomes[1] for run in ended if REFUSED in run.output]
    # Or they never met.
    assert refused
    assert wins >= ROUNDS / 2


def test_no_step_was_skipped(site, outcomes):
    """What was killed goes on, and ends."""
    for playbook in ("encryption", "certificates"):
        site.run(playbook=playbook).demand()
    shown = site.run("-e", "certificates_output=json", playbook="certificates").demand().output
    line = next(line for line in shown.splitlines() if line.strip().startswith("{"))
    assert set(json.loads(line)["rotation"]["phases"].values()) == {"steady"}


def test_secrets_can_be_read(cluster, outcomes):
    assert cluster.kubectl("get", "secret", "of-before", "--output=jsonpath={.data.text}") == "c2VjcmV0"


def test_no_half_file_and_no_lock_is_left(site, lab, outcomes):
    site.run().demand()
    again, restarted = site.apply()
    assert (again.changed, restarted) == (0, set())
    assert sums(lab) == outcomes[0]
    assert {*left_over(lab).values()} == {""}
    assert site.status()["healthy"]
