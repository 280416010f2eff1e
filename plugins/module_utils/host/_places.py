# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Fixed paths and names on a host, for several modules. The roles have theirs in roles/cluster/vars/main/places.yml; a unit test compares them."""

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
# flannel's lease.
SUBNET_FILE = "/var/lib/flannel/subnet.env"
# The pods' bridge: Docker's, or containerd's own.
DOCKER_BRIDGE = "docker0"
CNI_BRIDGE = "cni0"
