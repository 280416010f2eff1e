# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Any run can die: kill site.yml before each of its tasks, and check that the next run finishes and the one after that changes nothing.

`python -m lab torture` covers all tasks of a fresh install and of a changed one, then cuts a host's network, and cuts its
power, in the middle of a run. With --sample it takes some of each: which, follows from the commit, or from --seed.
"""

from __future__ import annotations

import itertools
import random
import re
import time
import typing as t

from lab import runs, turns
from lab.base import LabError, say
from lab.lab import Lab

NAME = "torture"
HOSTS = ("k1", "n1")


def flags(number: int) -> dict[str, t.Any]:
    """A setting of each role, derived from a number."""
    return {
        "certificates_extra_sans": [f"api{number}.example.org"],
        "firewall_enabled": True,
        "firewall_api_sources": [f"198.51.100.{number}"],
        "etcd_auto_compaction_retention": f"{number}m",
        "control_plane_request_timeout": 60 + number,
        "addons_dns_upstream": [f"198.51.100.{number}"],
        "docker_options": {"live-restore": True, "log-driver": "json-file", "log-opts": {"max-size": f"{number}0m"}},
        "node_pod_pids_limit": 4000 + number,
    }


# Two, so that every run of a changed installation changes all flags.
FLAGS = (flags(7), flags(8))


class Torture:
    """The faults injected into the lab, and their results."""

    def __init__(self, sample: int, seed: int, hosts: t.Sequence[str]) -> None:
        self.lab = Lab(NAME)
        self.hosts = hosts
        self.sample = sample
        self.random = random.Random(seed)
        self.done = 0
        self.boundaries = 0  # of a run that changes settings
        self.failures: list[str] = []
        self.extra: tuple[str, ...] = ()
        # Alternately, and not by the task's number: a sample may have two even ones, and the second would change nothing.
        self.turns = itertools.cycle(FLAGS)

    # Runs

    def start(self, *more: str, kill_at: int = 0) -> runs.Playbook:
        arguments = (*runs.inventory_arguments(self.lab.inventory_path()), *self.extra, *more)
        return runs.Playbook("site", *arguments, kill_at=kill_at)

    def fresh(self) -> None:
        """Bare hosts."""
        self.lab.down()
        self.lab.up(self.hosts)
        self.extra = ()

    def change(self, values: t.Mapping[str, t.Any]) -> None:
        """Use these settings for the next runs."""
        self.extra = ("-e", runs.extra_variables(values))

    def pick(self, boundaries: int) -> list[int]:
        """The tasks before which a run is killed."""
        every = range(1, boundaries + 1)
        return sorted(self.random.sample(every, min(self.sample, boundaries))) if self.sample else list(every)

    # Checks

    def heal(self, what: str) -> None:
        """The next run finishes; the one after that changes and restarts nothing."""
        self.done += 1
        problem = self.problem_after()
        say(f"{what}: {problem.splitlines()[0] if problem else 'healed'}")
        if problem:
            self.failures.append(f"{what}: {problem}")

    def problem_after(self) -> str:
        healing = self.start().wait()
        if healing.code:
            return f"the next run ended with {healing.code}\n{healing.output}\n{self.lab.journals()}"
        before = self.lab.invocations()
        again = self.start("--diff").wait()
        if again.code:
            return f"the run after the next ended with {again.code}\n{again.output}\n{self.lab.journals()}"
        if again.changed:
            what = [(one["host"], one["task"], one["written"]) for one in again.changes]
            return f"the run after the next changed {what}\n{again.output}"
        restarted = sorted(name for name, identity in self.lab.invocations().items() if before[name] != identity)
        return f"the run after the next restarted {', '.join(restarted)}" if restarted else ""

    # The walks

    def walk(self, what: str, prepare: t.Callable[[int], None], boundaries: int) -> None:
        """Kill a run before each picked task."""
        for number in self.pick(boundaries):
            prepare(number)
            killed = self.start(kill_at=number).wait()
            last = killed.events[-1]["task"] if killed.events else "its start"
            if killed.code != -9:
                raise LabError(
                    f"the run was to be killed at task {number} and ended with {killed.code}:\n{killed.output}"
                )
            self.heal(f"{what} killed before task {number} of {boundaries} ({last})")

    def walk_fresh(self) -> None:
        self.fresh()
        # A plan has the same tasks as the run (molecule/default/bare/test_2_plan.py).
        plan = self.start("--check").wait().demand()
        self.walk("fresh install", lambda dummy: self.fresh(), plan.boundaries)

    def walk_changed(self) -> None:
        """On a running cluster; each run has different settings from the previous one."""
        for values in FLAGS:
            self.change(values)
            self.boundaries = self.start().wait().demand().boundaries
        self.walk("changed install", lambda number: self.change(next(self.turns)), self.boundaries)
        wanted = self.extra[1]
        found = self.lab.run("k1", "sh", "-c", "tr '\\0' ' ' < /proc/$(pidof etcd)/cmdline")[1]
        flag = re.search(r"--auto-compaction-retention=(\S+)", found)
        if not flag or f'"{flag.group(1)}"' not in wanted:
            self.failures.append(f"etcd does not run with what was asked for last ({wanted}): {found}")

    def disturb(self, what: str, do: t.Callable[[], None], undo: t.Callable[[], None], task: int) -> None:
        """Inject a fault on a host while a run is at this task. The run must end, successfully or not."""
        running = self.start()
        while running.goes_on() and running.begun() < task:
            time.sleep(0.05)
        if not running.goes_on():
            raise LabError(f"the run ended before its task {task}, in which {what}:\n{running.wait().output}")
        do()
        ended = running.wait(240)
        undo()
        if ended.code == -9:
            self.failures.append(f"{what}: the run did not end by itself within 240 s\n{ended.output}")
        self.heal(f"{what} in task {task} of {self.boundaries} (that run ended with {ended.code})")

    def disturb_hosts(self) -> None:
        lab = self.lab
        disturbances = [
            ("n1's network cut", lambda: lab.cut_off("n1"), lambda: lab.rejoin("n1")),
            ("k1 without power", lambda: lab.kill("k1"), lambda: lab.start("k1")),
            ("n1 rebooted", lambda: lab.shut_down("n1"), lambda: lab.start("n1")),
        ]
        # Each time with different settings from the previous run, so that the fault occurs in the middle of changes.
        for number in self.pick(len(disturbances)):
            self.change(next(self.turns))
            # From its first comparison of the hosts until just before its last one.
            self.disturb(
                *disturbances[number - 1], self.random.randrange(self.boundaries // 8, self.boundaries * 7 // 8)
            )


def main(sample: int, seed: int | None, hosts: t.Sequence[str] = HOSTS) -> None:
    """Run everything; ends with an error and a sentence if something was not repaired."""
    seed = turns.seed() if seed is None else seed
    say(f"torture: {f'a sample of {sample}' if sample else 'every task'}, --seed {seed}")
    torture = Torture(sample, seed, hosts)
    try:
        torture.walk_fresh()
        torture.walk_changed()
        torture.disturb_hosts()
    finally:
        torture.lab.down()
    for failure in torture.failures:
        print(failure)
    print(f"torture --seed {seed}: {torture.done - len(torture.failures)} passed, {len(torture.failures)} failed")
    if torture.failures:
        raise LabError(
            f"{len(torture.failures)} of {torture.done} runs were not healed, see above; --sample {sample} --seed {seed} repeats them."
        )
