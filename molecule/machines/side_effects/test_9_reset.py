# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""reset.yml leaves machines that boot, and on which nothing of a cluster runs or is left."""

from __future__ import annotations

import pytest

HOSTS = ("k1", "n1")
CONFIRMED = ("-e", "reset_confirm=plainkube")
PROGRAMS = "etcd kube-apiserver kube-controller-manager kube-scheduler flanneld cri-dockerd kubelet kube-proxy"
# Names of our remains on the file system; Debian's packages of programs that others may use stay.
REMAINS = r"""
find / -xdev \( -path /proc -o -path /sys -o -path /usr/share -o -path /usr/lib -o -path /var/lib/docker -o -path /var/lib/containerd \
  -o -path /var/log/journal -o -path '/var/tmp/systemd-private-*' \) -prune \
  -o \( -iname '*kube*' -o -iname '*etcd*' -o -iname '*flannel*' -o -iname '*cri-dockerd*' \) -print
find /run -mindepth 1 \( -iname '*kube*' -o -iname '*etcd*' -o -iname '*flannel*' -o -name '*cri-dockerd*' \)
"""


def is_clean(lab, host):
    assert lab.demand(host, "sh", "-c", REMAINS).split() == []
    assert [name for name in PROGRAMS.split() if lab.run(host, "pidof", name)[0] == 0] == []
    units = lab.demand(host, "systemctl", "list-unit-files", "--no-legend")
    assert [name for name in PROGRAMS.split() if f"{name}.service" in units] == []
    rules = lab.demand(host, "sh", "-c", "command -v nft >/dev/null && nft list ruleset; true").lower()
    assert not [word for word in ("kube", "flannel") if word in rules]
    assert "flannel" not in lab.demand(host, "sh", "-c", "ip -oneline link; ip route")
    assert lab.run(host, "grep", "-c", "kubelet/", "/proc/mounts") == (1, "0\n")
    assert lab.demand(host, "find", "/sys/fs/cgroup", "-name", "kubepods*") == ""
    assert lab.demand(host, "systemctl", "is-system-running").strip() == "running"


@pytest.fixture(scope="module", autouse=True)
def resets(site):
    assert {one["host"] for one in site.run(*CONFIRMED, playbook="reset").demand().changes} == {*HOSTS}


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_is_left(lab, host):
    is_clean(lab, host)


def test_a_second_reset_changes_nothing(site):
    assert site.run(*CONFIRMED, playbook="reset").demand().changed == 0


def test_nothing_returns_at_the_next_boot(lab):
    lab.shut_down(*HOSTS)
    lab.start(*HOSTS)
    for host in HOSTS:
        is_clean(lab, host)
