# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A plan for bare hosts changes nothing, and the run does what it announced."""

from __future__ import annotations

import json

# Only Docker's package contains the command of its service, so its plan cannot name every file.
UNKNOWN_BEFORE = {"/etc/systemd/system/containerd.service.d/zz-plainkube.conf"}


def files(lab, host):
    """The files where a cluster would be. Refused runs may have left staged downloads."""
    return lab.run(
        host, "find", "/etc", "/opt", "/usr/local", "-not", "-path", "*/.staged*", "-printf", r"%p %y %s %C@\n"
    )[1]


def announced(run):
    """(host, task, files, services) of every change that was made or announced."""
    return sorted(
        (one["host"], one["task"], *sorted({*one["written"]} - UNKNOWN_BEFORE), *one["restarts"], *one["installed"])
        for one in run.changes
    )


def test_a_plan_of_three_control_planes_with_balancers(site, lab):
    """There is no time to install it here; molecule/ha installs such a cluster, on hosts that already have HAProxy."""
    before = {host: files(lab, host) for host in lab.hosts()}
    plan = site.plan("-e", json.dumps({"cluster_control_plane_group": "all"}))
    assert {host: files(lab, host) for host in lab.hosts()} == before
    for host in lab.hosts():
        # k1 is no node.
        assert {"etcd", "kube-apiserver", "plainkube-load-balancer"} | ({"kubelet"} if host != "k1" else set()) <= {
            *plan.restarts[host]
        }
    assert "Would keep the services of haproxy from starting" in plan.output


def test_the_plan_comes_true(site, lab):
    before = {host: files(lab, host) for host in lab.hosts()}
    plan = site.plan()
    assert announced(plan)
    assert {host: files(lab, host) for host in lab.hosts()} == before
    run, started = site.apply()
    # lab/torture.py relies on this.
    assert run.boundaries == plan.boundaries
    print(f"site.yml on bare hosts, with packages: {run.seconds:.1f} s")
    assert announced(run) == announced(plan)
    services = {f"{host}/{name}" for host, names in plan.restarts.items() for name in names}
    assert {name for name in started if "containerd" not in name} == services
