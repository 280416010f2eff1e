# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Compares how long site.yml, a plain script and kubeadm take to build a cluster, in one session: `python -m benchmarks` (after `make artifacts`).

Prints a line per round, then the tables, and writes docs/benchmark.md and docs/benchmark.svg. The exit code says whether the limits are met.
With --against COMMIT, site.yml and status.yml of this checkout against that commit's: prints the median ratios, and writes nothing. The exit
code tells whether each is at most 1.05.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import sys
import tempfile
import time
import typing as t

from benchmarks import against, clusters, report
from lab import mirror, runs
from lab.base import CHECKOUT, LabError, playbook, say
from lab.lab import HOSTS, Lab

NAME = "bench"
# Measurement -> the measurement of the same session with which it is compared, and the maximum ratio. The first run does what the
# script does, which is mostly waiting for Kubernetes to start, and about as much work of Ansible on the same cores. The others are Ansible's work.
BARS = {
    report.SITE: (report.FLOOR, 2.4),
    report.FLAG: (report.BARE, 11),
    report.AGAIN: (report.BARE, 9),
    report.STATUS: (report.BARE, 3),
}


class Results:
    """The measured seconds, tasks and memory, and any failures."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.tasks: dict[str, int] = {}
        self.memory: dict[str, dict[str, tuple[int, int]]] = {}
        self.problems: list[str] = []

    def add(self, name: str, seconds: float, run: runs.Run | None = None) -> None:
        self.seconds.setdefault(name, []).append(seconds)
        if run is not None:
            self.tasks[name] = run.host_tasks
        say(f"{name}: {seconds:.1f} s")

    def expect(self, right: bool, text: str) -> None:
        if not right:
            self.problems.append(text)
            say(text)

    def check_bars(self) -> None:
        """The limits, compared with the medians."""
        medians = {name: statistics.median(values) for name, values in self.seconds.items()}
        for name, (other, limit) in BARS.items():
            ratio = medians[name] / medians[other]
            self.expect(ratio <= limit, f"{name} took {ratio:.2f} times as long as {other}, the bar is {limit}")


def measure_site(lab: Lab, results: Results) -> None:
    """A run on fresh hosts, a second run, a run with one flag changed, and the status."""
    inventory = lab.inventory_path()
    started = time.monotonic()
    site = runs.playbook("site", inventory).demand()
    clusters.run_pod(lab)
    results.add(report.SITE, time.monotonic() - started, site)

    time.sleep(clusters.REST)
    results.memory = clusters.memory(lab)
    before = clusters.invocations(lab)
    again = runs.playbook("site", inventory).demand()
    results.add(report.AGAIN, again.seconds, again)
    after = clusters.invocations(lab)
    moved = clusters.restarted(before, after)
    results.expect(not again.changed and not moved, f"the second run changed {again.changed} and restarted {moved}")

    status = runs.playbook("status", inventory).demand()
    results.add(report.STATUS, status.seconds, status)

    results.add(report.BARE, runs.pace(inventory))

    flag = runs.playbook("site", inventory, "-e", clusters.flag(10)).demand()
    results.add(report.FLAG, flag.seconds, flag)
    moved = clusters.restarted(after, clusters.invocations(lab))
    wanted = [f"{host}/etcd" for host in lab.hosts() if host.startswith("k")]
    results.expect(moved == wanted, f"with {clusters.flag(10)}, {moved} restarted and {wanted} should have")


def one_round(lab: Lab, results: Results, hosts: t.Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="plainkube-benchmark-") as name:
        directory = pathlib.Path(name)
        clusters.renew(lab, hosts)
        measure_site(lab, results)
        # With the changed flag, which costs the script nothing.
        clusters.keep_files(lab, directory)
        clusters.renew(lab, hosts)
        seconds, laps = clusters.floor(lab, directory)
        results.add(report.FLOOR, seconds)
        say(f"its steps:\n{laps.rstrip()}")
        clusters.renew(lab, hosts)
        results.add(report.KUBEADM, clusters.kubeadm(lab, directory))


def machine() -> str:
    model = next(
        line for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if "model name" in line
    )
    return f"{os.cpu_count()} cores ({model.partition(':')[2].strip()})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, help="3; with --against and --only, 9")
    parser.add_argument("--hosts", default=",".join(HOSTS), help="one control plane first, then nodes")
    parser.add_argument("--output", type=pathlib.Path, default=CHECKOUT / "docs", help="directory of benchmark.md")
    parser.add_argument("--against", metavar="COMMIT", help="compare with this commit")
    parser.add_argument(
        "--only",
        action="append",
        choices=[*against.ONLY],
        help="of --against; may be given again. Without first-pod, a cluster that stays is used, which is quick",
    )
    options = parser.parse_args()
    hosts, results = options.hosts.split(","), Results()
    if options.only and not options.against:
        parser.error("--only says what of --against to measure: give a commit as well")
    if options.against:
        rounds = options.rounds or (9 if options.only else 3)
        return against.main(options.against, NAME, hosts, rounds, options.only or [*against.ONLY])
    rounds = options.rounds or 3
    # For kubeadm; site.yml does not need it.
    playbook("build.yml", "-e", f"build_directory={mirror.directory()}", "-e", '{"build_extra": ["kubeadm"]}')
    with clusters.lab_of(NAME) as lab:
        for number in range(1, rounds + 1):
            say(f"round {number} of {rounds}")
            one_round(lab, results, hosts)
    times = report.table(report.rows(results.seconds, results.tasks))
    sizes = report.table(report.memory_rows(results.memory))
    options.output.mkdir(exist_ok=True)
    head = report.introduction(rounds, machine(), f"{len(hosts)} Debian hosts")
    (options.output / "benchmark.md").write_text(report.page(head, times, sizes), encoding="utf-8")
    (options.output / "benchmark.svg").write_text(report.plot(results.seconds), encoding="utf-8")
    print(f"{times}\n\n{sizes}")
    results.check_bars()
    return 1 if results.problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(f"benchmarks: {error}")
