#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: docker_rebridge
short_description: Configure Docker's bridge docker0 for flannel's subnet
version_added: 1.0.0
description:
  - Gives docker0 exactly the address and MTU of flannel's lease, so that containers are part of the cluster's network.
  - A drop-in for docker.service adds flags to the command of the unit and its other drop-ins. The flags read their values
    from flannel's subnet file at every start, so a new lease takes effect at the next start or reboot.
  - Keeps every other setting in C(daemon.json) and in drop-ins. Only the settings that the flags replace (C(bip), C(mtu), C(ip-masq),
    C(userland-proxy), C(fixed-cidr)) are removed from C(daemon.json), because dockerd exits if a setting is in both places.
  - Does nothing, and restarts nothing, if the running daemon already has these values. Otherwise stops Docker, removes the stale docker0,
    starts Docker, and verifies address, MTU and masquerading. If that fails, restores the old configuration.
  - Containers inherit their limit of open files from containerd. If neither containerd's unit nor its drop-ins nor C(default-ulimits) set one, as with
    containerd's own unit since 2.0, a drop-in for containerd.service removes the limit, and containerd is restarted once. Containers and Docker keep
    running.
  - May stop Kubernetes' containers; the kubelet recreates them. For others, see O(foreign_containers).
extends_documentation_fragment: [plainkube.cluster.common]
options:
  subnet_file:
    description: The subnet file that flanneld writes.
    type: path
    default: /var/lib/flannel/subnet.env
  docker_options:
    description:
      - Settings to add to C(daemon.json) unless the administrator has set them, there or by a flag.
      - Removing or changing a setting here also removes or changes it there, unless it was changed there by other means. The module
        records the settings that it added in C(/var/lib/plainkube/state.json).
    type: dict
    default: {}
  foreign_containers:
    description:
      - What to do if running containers that Kubernetes does not own would be stopped.
      - V(refuse) fails and names them, before anything changes.
      - V(restart) stops them, and starts them again on the new bridge.
      - With live-restore, a restart of Docker that does not change the bridge stops no containers, and is never refused.
    type: str
    choices: [refuse, restart]
    default: refuse
  fixed_cidr:
    description:
      - The part of flannel's subnet for Docker's own containers, if pods of another runtime share docker0.
      - V(lower) and V(upper) are a half of the subnet at each start. Any other value is a network inside the subnet, in CIDR notation.
      - The default is the whole subnet.
    type: str
    default: ""
  pod_range:
    description:
      - The part of flannel's subnet for pods of another runtime, in the format of O(fixed_cidr). The two must not overlap.
      - If set, docker0 is never removed, because pods are attached to it.
    type: str
    default: ""
  environment:
    description:
      - Environment variables of dockerd that only root may read, such as a proxy URL with a password. Changing a value restarts Docker.
      - They are written to C(/etc/kubernetes/plainkube-docker.env), with mode 0600. Without variables, the file is removed.
    type: dict
    default: {}
  wait:
    description: Seconds to wait for the subnet file, for Docker to start, and for the bridge to be correct. Check mode does not wait.
    type: int
    default: 60
requirements:
  - Docker Engine 20.10 or later, started by systemd
attributes:
  check_mode:
    details: Without Docker or flannel's lease, reports that Docker would be restarted.
notes:
  - The drop-in sorts after those of the administrator, including C(override.conf), and repeats their C(ExecStart).
seealso:
  - name: Docker's daemon.json
    description: All settings of the daemon.
    link: https://docs.docker.com/reference/cli/dockerd/
"""

EXAMPLES = r"""
- name: Configure docker0 for flannel's subnet
  plainkube.cluster.docker_rebridge:
    docker_options:
      live-restore: true
      log-driver: json-file
      log-opts: {max-size: 50m, max-file: "3"}
"""

RETURN = r"""
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  sample:
    - {verb: restart, subject: "docker", reason: "docker0 has 172.17.0.1/16, flannel's subnet is 10.244.5.1/24"}
bridge:
  description: Address and MTU of docker0 according to flannel's lease. Empty in check mode if there is no lease yet.
  returned: success
  type: dict
  sample: {"address": "10.244.5.1/24", "mtu": 1450}
containers:
  description: Names of the containers not owned by Kubernetes that were, or would be, stopped and started again.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.docker_rebridge import main

if __name__ == "__main__":
    main()
