# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The runs of table.yml, one after the other, and the checks that show the effect of each variable."""

from __future__ import annotations

import concurrent.futures
import ipaddress
import pathlib
import re
import subprocess

import pytest
import yaml

from lab import inventory, machine, mirror, network, runs
from plugins.module_utils.host._wait import poll
from tests import variables

TABLE = variables.load()
MAIN = variables.MAIN
HELPERS = pathlib.Path(__file__).parent.parent / "helpers"
# Seconds to wait for an effect, such as a Deployment's pods.
PATIENCE = 30


def merged(first, second):
    """Merge mappings at every depth."""
    if not (isinstance(first, dict) and isinstance(second, dict)):
        return second
    return {**first, **{key: merged(first.get(key), value) for key, value in second.items()}}


class Walk:
    """The lab, with the names that the table uses."""

    def __init__(self, lab, directory):
        self.lab = lab
        self.directory = directory
        # Whether there is no cluster for the runs after `cluster`.
        self.broken = False
        subnet, gateway = network.subnet_and_gateway(network.find(lab.client, lab.name))
        self.mirror = mirror.url(gateway)
        self.names = {host: lab.address(host) for host in TABLE["hosts"]}
        self.names.update({str(place): str(ipaddress.ip_network(subnet)[place]) for place in range(2, 255)})
        self.names.update(network=subnet, gateway=gateway, mirror=self.mirror, directory=str(directory))

    def text(self, value):
        """The value with all <…> replaced, at every depth."""
        if isinstance(value, dict):
            return {self.text(key): self.text(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self.text(one) for one in value]
        if not isinstance(value, str):
            return value
        return re.sub(r"<([a-z0-9]+)>", lambda found: self.names.get(found[1], found[0]), value)

    def inventory(self, run, entries, groups, given=None):
        """An inventory for a run: the lab's own variables, those of the table over them, and the groups."""
        common = {
            **inventory.variables(self.lab.name, self.mirror),
            **inventory.of_containers(machine.cgroup_version(), machine.lacks_sys_resource()),
        }
        hosts = {host: {"ansible_host": self.lab.address(host)} for host in TABLE["hosts"]}
        for entry in entries:
            place = hosts[entry["host"]] if "host" in entry else common
            for key, value in self.text({entry["variable"]: entry["value"], **entry.get("beside", {})}).items():
                place[key] = merged(place.get(key, common.get(key)), value)
        common.update(self.text(given or {}))
        children = {name: {"hosts": dict.fromkeys(members, None)} for name, members in groups.items()}
        path = self.directory / f"{run.replace(' ', '_')}.yml"
        text = {"all": {"vars": common, "hosts": hosts, "children": children}}
        path.write_text(yaml.safe_dump(text, sort_keys=False), encoding="utf-8")
        return path

    def shell(self, host, script):
        """Exit code and output of a shell script on a host or on the control node."""
        script = self.text(script)
        if host == "control node":
            done = subprocess.run(
                ["bash", "-c", script], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
            )
            return done.returncode, done.stdout
        return self.lab.run(host, "bash", "-c", script)

    def do(self, scripts):
        for host, script in (scripts or {}).items():
            code, output = self.shell(host, f"set -e\n{script}")
            assert code == 0, f"{host}: {script}: {output}"

    def answer(self, entry):
        places = variables.places(entry, TABLE["hosts"][0])
        return "".join(self.shell(place, entry["command"])[1] for place in places)

    def tells(self, entry, output):
        return bool(re.search(self.text(str(entry["prints"])), output, re.M))

    def silent(self, entries, output, patience):
        """A line for each entry whose command does not print the expected output."""

        def ask(entry):
            if "command" not in entry:
                return output
            return poll(lambda: self.answer(entry), lambda answer: self.tells(entry, answer), patience, 1)

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            answers = list(zip(entries, pool.map(ask, entries)))
        return [
            f"{entry['variable']}: {entry.get('command', 'the run')} does not print {self.text(str(entry['prints']))!r} but: {answer[-3000:]}"
            for entry, answer in answers
            if not self.tells(entry, answer)
        ]


@pytest.fixture(scope="module")
def walk(lab):
    # Next to the lab's inventory, so that a single run can be repeated on the running cluster (-k), with its CAs.
    directory = lab.inventory_path().parent / "variables"
    directory.mkdir(exist_ok=True)
    walk = Walk(lab, directory)
    for host in TABLE["hosts"]:
        lab.put(host, "/usr/local/sbin", {path.name: (path.read_bytes(), 0o755) for path in HELPERS.iterdir()})
    return walk


def entries_of(run):
    return [entry for entry in TABLE["variables"] if entry.get("run", MAIN) == run]


def values_of(run):
    """The entries whose values a run uses: its own, which override those of `cluster`."""
    own = entries_of(run["name"])
    names = {entry["variable"] for entry in own} | {*run.get("without", [])}
    base = [entry for entry in entries_of(MAIN) if entry["variable"] not in names]
    return base + own


def perform(walk, run):
    """The run, and a second one, which changes nothing."""
    path = walk.inventory(run["name"], values_of(run), TABLE["groups"], run.get("given"))
    arguments = [walk.text(one) for one in run.get("arguments", [])]
    walk.do(run.get("before"))
    try:
        first = runs.playbook(run["playbook"], path, *arguments)
        path.with_suffix(".log").write_text(first.output, encoding="utf-8")
        if run.get("fails"):
            assert first.code != 0, f"the run {run['name']} was to fail:\n{first.output}"
            return first.output
        first.demand()
        if not run.get("once"):
            second = runs.playbook(run["playbook"], path, *arguments).demand()
            assert second.changed == 0, [(one["host"], one["task"], one["restarts"]) for one in second.changes]
        return first.output
    finally:
        walk.do(run.get("after"))


@pytest.mark.parametrize("run", TABLE["runs"], ids=lambda run: run["name"])
def test_run(walk, run):
    assert not walk.broken, "the run cluster has failed"
    walk.broken = run["name"] == MAIN
    output = perform(walk, run)
    walk.broken = False
    silent = walk.silent(entries_of(run["name"]), output, PATIENCE)
    assert not silent, "\n".join([*silent, output[-6000:] if any("the run does" in one for one in silent) else ""])


def test_with_the_defaults_every_witness_tells_something_else(walk):
    """On the hosts that the last run of the table has reset."""
    path = walk.inventory("defaults", [], TABLE["default_groups"])
    runs.playbook("site", path).demand()
    entries = entries_of(MAIN)
    silent = walk.silent(entries, "", 0)
    told = {line.partition(":")[0] for line in silent}
    printed = sorted({entry["variable"] for entry in entries} - told)
    assert not printed, f"these print what they should with the default as well: {', '.join(printed)}"
