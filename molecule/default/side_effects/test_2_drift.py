# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Manual changes on hosts: status.yml reports them, a plan shows the repair, and site.yml repairs them and nothing else."""

from __future__ import annotations

import re

import pytest

KUBE_PROXY = "/opt/plainkube/kubernetes/*/kube-proxy"
UNIT = "/etc/systemd/system/cri-dockerd.service"

# Host, the manual change, the unit that must restart, and the problem in the status.
HANDS = [
    ("n1", "echo '# by hand' >> /etc/kubernetes/kubelet.yaml", "kubelet", "kubelet.yaml changed on disk"),
    (
        "n2",
        "echo 'maxPods: 7' >> /etc/kubernetes/kubelet.yaml && systemctl restart kubelet",
        "kubelet",
        "kubelet.yaml changed on disk",
    ),
    ("k1", "systemctl stop kube-scheduler", "kube-scheduler", r"stopped \(inactive/dead\)"),
    # A different program with the same name, such as a manual copy.
    (
        "n1",
        f"for f in {KUBE_PROXY}; do cp $f /tmp/other && echo >> /tmp/other && chmod 755 /tmp/other && mv /tmp/other $f; done"
        " && systemctl restart kube-proxy",
        "kube-proxy",
        "/usr/local/bin/kube-proxy changed on disk",
    ),
    # The unit is correct again, but the process was started while it was not.
    (
        "n2",
        f"cp -p {UNIT} /tmp/unit && sed -i 's/TasksMax=infinity/TasksMax=99999/' {UNIT} && systemctl daemon-reload"
        f" && sed -i 's/^Environment=PLAINKUBE_STAMP=.*/Environment=PLAINKUBE_STAMP=/' {UNIT} && systemctl daemon-reload"
        f" && systemctl restart cri-dockerd && cp -p /tmp/unit {UNIT} && systemctl daemon-reload",
        "cri-dockerd",
        "started from an older unit",
    ),
    ("n2", "kill -STOP $(pidof flanneld) && systemctl kill -s KILL flanneld", None, None),
    ("k1", "systemctl disable kube-apiserver", None, "would not start at boot"),
    # Repaired in place, without a restart.
    ("n2", "ip link set dev docker0 mtu 1500", None, None),
    # As after a run that was killed between writing the unit and reloading systemd.
    ("n1", "touch /etc/systemd/system/flanneld.service", None, "^flanneld.*systemd has not loaded it"),
]


@pytest.fixture(scope="module")
def hands(lab):
    for host, command, *_rest in HANDS:
        lab.demand(host, "sh", "-ec", command)
    return {f"{host}/{unit}" for host, dummy, unit, dummy in HANDS if unit}


def test_status_finds_it(site, hands):
    found = site.status()
    assert not found["healthy"]
    for host, command, unit, said in HANDS:
        if said:
            problems = [one for one in found["hosts"][host]["problems"] if one.startswith(unit or "")]
            assert any(re.search(said, one) for one in problems), (command, found["hosts"][host]["problems"])


def test_the_plan_announces_what_has_to_be_mended_and_the_run_mends_it(site, hands, lab):
    wrong = lab.demand("n2", "cat", "/sys/class/net/docker0/mtu").strip()
    plan = site.plan()
    planned = {f"{host}/{unit}" for host, services in plan.restarts.items() for unit in services}
    run, started = site.apply()
    assert planned == hands
    assert run.restarts == plan.restarts
    assert started == hands
    assert wrong == "1500"
    assert (
        lab.demand("n2", "cat", "/sys/class/net/docker0/mtu").strip()
        == lab.demand("n1", "cat", "/sys/class/net/docker0/mtu").strip()
        != wrong
    )


def test_all_is_well_then_and_nothing_is_left_to_do(site, hands):
    assert site.status(wait=30)["healthy"]
    run, started = site.apply()
    assert (run.changed, started) == (0, set())
