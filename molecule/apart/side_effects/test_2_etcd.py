# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Dedicated etcd hosts: one fails, two are added."""

from __future__ import annotations

import json
import pathlib
import re

import pytest

from lab import runs

FIRST = ("e1", "e2", "e3")
ALL = (*FIRST, "e4", "e5")
# Component -> its flag with the members, and its hosts.
CLIENTS = {"kube-apiserver": ("etcd-servers", ("b1", "b2")), "flanneld": ("etcd-endpoints", ("b1", "b2", "n1"))}
# How playbooks report that they continued without a host; kubeconfig.yml does not need etcd members.
SAID = {"status": "{} is unreachable: ", "verify": "Skipped because they are unreachable: {}"}


def asked(lab, host, component):
    """The etcd hosts in the flags of the running process."""
    option = CLIENTS[component][0]
    command = lab.run(host, "sh", "-c", f"tr '\\0' '\\n' < /proc/$(pidof {component})/cmdline")[1]
    (value,) = re.findall(rf"^--{option}=(.+)$", command, re.MULTILINE)
    return sorted(re.findall(r"https://([^:,]+):2379", value))


def test_there_is_no_member_on_a_control_plane(lab, etcd):
    members = json.loads(etcd.ctl("e1", "member list --write-out=json"))["members"]
    assert sorted(member["name"] for member in members) == [*FIRST]
    for host in ("b1", "b2", "n1"):
        assert lab.run(host, "pidof", "etcd")[0] != 0
    for host in FIRST:
        assert lab.run(host, "pidof", "kubelet", "kube-apiserver", "dockerd", "haproxy")[0] != 0


def test_a_member_without_power(lab, site, probes, etcd, nodes, pods):
    """Even the leader: the cluster and every playbook continue to work, and playbooks report what they skipped."""
    down = "e2"
    etcd.lead(down, FIRST)
    before, running = nodes(), pods()
    with probes.running(f"{down}, which leads etcd, without power") as outcomes:
        lab.kill(down)
        ended = {name: site.run(playbook=name) for name in ("status", "verify", "kubeconfig")}
        limited = site.run("--limit", f"all:!{down}")
    assert outcomes.problems == []
    assert (nodes(), pods()) == (before, running)
    for name, run in ended.items():
        print(f"  {name} without {down}: {run.seconds:.1f} s, ended with {run.code}")
        assert SAID.get(name, "").format(down) in run.output
        # status.yml reports a host that is down as a problem.
        assert (run.code == 0) == (name != "status"), run.output
    assert (limited.code, limited.changed, limited.restarts) == (0, 0, {}), limited.output
    with probes.running(f"{down} has power again") as outcomes:
        lab.start(down)
        found = site.status(wait=60)
    assert found["healthy"], [host["problems"] for host in found["hosts"].values()]
    assert outcomes.problems == []


@pytest.fixture(scope="module")
def whole(lab, inventory):
    """The inventory with the new members, which the playbooks use from now on."""
    path = pathlib.Path(inventory)
    path.write_text(lab.inventory(), encoding="utf-8")
    return path


def test_three_members_become_five(lab, site, probes, etcd, nodes, pods, whole):
    before, running = nodes(), pods()
    with probes.running("from three members of etcd to five") as outcomes:
        run = runs.playbook("site", whole).demand()
    print(f"  site.yml took {run.seconds:.1f} s")
    assert outcomes.problems == []
    members = json.loads(etcd.ctl("e1", "member list --write-out=json"))["members"]
    assert sorted(member["name"] for member in members) == [*ALL]
    assert not [member["name"] for member in members if member.get("isLearner")]
    addresses = sorted(lab.address(host) for host in ALL)
    for component, (_option, hosts) in CLIENTS.items():
        assert {host: asked(lab, host, component) for host in hosts} == dict.fromkeys(hosts, addresses)
    assert (nodes(), pods()) == (before, running)
    again, started = site.apply()
    assert (again.changed, started) == (0, set())
