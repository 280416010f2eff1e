# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""reset.yml leaves nothing on nodes with containerd."""

from __future__ import annotations

import pytest

LEFT = (
    "ls -d /etc/containerd/plainkube.toml /etc/systemd/system/containerd.service /etc/systemd/system/plainkube-cni.* /etc/kubernetes "
    "/etc/cni /opt/cni /var/lib/cni /sys/class/net/cni0 /run/netns/cni-* /opt/plainkube /etc/crictl.yaml "
    "/var/lib/containerd/io.containerd.grpc.v1.cri 2>/dev/null; iptables-save | grep -o 'CNI-.*\\|KUBE-.*\\|FLANNEL-.*'; "
    "pidof kubelet kube-proxy flanneld containerd-shim-runc-v2; grep -o 'io.containerd.grpc.*' /proc/mounts; "
    "find /sys/fs/cgroup -name 'kubepods*'"
)


@pytest.fixture(scope="module")
def reset(site):
    return site.run("-e", "reset_confirm=plainkube", playbook="reset").demand()


@pytest.mark.parametrize("host", ["n2", "n3"])
def test_nothing_is_left(lab, reset, host):
    assert lab.run(host, "sh", "-c", LEFT)[1].split() == []


def test_a_second_reset_finds_nothing(site, reset):
    assert site.run("-e", "reset_confirm=plainkube", playbook="reset").demand().changed == 0
