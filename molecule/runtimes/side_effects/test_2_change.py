# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A running node is migrated to another container runtime and back, under load. Runs are killed, and the next ones complete the migration."""

from __future__ import annotations

import json
import os

import pytest

from lab import runs, turns

# The maximum duration of a run of site.yml that changes one node: seconds in which pods stop and the node becomes Ready, plus this many per second of a
# run with a task that does nothing. It took 45 and 29 s when such a run took 2.3 and 2.7 s.
CHANGE_SECONDS, CHANGE_UNITS = 30, 15
# RUNTIMES_WHOLE=yes tests every change, and kills a run before each task of one change: this takes 15 minutes longer.
WHOLE = os.environ.get("RUNTIMES_WHOLE") == "yes"
DOCKER = {"cluster_runtime": "docker"}
CONTAINERD = {"cluster_runtime": "containerd"}
# containerd 1.7 on Debian 13.
PACKAGED = {**CONTAINERD, "cluster_containerd_version": "", "cluster_cni_plugins_version": ""}
BOTH = {"cluster_runtime": "containerd", "docker_enabled": True}
FEW_CHANGES = [
    ("n1", PACKAGED, "Docker → the distribution's containerd"),
    ("n1", CONTAINERD, "the distribution's containerd → upstream's"),
    ("n1", DOCKER, "containerd → Docker"),
]
MORE_CHANGES = [
    ("n1", BOTH, "Docker → containerd beside Docker"),
    ("n1", PACKAGED, "containerd beside Docker → the distribution's containerd alone"),
    ("n1", CONTAINERD, "the distribution's containerd → upstream's"),
    ("n1", BOTH, "containerd alone → containerd beside Docker"),
    ("n1", DOCKER, "containerd beside Docker → Docker"),
]
CHANGES = FEW_CHANGES + MORE_CHANGES * WHOLE
# The remains of the other runtime on a node, by its current runtime.
LEFT = {
    "docker": "ls -d /etc/containerd/plainkube.toml /etc/systemd/system/containerd.service /etc/systemd/system/plainkube-cni.* "
    "/etc/cni/net.d/10-plainkube.conflist /var/lib/cni/networks/plainkube /sys/class/net/cni0 /run/netns/cni-* /etc/kubernetes/plainkube-cni* "
    "2>/dev/null; iptables-save | grep CNI-; ctr -n k8s.io containers list -q; ctr -n k8s.io images list -q",
    "containerd": "ls -d /etc/systemd/system/cri-dockerd.service /run/cri-dockerd.sock /var/lib/cri-dockerd /usr/local/bin/cri-dockerd 2>/dev/null; "
    "if pidof dockerd > /dev/null; then docker ps -aq; docker images -q; "
    "else ls -d /sys/class/net/docker0 /etc/systemd/system/docker.service.d 2>/dev/null; fi",
}


def longest(run):
    """The longest tasks, each measured until the next one starts."""
    starts = [event for event in run.events if event["event"] == "start"]
    took = [(after["at"] - one["at"], one["task"].rpartition(" : ")[2]) for one, after in zip(starts, starts[1:])]
    return ", ".join(f"{task} {seconds:.1f} s" for seconds, task in sorted(took, reverse=True)[:8])


def runs_containerd(lab, host, directory):
    """The node reports the version of the program in this directory, and no pod has the shim of another major version."""
    status = json.loads(lab.kubectl("k1", "get", "node", host, "--output=json"))["status"]["nodeInfo"]
    said = lab.demand(host, f"{directory}/containerd", "--version").split()[2].lstrip("v")
    # 1.7.24~ds1-6+b4
    assert status["containerRuntimeVersion"].removeprefix("containerd://").partition("~")[0] == said.partition("~")[0]
    script = "for pid in $(pidof containerd-shim-runc-v2); do /proc/$pid/exe -v; done"
    shims = [
        line.split()[1].lstrip("v") for line in lab.demand(host, "sh", "-c", script).splitlines() if "Version:" in line
    ]
    assert {shim.partition(".")[0] for shim in shims} <= {said.partition(".")[0]}


def test_a_plan_of_a_change_changes_nothing(site, node, host_variables):
    host, variables, _what = CHANGES[0]
    before = node(host)
    host_variables(host, **variables)
    plan = site.plan()
    assert {event["host"] for event in plan.changes} == {host}
    assert "and the node uncordoned at the end" in plan.output
    assert node(host) == before


