# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Compares two commits. Their rounds alternate on the same machine, so that other load slows down both.

The wall clock time counts. The control node's CPU time is also printed; on a busy machine, it is more meaningful.

The other commit is unpacked into a temporary directory. Both use this checkout's lab: the same images, hosts and binaries.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t

from benchmarks import clusters, report
from lab import runs
from lab.base import CHECKOUT, LabError, run, say
from lab.lab import Lab

BAR = 1.05
ONLY = {"first-pod": report.SITE, "second-run": report.AGAIN, "flag": report.FLAG, "status": report.STATUS}
# The measurements for which one persistent cluster is enough.
STAYS = ("second-run", "flag", "status")


class Took(t.NamedTuple):
    """Seconds on the clock, and of CPU time on the control node."""

    clock: float
    cpu: float


class Side:
    """One of the two commits, and how to run its playbooks."""

    def __init__(self, name: str, tree: pathlib.Path, collections: pathlib.Path) -> None:
        self.name = name
        self.tree = tree
        self.environment = {
            "ANSIBLE_CONFIG": str(tree / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(collections),
            "ANSIBLE_CALLBACK_PLUGINS": str(tree / "lab" / "callback"),
        }

    def inventory(self, lab: Lab) -> pathlib.Path:
        """The inventory from this side's lab, with this side's variables; both are in one directory, with their CA directory."""
        path = lab.inventory_path().with_name(f"inventory-{self.name}.ini")
        # New hosts have the addresses of the previous ones.
        if not path.exists():
            run(sys.executable, "-m", "lab", "inventory", lab.name, f"--output={path}", cwd=self.tree)
        return path

    def playbook(self, lab: Lab, name: str, *arguments: str) -> tuple[runs.Run, Took]:
        """A run that must succeed, and its cost."""
        path, inventory, before = str(self.tree / "playbooks" / name), self.inventory(lab), _children()
        done = runs.playbook(path, inventory, *arguments, environment=self.environment).demand()
        return done, Took(done.seconds, _children() - before)


def _children() -> float:
    """CPU seconds of all ended child processes, and of their descendants."""
    times = os.times()
    return times.children_user + times.children_system


@contextlib.contextmanager
def sides(commit: str) -> t.Iterator[tuple[Side, Side]]:
    """This checkout with its uncommitted changes, and the other commit."""
    try:
        identity = run("git", "rev-parse", "--verify", "--short=12", f"{commit}^{{commit}}", cwd=CHECKOUT).strip()
    except LabError:
        raise LabError(
            f"--against is '{commit}', and there is no such commit here: `git log` shows those that are."
        ) from None
    with tempfile.TemporaryDirectory(prefix="plainkube-against-") as name:
        tree, collections = pathlib.Path(name, "tree"), pathlib.Path(name, "collections")
        tree.mkdir()
        packed = subprocess.run(["git", "archive", identity], cwd=CHECKOUT, capture_output=True, check=True)
        subprocess.run(["tar", "--extract", f"--directory={tree}"], input=packed.stdout, check=True)
        (collections / "ansible_collections" / "plainkube").mkdir(parents=True)
        (collections / "ansible_collections" / "plainkube" / "cluster").symlink_to(tree)
        yield Side("here", CHECKOUT, CHECKOUT / ".venv" / "collections"), Side(identity, tree, collections)


# Measurement -> side -> one value per round.
Rounds = dict[str, dict[str, list[Took]]]
Measure = t.Callable[[Side], dict[str, Took]]


def alternate(both: tuple[Side, Side], rounds: int, measure: Measure) -> Rounds:
    """The sides take turns to start."""
    found: Rounds = {}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for side in both if number % 2 == 0 else both[::-1]:
            for name, took in measure(side).items():
                found.setdefault(name, {}).setdefault(side.name, []).append(took)
                say(f"{side.name}: {name}: {took.clock:.1f} s, {took.cpu:.1f} s of CPU time")
    return found


def ratio(mine: t.Sequence[float], others: t.Sequence[float]) -> float:
    """The median over the rounds of this checkout's time per second of the other commit."""
    return statistics.median(one / other for one, other in zip(mine, others, strict=True))


def ratios(found: t.Mapping[str, t.Mapping[str, t.Sequence[Took]]], here: str, there: str) -> dict[str, Took]:
    """Measurement -> the median ratios."""
    return {
        name: Took(*(ratio(mine, others) for mine, others in zip(zip(*sides[here]), zip(*sides[there]))))
        for name, sides in found.items()
    }


def rows(found: t.Mapping[str, t.Mapping[str, t.Sequence[Took]]], here: str, there: str) -> list[list[str]]:
    """One row per measurement."""
    medians = ratios(found, here, there)
    lines = [["", f"{here}, median (s)", f"{there}, median (s)", "median ratio", "of CPU time"]]
    for name in (name for name in report.ORDER if name in found):
        clocks = (statistics.median(took.clock for took in found[name][side]) for side in (here, there))
        lines.append([name, *(f"{clock:.1f}" for clock in clocks), *(f"{one:.3f}" for one in medians[name])])
    return lines


def fresh_clusters(lab: Lab, hosts: t.Sequence[str], only: t.Collection[str]) -> Measure:
    """All measurements, with fresh hosts each time."""

    def measure(side: Side) -> dict[str, Took]:
        found = {}
        clusters.renew(lab, hosts)
        started = time.monotonic()
        dummy, took = side.playbook(lab, "site")
        clusters.run_pod(lab)
        found["first-pod"] = Took(time.monotonic() - started, took.cpu)
        time.sleep(clusters.REST)
        for name, arguments in (
            ("second-run", ("site",)),
            ("status", ("status",)),
            ("flag", ("site", "-e", clusters.flag(10))),
        ):
            done, found[name] = side.playbook(lab, *arguments)
            expect(side, name, done)
        return {ONLY[name]: took for name, took in found.items() if name in only}

    return measure


def one_cluster(labs: t.Mapping[str, Lab], only: t.Collection[str]) -> Measure:
    """On a persistent cluster. If each side would change the other's cluster, each has its own."""
    # A changed flag stays changed, so the next second run gets it too.
    minutes = dict.fromkeys((lab.name for lab in labs.values()), 5)

    def measure(side: Side) -> dict[str, Took]:
        lab, found = labs[side.name], {}
        for name in (name for name in STAYS if name in only):
            minutes[lab.name] += name == "flag"
            arguments = () if name == "status" else ("-e", clusters.flag(minutes[lab.name]))
            done, found[ONLY[name]] = side.playbook(lab, "status" if name == "status" else "site", *arguments)
            expect(side, name, done)
        return found

    return measure


def expect(side: Side, name: str, done: runs.Run) -> None:
    """Discard a run that did anything except the measured change."""
    restarted = {f"{host}/{unit}" for host, units in done.restarts.items() for unit in units}
    right = restarted and all(one.endswith("/etcd") for one in restarted) if name == "flag" else not done.changed
    if not right:
        raise LabError(
            f"{side.name}: {name} changed {done.changed} and restarted {restarted or 'nothing'}:\n{done.output}"
        )


@contextlib.contextmanager
def live(both: tuple[Side, Side], name: str, hosts: t.Sequence[str]) -> t.Iterator[dict[str, Lab]]:
    """A cluster of this checkout for both sides; or one for each side, if the other commit would change it."""
    here, there = both
    flag = ("-e", clusters.flag(5))
    with clusters.lab_of(name) as lab, contextlib.ExitStack() as stack:
        lab.up(hosts, prepared=True)
        here.playbook(lab, "site", *flag)
        planned, dummy = there.playbook(lab, "site", "--check", *flag)
        if planned.changed:
            say(f"{there.name} would change this cluster in {planned.changed} places, so it gets its own cluster")
            other = stack.enter_context(clusters.lab_of(f"{name}-2"))
            other.up(hosts, prepared=True)
            there.playbook(other, "site", *flag)
        else:
            other = lab
        time.sleep(clusters.REST)
        found = {here.name: lab, there.name: other}
        # Once without measuring, to fill the caches.
        for side in both:
            expect(side, "second-run", side.playbook(found[side.name], "site", *flag)[0])
        yield found


def main(commit: str, name: str, hosts: t.Sequence[str], rounds: int, only: t.Collection[str]) -> int:
    """Print the ratios; returns 1 if one of them exceeds the limit."""
    with sides(commit) as both:
        here, there = both
        if set(only) <= set(STAYS):
            with live(both, name, hosts) as labs:
                found = alternate(both, rounds, one_cluster(labs, only))
        else:
            with clusters.lab_of(name) as lab:
                found = alternate(both, rounds, fresh_clusters(lab, hosts, only))
    print(report.table(rows(found, here.name, there.name)))
    slower = {name: one.clock for name, one in ratios(found, here.name, there.name).items() if one.clock > BAR}
    for name, times in slower.items():
        print(f"{name}: {times:.3f} times as long as at {there.name}, the bar is {BAR}")
    return 1 if slower else 0
