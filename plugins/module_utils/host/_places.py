# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Fixed paths, names and ports on a host. The roles have theirs in places.yml and components.yml of roles/cluster/vars/main; a unit test compares them."""

from __future__ import annotations

UNITS = "/etc/systemd/system"
SYSUSERS = "/etc/sysusers.d"
CONFIGURATION = "/etc/kubernetes"
PKI = f"{CONFIGURATION}/pki"
ADMIN_CONF = f"{CONFIGURATION}/admin.conf"
# Versioned directories of role artifacts, and the directories with symlinks to them.
RELEASES = "/opt/plainkube"
BINARIES = "/usr/local/bin"
CNI_PLUGINS = "/opt/cni/bin"
# etcd's data, and the settings of its first start: not in a directory of etcd's user, because systemd reads them as root.
ETCD_DATA = "/var/lib/etcd/data"
ETCD_FIRST_START = f"{CONFIGURATION}/etcd-first-start"
ETCD_CLIENT_PORT = 2379
API_SERVER_LOGS = "/var/log/kube-apiserver"
KUBELET_YAML = f"{CONFIGURATION}/kubelet.yaml"
KUBE_PROXY_YAML = f"{CONFIGURATION}/kube-proxy.yaml"
# The certificates that the kubelet renews itself.
KUBELET_PKI = "/var/lib/kubelet/pki"
# flannel's keys in etcd, its lease, and the port of its backend vxlan.
FLANNEL_PREFIX = "/coreos.com/network"
SUBNET_FILE = "/var/lib/flannel/subnet.env"
VXLAN_PORT = 8472
# Container runtimes. The drop-in is sorted after override.conf, which `systemctl edit` creates: its command repeats and extends the others.
CRI_DOCKERD_SOCKET = "/run/cri-dockerd.sock"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
# That of the distribution's package and of Docker's.
PACKAGED_CONTAINERD = "/usr/bin/containerd"
DOCKER_DROP_IN = "zz-plainkube.conf"
# containerd's pod network, and the program that configures it, with its units.
CNI_DIRECTORY = "/etc/cni/net.d"
CNI_CONFLIST = f"{CNI_DIRECTORY}/10-plainkube.conflist"
CNI_LEASES = "/var/lib/cni/networks/plainkube"
CNI_PROGRAM = f"{CONFIGURATION}/plainkube-cni"
CNI_SERVICE = "plainkube-cni.service"
CNI_PATH = "plainkube-cni.path"
# Packages' services that must not start, because we run their programs in our own services.
HELD_SERVICES = ["haproxy", "keepalived"]
# The pods' bridge: Docker's, or containerd's own.
DOCKER_BRIDGE = "docker0"
CNI_BRIDGE = "cni0"
