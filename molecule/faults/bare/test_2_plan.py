# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The plan for bare hosts changes nothing, and comes true."""

from __future__ import annotations

# Only Docker's package says how its service is started, so its plan cannot name every file.
UNKNOWN_BEFORE = {"/etc/systemd/system/containerd.service.d/zz-plainkube.conf"}


def announced(run):
    """(host, task, files, services) of all that changed or would."""
    return sorted(
        (one["host"], one["task"], *sorted({*one["written"]} - UNKNOWN_BEFORE), *one["restarts"], *one["changes"])
        for one in run.changes
    )


def test_the_plan_comes_true(site, lab):
    plan = site.plan()
    assert announced(plan)
    for host in lab.hosts():
        found = lab.run(
            host, "sh", "-c", "ls -d /etc/kubernetes /opt/plainkube /usr/bin/dockerd /usr/sbin/dockerd 2>/dev/null"
        )[1]
        assert found == "", f"the plan left {found} on {host}"
    run, started = site.apply()
    print(f"site.yml on bare hosts, with packages: {run.seconds:.1f} s")
    assert announced(run) == announced(plan)
    services = {f"{host}/{name}" for host, names in plan.restarts.items() for name in names}
    assert {name for name in started if "containerd" not in name} == services
