# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Of two concurrent runs, one changes the cluster, and the other one says so and stops, even if the first one is killed: on one control node, and on two."""

from __future__ import annotations

import json
import random
import time

import pytest

from lab import runs, turns

pytestmark = pytest.mark.turn("alone")

ROUNDS = 20
REFUSED = "Another run changes cluster"
ROUNDS_OF_TWO = 4
REFUSED_BY_A_HOST = "Another run changes this host: "
# The time until a run has compared the hosts and changes them.
LONGEST_HEAD_START = 8


def settings(number):
    return (
        "-e",
        runs.extra_variables(
            {"etcd_auto_compaction_retention": f"{number + 10}m", "node_pod_pids_limit": 4000 + number}
        ),
    )


def pair(number):
    """The playbooks and arguments of two runs."""
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
    """An old Secret, which every encryption key has encrypted in turn."""
    cluster.kubectl("create", "secret", "generic", "of-before", "--from-literal=text=secret")
    yield
    cluster.kubectl("delete", "secret", "of-before")


@pytest.fixture(scope="module")
def outcomes(lab, inventory, secret):
    """For each round, whether a run was killed, and both runs."""
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
    """Both do if one ended before the other one started to change anything."""
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
    """Interrupted changes are completed."""
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


# --- two control nodes ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def control_node(inventory, tmp_path_factory):
    """A function that starts a run of another control node: a user with another home directory."""
    homes = {}

    def begin(name, *arguments, playbook="site"):
        home = homes.setdefault(name, tmp_path_factory.mktemp(name))
        environment = {"ANSIBLE_HOME": str(home)}
        return runs.Playbook(playbook, *runs.inventory_arguments(inventory), *arguments, environment=environment)

    return begin


def age(lab, seconds):
    """Once no module is running, make the run's token on each host that many seconds older. The hosts' clocks do not change."""
    program = (
        "import json; path = '/run/plainkube/token'; told = json.load(open(path)); "
        f"told['renewed'] -= {seconds}; json.dump(told, open(path, 'w'))"
    )
    script = f'test ! -e /run/plainkube/token || exec flock --wait=120 /run/plainkube/work python3 -c "{program}"'
    for host in lab.hosts():
        lab.demand(host, "sh", "-c", script)


def locked(lab):
    """The hosts whose lock a run has. A token of an ended run only names runs that must not continue."""
    return {
        host for host in lab.hosts() if lab.run(host, "grep", "-s", '"ended": false', "/run/plainkube/token")[0] == 0
    }


def until_it_changes(lab, run):
    """Wait until a run changes hosts."""
    script = """grep -s '"changes": true' /run/plainkube/token | grep '"ended": false'"""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if any(lab.run(host, "sh", "-c", script)[0] == 0 for host in lab.hosts()):
            return
        time.sleep(0.1)
    pytest.fail(f"no host was changed: {run.wait().output}")


def test_of_two_control_nodes_one_wins(lab, control_node):
    chance = random.Random(turns.seed())
    refused = 0
    for number in range(ROUNDS_OF_TWO):
        first = control_node("first", *settings(number + 200))
        time.sleep(number and chance.uniform(3, LONGEST_HEAD_START))
        second = control_node("second", *settings(number + 300))
        ended = [first.wait(), second.wait()]
        for run in ended:
            if run.code:
                assert REFUSED_BY_A_HOST in run.output
                assert "site.yml of" in run.output
                assert run.changed == 0
                refused += 1
        won = any(run.code == 0 for run in ended)
        # The first round is a tie, without a winner.
        assert won or not number, ended
        assert not won or locked(lab) == set()
        age(lab, 301)
    # Or they never met.
    assert refused


def test_the_second_waits_if_it_is_told_to(lab, control_node):
    first = control_node("first", *settings(400))
    until_it_changes(lab, first)
    first.stop()
    second = control_node("second", *settings(401), "-e", "cluster_lock_wait=250")
    deadline = time.monotonic() + 200
    while not second.says("for another run that changes host "):
        assert second.goes_on(), second.wait().output
        assert time.monotonic() < deadline
        time.sleep(0.2)
    first.resume()
    first.wait().demand()
    assert "Waiting up to 2" in second.wait().demand().output


def test_a_plan_waits_for_nobody_and_limit_is_no_way_around(lab, control_node):
    first = control_node("first", *settings(402))
    until_it_changes(lab, first)
    first.stop()
    control_node("second", *settings(402), "--check").wait().demand()
    for name, refusal in {"first": REFUSED, "second": REFUSED_BY_A_HOST}.items():
        limited = control_node(name, "--limit", "n1").wait()
        assert limited.code
        assert refusal in limited.output
    first.resume()
    first.wait().demand()


def test_the_lock_of_a_killed_run(lab, control_node):
    """Its own control node continues at once. Another one can do so once the lock has expired, and then the first one must stop."""
    first = control_node("first", *settings(403))
    until_it_changes(lab, first)
    first.kill()
    first.wait()
    assert locked(lab)
    refused = control_node("second", *settings(404)).wait()
    assert refused.code
    assert "if it is dead, its lock expires " in refused.output
    control_node("first", *settings(403)).wait().demand()
    assert locked(lab) == set()

    first = control_node("first", *settings(405))
    until_it_changes(lab, first)
    first.kill()
    first.wait()
    age(lab, 301)
    control_node("second", *settings(405), "-e", "cluster_lock_wait=150").wait().demand()


def test_a_run_that_was_taken_over_ends(lab, control_node):
    """As on a suspended control node: another run has started and ended before it resumes."""
    first = control_node("first", *settings(406))
    until_it_changes(lab, first)
    first.stop()
    age(lab, 301)
    control_node("second", *settings(407), "-e", "cluster_lock_wait=150").wait().demand()
    first.resume()
    ended = first.wait()
    assert ended.code
    assert "Another run has taken over this host since: site.yml of " in ended.output


def test_the_cluster_is_well_after_all_that(site):
    site.run().demand()
    again, restarted = site.apply()
    assert (again.changed, restarted) == (0, set())
    assert site.status()["healthy"]
