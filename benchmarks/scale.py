# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The control node's cost per host in a second run of site.yml, by number of hosts: `python -m benchmarks.scale`.

The hosts are simulated: connections are local, and a stub in place of Python returns the answers of a running, unchanged host.
Everything on the control node is real: playbooks, roles, filters, the signing, and Ansible.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import typing as t

from benchmarks import report
from lab.base import CHECKOUT, LabError, say
from lab.runs import Playbook, inventory_arguments
from plugins.module_utils.keys import _certificates

SIZES = (100, 500)
FORKS = 50
LONGEST = 3600.0  # seconds that a run may take
BAR = 1.10
CALLBACKS = CHECKOUT / "benchmarks" / "callback"
SERVERS = 3
PKI = "/etc/kubernetes/pki/"
# Finds the module's name in Ansible's input to Python, or for a step in the environment, and prints the file with that name: the host's own
# if it exists, else that of all hosts.
STUB = r"""#!/bin/sh
name=$(sed -n "s/^module_fqn='.*[.]\([a-z_]*\)',$/\1/p")
name=${PLAINKUBE_MODULE:-$name}
own=${0%/*}/$name.json
[ -e "$own" ] || own=${0%/*}/../../answers/$name.json
exec cat "$own"
"""


@dataclasses.dataclass
class Cost:
    """The cost of a task or a whole run: wall-clock and CPU time of the control node, in seconds."""

    seconds: float
    cpu: float


@dataclasses.dataclass
class Measured:
    """A second run with this number of hosts."""

    hosts: int
    whole: Cost
    tasks: dict[str, Cost]

    @property
    def per_host(self) -> float:
        """CPU seconds per host."""
        return self.whole.cpu / self.hosts


def steps() -> list[str]:
    """The steps of site.yml, which the survey asks for."""
    # This program finds no collection by itself, and only here does it need one.
    sys.path.insert(0, str(CHECKOUT / ".venv" / "collections"))
    from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _steps  # noqa: PLC0415

    return [step.name for step in _steps.steps()]


# The result of a module that has nothing to do.
NOTHING: dict[str, t.Any] = {"changed": False, "actions": []}


def host_names(count: int) -> list[str]:
    return [f"h{number:03d}" for number in range(1, count + 1)]


def address(number: int) -> str:
    return f"10.77.{number // 200}.{number % 200 + 1}"


def write(path: pathlib.Path, answer: t.Any) -> None:
    path.write_text(json.dumps(answer) + "\n", encoding="utf-8")


def component(name: str) -> dict[str, t.Any]:
    """A component in the format of kube_checkstatus."""
    health = {"url": "http://127.0.0.1:1/healthz", "ok": True, "answer": "ok"}
    counts = {"restarts": 0, "seconds": 90, "since": "2026-01-01T00:00:00Z", "pid": 1}
    listening = ["127.0.0.1:10248", "10.77.0.1:10250"]
    states = {"load": "loaded", "active": "active", "sub": "running", "healthy": True, "health": health}
    return {"name": name, "version": "1.37.2", "listening": listening, **states, **counts}


def shared_answers(directory: pathlib.Path) -> None:
    """The answers that all hosts have in common. The first run ends where it installs certificates, and the second takes no step."""
    directory.mkdir()
    write(directory / "certificate_install.json", {"failed": True, "msg": "The simulated first run ends here."})
    write(directory / "artifacts.json", {**NOTHING, "replaced": [], "missing": [], "missing_packages": []})
    units = ("flanneld", "kube-proxy", "docker", "cri-dockerd", "kubelet")
    one = {
        "subject": "a-name",
        "issuer": "scale-kubernetes-ca",
        "not_after": "2027-01-01T00:00:00Z",
        "days_left": 364,
        "error": "",
    }
    certificates = [{**one, "path": f"{PKI}{name}.crt"} for name in ("kubelet-client", "kube-proxy")]
    node = {
        "name": "a-node",
        "ready": True,
        "schedulable": True,
        "version": "1.37.2",
        "runtime": "docker 26.1.5",
        "error": "",
    }
    answer = {"changed": False, "healthy": True, "problems": [], "certificates": certificates, "node": node}
    write(directory / "kube_checkstatus.json", {**answer, "components": [component(name) for name in units]})


def real_facts() -> dict[str, t.Any]:
    """The facts of this machine, with simulated values for those that must differ between hosts."""
    command = [
        *ansible("ansible"),
        "localhost",
        "-i",
        "localhost,",
        "-c",
        "local",
        "-m",
        "plainkube.cluster.host_facts",
    ]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    }
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"host_facts failed here: {done.stdout}{done.stderr}")
    return json.loads(done.stdout[done.stdout.index("{") :])["ansible_facts"]["plainkube"]