@pytest.mark.parametrize(("host", "variables", "what"), CHANGES, ids=[what for _host, _variables, what in CHANGES])
def test_a_node_is_changed(lab, site, load, node, crictl, host_variables, pace, host, variables, what):
    host_variables(host, **variables)
    with load(f"{host}: {what}") as outcomes:
        run, started = site.apply()
    print(f"  site.yml took {run.seconds:.1f} s")
    print(f"  the longest tasks: {longest(run)}")
    assert outcomes.problems == []
    assert node(host) == (variables["cluster_runtime"], True, [])
    assert crictl(host) == variables["cluster_runtime"]
    if variables["cluster_runtime"] == "containerd":
        runs_containerd(lab, host, "/usr/bin" if variables == PACKAGED else "/usr/local/bin")
    assert {name for name in started if not name.startswith(f"{host}/")} == set()
    assert lab.run(host, "sh", "-c", LEFT[variables["cluster_runtime"]])[1].split() == []
    assert run.seconds <= CHANGE_SECONDS + CHANGE_UNITS * pace()


def test_nothing_is_left_to_do(site):
    again, started = site.apply()
    print(f"again: {again.seconds:.1f} s, {again.changed} changed, {len(started)} started")
    assert (again.changed, started) == (0, set())


def numbers(run, tasks):
    """Task name -> its number in a run; the first one if several have that name."""
    found = {}
    for event in run.events:
        if event["event"] == "start" and event["task"] in tasks:
            found.setdefault(event["task"], event["number"])
    return found


TASKS = [
    f"plainkube.cluster.{name}"
    for name in (
        "node : Drain the node",
        "node : Remove the old runtime",
        "containerd : Run containerd",
        "artifacts : Load or pull the images",
        "node : Run cri-dockerd, kubelet and kube-proxy",
        "node : Uncordon the node",
        "node : Record that the change is complete",
    )
]


def test_a_change_that_is_killed_is_resumed(lab, site, load, node, inventory, host_variables):
    """The commit determines the task before which it is killed. In the end, the node is uncordoned, and no request is lost."""
    at = {}
    # There and back, so that the node is in its original state at the end.
    for turn, task in enumerate([*TASKS, None] if WHOLE else [turns.choose("change", TASKS), None]):
        variables = DOCKER if turn % 2 else BOTH
        runtime = variables["cluster_runtime"]
        host_variables("n1", **variables)
        with load(f"n1 to {runtime}, killed before: {task}") as outcomes:
            if task:
                at[runtime] = at.get(runtime) or numbers(site.run("--check").demand(), TASKS)
                assert sorted(at[runtime]) == sorted(TASKS)
                killed = runs.Playbook("site", *runs.inventory_arguments(inventory), kill_at=at[runtime][task]).wait()
                assert killed.code == -9, killed.output
                assert killed.events[-1]["task"] == task
            run = site.run().demand()
        print(f"  site.yml took {run.seconds:.1f} s to end it")
        assert outcomes.problems == []
        assert node("n1") == (runtime, True, [])
        assert lab.run("n1", "grep", "--no-messages", "runtime_change", "/var/lib/plainkube/state.json")[0] != 0
    again, started = site.apply()
    assert (again.changed, started) == (0, set())


def test_containers_of_others_refuse_it(lab, site, node, host_variables):
    """Before anything changes: while they run, Docker can neither use another address range nor stop."""
    archive = lab.run("n1", "sh", "-c", "ls /opt/plainkube/images/pause*.tar")[1].strip()
    lab.run("n1", "docker", "load", "--quiet", "--input", archive)
    image = lab.run("n1", "docker", "images", "--format={{.Repository}}:{{.Tag}}")[1].split()
    pause = next(name for name in image if "/pause:" in name)
    lab.demand("n1", "docker", "run", "--detach", "--name=mine", pause)
    for variables in (CONTAINERD, BOTH):
        host_variables("n1", **variables)
        before = lab.invocations()
        run = site.run()
        assert run.code != 0
        assert "mine" in run.output
        assert lab.invocations() == before
        assert node("n1") == ("docker", True, [])
    lab.run("n1", "docker", "rm", "--force", "mine")
    host_variables("n1", **DOCKER)
    again, started = site.apply()
    assert (again.changed, started) == (0, set())
