# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Two commits against each other: their rounds alternate on the same machine, so that a busy hour slows down both.

The other commit is unpacked into a temporary directory. Both use this checkout's lab: the same images, hosts and binaries.
"""

from __future__ import annotations

import contextlib
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
# What one cluster that stays can be measured with.
STAYS = ("second-run", "flag", "status")


class Side:
    """One of the two, and how its playbooks are run."""

    def __init__(self, name: str, tree: pathlib.Path, collections: pathlib.Path) -> None:
        self.name = name
        self.tree = tree
        self.environment = {
            "ANSIBLE_CONFIG": str(tree / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(collections),
            "ANSIBLE_CALLBACK_PLUGINS": str(tree / "lab" / "callback"),
        }

    def inventory(self, lab: Lab) -> pathlib.Path:
        """The inventory as this side's lab writes it, with the variables that this side has; both are in one directory, and so is their pki."""
        path = lab.inventory_path().with_name(f"inventory-{self.name}.ini")
        run(sys.executable, "-m", "lab", "inventory", lab.name, f"--output={path}", cwd=self.tree)
        return path

    def playbook(self, lab: Lab, name: str, *arguments: str) -> runs.Run:
        path = str(self.tree / "playbooks" / name)
        return runs.playbook(path, self.inventory(lab), *arguments, environment=self.environment).demand()


@contextlib.contextmanager
def sides(commit: str) -> t.Iterator[tuple[Side, Side]]:
    """This checkout as it is, and the other commit."""
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


Seconds = dict[str, dict[str, list[float]]]
Measure = t.Callable[[Side], dict[str, float]]


def alternate(both: tuple[Side, Side], rounds: int, measure: Measure) -> Seconds:
    """Measurement -> side -> seconds, a round each; who begins changes from round to round."""
    found: Seconds = {}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for side in both if number % 2 == 0 else both[::-1]:
            for name, seconds in measure(side).items():
                found.setdefault(name, {}).setdefault(side.name, []).append(seconds)
                say(f"{side.name}: {name}: {seconds:.1f} s")
    return found


def ratios(seconds: t.Mapping[str, t.Mapping[str, t.Sequence[float]]], here: str, there: str) -> dict[str, float]:
    """Measurement -> the median, over the rounds, of what this checkout took for each second of the other commit."""
    return {
        name: statistics.median(mine / other for mine, other in zip(found[here], found[there], strict=True))
        for name, found in seconds.items()
    }


def rows(seconds: t.Mapping[str, t.Mapping[str, t.Sequence[float]]], here: str, there: str) -> list[list[str]]:
    """A row for each measurement."""
    found = ratios(seconds, here, there)
    lines = [["", f"{here}, median s", f"{there}, median s", "median ratio"]]
    for name in (name for name in report.ORDER if name in seconds):
        medians = (statistics.median(seconds[name][side]) for side in (here, there))
        lines.append([name, *(f"{median:.1f}" for median in medians), f"{found[name]:.3f}"])
    return lines


def fresh_clusters(lab: Lab, hosts: t.Sequence[str], only: t.Collection[str]) -> Measure:
    """All of it, from fresh hosts each time."""

    def measure(side: Side) -> dict[str, float]:
        found = {}
        clusters.renew(lab, hosts)
        started = time.monotonic()
        side.playbook(lab, "site")
        clusters.run_pod(lab)
        found["first-pod"] = time.monotonic() - started
        time.sleep(clusters.REST)
        for name, arguments in (
            ("second-run", ("site",)),
            ("status", ("status",)),
            ("flag", ("site", "-e", clusters.flag(10))),
        ):
            done = side.playbook(lab, *arguments)
            expect(side, name, done)
            found[name] = done.seconds
        return {ONLY[name]: seconds for name, seconds in found.items() if name in only}

    return measure


def one_cluster(labs: t.Mapping[str, Lab], only: t.Collection[str]) -> Measure:
    """On a cluster that stays. Each side has its own where they would change each other's."""
    # A flag that is changed stays changed, and the next run that has nothing to do is told of it.
    minutes = dict.fromkeys((lab.name for lab in labs.values()), 5)

    def measure(side: Side) -> dict[str, float]:
        lab, found = labs[side.name], {}
        for name in (name for name in STAYS if name in only):
            minutes[lab.name] += name == "flag"
            arguments = () if name == "status" else ("-e", clusters.flag(minutes[lab.name]))
            done = side.playbook(lab, "status" if name == "status" else "site", *arguments)
            expect(side, name, done)
            found[ONLY[name]] = done.seconds
        return found

    return measure


def expect(side: Side, name: str, done: runs.Run) -> None:
    """A run that did something else than what is measured counts for nothing."""
    restarted = {f"{host}/{unit}" for host, units in done.restarts.items() for unit in units}
    right = restarted and all(one.endswith("/etcd") for one in restarted) if name == "flag" else not done.changed
    if not right:
        raise LabError(
            f"{side.name}: {name} changed {done.changed} and restarted {restarted or 'nothing'}:\n{done.output}"
        )


@contextlib.contextmanager
def live(both: tuple[Side, Side], name: str, hosts: t.Sequence[str]) -> t.Iterator[dict[str, Lab]]:
    """A cluster that this checkout made, for both; or one for each side, where the other commit would change it."""
    here, there = both
    flag = ("-e", clusters.flag(5))
    with clusters.lab_of(name) as lab, contextlib.ExitStack() as stack:
        lab.up(hosts, prepared=True)
        here.playbook(lab, "site", *flag)
        planned = there.playbook(lab, "site", "--check", *flag)
        if planned.changed:
            say(f"{there.name} would change {planned.changed} things on this cluster: it gets one of its own")
            other = stack.enter_context(clusters.lab_of(f"{name}-2"))
            other.up(hosts, prepared=True)
            there.playbook(other, "site", *flag)
        else:
            other = lab
        time.sleep(clusters.REST)
        found = {here.name: lab, there.name: other}
        # Once without a clock: what a first run brings into memory, the second one finds there.
        for side in both:
            expect(side, "second-run", side.playbook(found[side.name], "site", *flag))
        yield found


def main(commit: str, name: str, hosts: t.Sequence[str], rounds: int, only: t.Collection[str]) -> int:
    """Print the ratios; 1 where one of them is over the bar."""
    with sides(commit) as both:
        here, there = both
        if set(only) <= set(STAYS):
            with live(both, name, hosts) as labs:
                seconds = alternate(both, rounds, one_cluster(labs, only))
        else:
            with clusters.lab_of(name) as lab:
                seconds = alternate(both, rounds, fresh_clusters(lab, hosts, only))
    print(report.table(rows(seconds, here.name, there.name)))
    slower = {name: ratio for name, ratio in ratios(seconds, here.name, there.name).items() if ratio > BAR}
    for name, ratio in slower.items():
        print(f"{name}: {ratio:.3f} times as long as at {there.name}, the bar is {BAR}")
    return 1 if slower else 0