def host_answers(directory: pathlib.Path, name: str, number: int, facts: dict[str, t.Any], installed: bool) -> None:
    """A Debian host, bare or installed."""
    directory.mkdir(parents=True, exist_ok=True)
    stub = directory / "python"
    stub.write_text(STUB, encoding="utf-8")
    stub.chmod(0o755)
    own: dict[str, t.Any] = {"hostname": name, "machine_id": hashlib.md5(name.encode()).hexdigest()}
    own["installed"] = installed
    own["addresses"] = [{"interface": "eth0", "address": address(number), "prefix": 16}]
    debian = {"distribution": "debian", "distribution_version": "13", "systemd": True, "swap": []}
    machine = {"cgroup_version": 2, "architecture": "amd64", "memory_mb": 8000}
    machine |= {"name_servers": ["192.0.2.53"], "firewalls": [], "networkmanager": False}
    write(
        directory / "host_facts.json",
        {"changed": False, "found": {**facts, **debian, **machine, **own}},
    )


class Simulation:
    """Simulated hosts in a temporary directory."""

    def __init__(self, directory: pathlib.Path, count: int) -> None:
        self.directory, self.names = directory, host_names(count)
        self.record = directory / "costs.jsonl"
        self.keys: dict[str, dict[str, str]] = {}
        shared_answers(directory / "answers")
        self.facts = real_facts()
        self.hosts(installed=False)
        (directory / "inventory.ini").write_text(self.inventory(), encoding="utf-8")

    def hosts(self, installed: bool) -> None:
        for number, name in enumerate(self.names, 1):
            host_answers(self.directory / "hosts" / name, name, number, self.facts, installed)

    def inventory(self) -> str:
        """Three control planes, all others nodes."""
        # Ansible connects to this machine for each of them.
        lines = [f"{name} cluster_address={address(number)}" for number, name in enumerate(self.names, 1)]
        lines += ["[control_plane]", *self.names[:SERVERS], "[node]", *self.names[SERVERS:], "[all:vars]"]
        values = {
            "ansible_connection": "local",
            "ansible_become": "false",
            "ansible_python_interpreter": f"{self.directory}/hosts/{{{{ inventory_hostname }}}}/python",
            "artifacts_mirror": "http://198.51.100.1:8000",
        }
        return "\n".join([*lines, *(f"{key}={value}" for key, value in values.items())]) + "\n"

    def certificates(self, signed: dict[str, list[dict[str, str]]]) -> None:
        """Make certificate_request return each host's current certificates; at first, only requests."""
        secrets = {
            name: hashlib.sha256((self.directory / "pki/plainkube" / name).read_bytes()).hexdigest()
            for name in SECRETS
            if signed
        }
        unchanged = dict.fromkeys(steps(), NOTHING)
        for host in self.names:
            files = {one["path"].removeprefix(PKI): one["content"] for one in signed.get(host, [])}
            requests = self.keys.setdefault(host, {})
            leaves = {
                name.removesuffix(".crt"): text for name, text in files.items() if name.removesuffix(".crt") in NAMES
            }
            answer = {
                name: {
                    "request": requests.setdefault(name, _certificates.request(_certificates.new_key())),
                    "certificate": leaves.get(name),
                    "has_key": True,
                }
                for name in (leaves or NAMES)
            }
            public = {name: text for name, text in files.items() if name.removesuffix(".crt") not in leaves}
            answers = {**NOTHING, "certificates": answer, "public": public, "secret": secrets}
            write(self.directory / "hosts" / host / "certificate_request.json", answers)
            surveyed = {**unchanged, "certificates": answers}
            write(self.directory / "hosts" / host / "survey.json", {"changed": False, "answers": surveyed})

    def install(self) -> None:
        """Give every host its certificates: a run that ends as soon as they are signed."""
        self.certificates({})
        events, output = self.end(self.begin())
        signed = [event["signed"] for event in events if "signed" in event]
        if not signed:
            raise LabError(f"the simulated first run signed nothing:\n{output[-4000:]}")
        self.certificates(signed[0])
        self.hosts(installed=True)

    def unchanged(self, playbook: Playbook) -> list[dict[str, t.Any]]:
        """The events of callback/costs.py for a second run, which succeeds and changes nothing."""
        events, output = self.end(playbook)
        recap = output.rpartition("PLAY RECAP")[2]
        if len(re.findall(r"changed=0 +unreachable=0 +failed=0 ", recap)) != len(self.names):
            raise LabError(f"the simulated second run failed or changed something:\n{output[-4000:]}")
        return events

    def begin(self) -> Playbook:
        """Run site.yml."""
        self.record.unlink(missing_ok=True)
        environment = {
            "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
            "ANSIBLE_CALLBACKS_ENABLED": "costs",
            "PLAINKUBE_COSTS": str(self.record),
        }
        arguments = [*inventory_arguments(self.directory / "inventory.ini"), "--forks", str(FORKS)]
        return Playbook("site", *arguments, environment=environment)

    def end(self, playbook: Playbook) -> tuple[list[dict[str, t.Any]], str]:
        """Wait for the run's end, which may be a failure; returns the events of callback/costs.py, and the output."""
        done = playbook.wait(LONGEST)
        return [json.loads(line) for line in self.record.read_text(encoding="utf-8").splitlines()], done.output


# Every certificate that any host requests.
NAMES = (
    *("etcd/server", "etcd/peer", "etcd/root", "etcd/flannel", "apiserver", "apiserver-kubelet-client"),
    *("apiserver-etcd-client", "front-proxy-client", "controller-manager", "scheduler", "admin", "kube-proxy"),
    *("kubelet-client", "kubelet-server"),
)

# What control planes share in addition to public files.
SECRETS = ("sa.key", "ca.key", "encryption.yaml")


def ansible(name: str) -> list[str]:
    return [str(pathlib.Path(sys.executable).parent / name)]


def costs(events: t.Sequence[dict[str, t.Any]]) -> dict[str, Cost]:
    """Cost by task, in order; tasks with the same name are combined."""
    marks = [event for event in events if "task" in event]
    found: dict[str, Cost] = {}
    for mark, following in zip(marks, marks[1:]):
        cost = found.setdefault(mark["task"], Cost(0, 0))
        cost.seconds += following["seconds"] - mark["seconds"]
        cost.cpu += following["cpu"] - mark["cpu"]
    return found


@contextlib.contextmanager
def simulated(count: int) -> t.Iterator[Simulation]:
    """Hosts after a first run, with certificates."""
    with tempfile.TemporaryDirectory(prefix="plainkube-scale-") as name:
        simulation = Simulation(pathlib.Path(name), count)
        say(f"{count} hosts: certificates")
        simulation.install()
        yield simulation


def measured(simulation: Simulation, playbook: Playbook) -> Measured:
    """The cost of a second run that has started, until its end; it must change nothing."""
    count = len(simulation.names)
    events = simulation.unchanged(playbook)
    marks = [event for event in events if "task" in event]
    whole = Cost(marks[-1]["seconds"] - marks[0]["seconds"], marks[-1]["cpu"] - marks[0]["cpu"])
    say(f"{count} hosts: {whole.cpu / count:.3f} CPU s a host")
    return Measured(count, whole, costs(events))


def measure_beside(few: Simulation, many: Simulation) -> tuple[Measured, Measured]:
    """Second runs with few hosts, one after the other, in parallel with one with many.

    Each has its own core, and they swap cores at every run with few hosts: a shared or throttled machine sometimes takes up to a quarter longer
    for the same work, and this affects both equally. Runs that outlast the one with many hosts do not count.
    """
    here, there = (sorted(os.sched_getaffinity(0)) * 2)[:2]
    say(f"{len(many.names)} hosts: second run, and those of {len(few.names)} hosts beside it")
    large = many.begin()
    runs: list[Measured] = []
    try:
        while True:
            small = few.begin()
            large.pin(there)
            small.pin(here)
            one = measured(few, small)
            if not large.goes_on():
                break
            runs.append(one)
            here, there = there, here
    except BaseException:
        large.kill()
        raise
    whole = measured(many, large)  # it may have failed, and ended early by that
    if not runs:
        raise LabError(
            f"{len(many.names)} hosts were too few to compare {len(few.names)} with: give numbers that are further apart"
        )
    return mean(runs), whole


def mean(runs: t.Sequence[Measured]) -> Measured:
    """The average of several runs with the same hosts."""

    def of(costs_of_runs: t.Sequence[Cost]) -> Cost:
        return Cost(*map(statistics.fmean, zip(*map(dataclasses.astuple, costs_of_runs))))

    tasks = {name: of([run.tasks[name] for run in runs]) for name in runs[0].tasks}
    return Measured(runs[0].hosts, of([run.whole for run in runs]), tasks)


def growth(small: Cost, large: Cost, sizes: tuple[int, int]) -> float:
    """The CPU time per host with many hosts, divided by that with few; 1 if it does not depend on their number."""
    return (large.cpu / sizes[1]) / (small.cpu / sizes[0]) if small.cpu else 0.0


def rows(small: Measured, large: Measured) -> list[list[str]]:
    """The table, most expensive task first, the total last."""
    sizes = (small.hosts, large.hosts)
    lines = [["task", *(f"CPU s, {size} hosts" for size in sizes), "wall s", "wall s", "a host, ratio"]]
    both = [(name, small.tasks[name], cost) for name, cost in large.tasks.items() if name in small.tasks]
    for name, few, many in [*sorted(both, key=lambda one: -one[2].cpu), ("all of it", small.whole, large.whole)]:
        figures = (few.cpu, many.cpu, few.seconds, many.seconds, growth(few, many, sizes))
        lines.append([name, *(f"{figure:.2f}" for figure in figures)])
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=SIZES, help="two numbers of hosts")
    sizes = parser.parse_args().sizes
    # If a time limit ends it, it ends its ansible-playbook, too (lab/runs.py).
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with simulated(sizes[0]) as few, simulated(sizes[1]) as many:
        small, large = measure_beside(few, many)
    print(report.table(rows(small, large)))
    ratio = growth(small.whole, large.whole, (small.hosts, large.hosts))
    print(
        f"\nCPU of the control node: {small.per_host:.3f} s a host of {small.hosts}, {large.per_host:.3f} s a host of {large.hosts}: "
        f"{ratio:.2f} times as much; the bar is {BAR:.2f}"
    )
    return 0 if ratio <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
