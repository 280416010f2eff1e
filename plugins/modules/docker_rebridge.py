#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: docker_rebridge
short_description: Puts Docker's bridge docker0 on flannel's subnet
version_added: 1.0.0
description:
  - Makes docker0 have exactly the address and MTU of flannel's lease, so that containers are part of the cluster's network.
  - A drop-in for docker.service adds flags to the command that the unit and its other drop-ins say. The flags take their values
    from flannel's subnet file at every start, so another lease is followed at the next start or reboot by itself.
  - Keeps every other setting in C(daemon.json) and in drop-ins. Only what the flags decide (C(bip), C(mtu), C(ip-masq),
    C(userland-proxy), C(fixed-cidr)) is taken out of C(daemon.json), because dockerd exits when it is told both ways.
  - Does nothing, and restarts nothing, when the running daemon already has it. Otherwise stops Docker, removes the stale docker0,
    starts it, and verifies address, MTU and masquerading. When that fails, the old configuration is put back.
  - Containers of Kubernetes may be stopped on the way; kubelet makes them again. For others see O(foreign_containers).
extends_documentation_fragment:
  - plainkube.cluster.attributes
author:
  - The plainkube authors (@plainkube)
options:
  subnet_file:
    description: The subnet file that flanneld writes.
    type: path
    default: /var/lib/flannel/subnet.env
  docker_options:
    description:
      - Settings to put into C(daemon.json) where the administrator has not set them, there or by a flag.
      - A setting that is removed here, or changed, is removed or changed there, unless somebody changed it there since.
    type: dict
    default: {}
  foreign_containers:
    description:
      - What to do when containers run that Kubernetes does not own, and would be stopped.
      - V(refuse) fails, naming them, before anything is changed.
      - V(restart) stops them, and starts them again on the new bridge.
      - With live-restore, a restart of Docker that leaves the bridge as it is stops no container, and refuses none.
    type: str
    choices: [refuse, restart]
    default: refuse
  fixed_cidr:
    description:
      - The part of flannel's subnet that Docker gives containers addresses of, where pods of another runtime are on docker0 too.
      - V(lower) and V(upper) are a half of it, whatever the subnet is at each start. Else a network inside of it, in CIDR notation.
      - By default, all of it.
    type: str
    default: ""
  pod_range:
    description:
      - The part of flannel's subnet that another runtime gives pods addresses of, written as O(fixed_cidr) is. The two must not overlap.
      - With it, docker0 is never removed, as pods are attached to it.
    type: str
    default: ""
  environment:
    description:
      - Variables of dockerd's process that only root may read, such as the URL of a proxy with a password. Another value restarts Docker.
      - They are written to C(/etc/kubernetes/plainkube-docker.env), with mode 0600. Where there are none, the file is removed.
    type: dict
    default: {}
  wait:
    description: Seconds to wait for the subnet file, for Docker to start, and for the bridge to be right. In check mode nothing is waited for.
    type: int
    default: 60
requirements:
  - Docker Engine 20.10 or later, started by systemd
attributes:
  check_mode:
    support: full
    details: Where Docker or flannel's lease is not there yet, it answers that Docker would be restarted.
  diff_mode:
    support: full
  idempotent:
    support: full
notes:
  - The drop-in sorts behind those of the administrator, C(override.conf) included, and repeats their C(ExecStart).
seealso:
  - name: Docker's daemon.json
    description: All settings of the daemon.
    link: https://docs.docker.com/reference/cli/dockerd/
"""

EXAMPLES = r"""
- name: Put docker0 on flannel's subnet
  plainkube.cluster.docker_rebridge:
    docker_options:
      live-restore: true
      log-driver: json-file
      log-opts: {max-size: 50m, max-file: "3"}
"""

RETURN = r"""
restart:
  description: Whether Docker was started or restarted, or would be.
  returned: success
  type: bool
reasons:
  description: Why, in words.
  returned: success
  type: list
  elements: str
bridge:
  description: Address and MTU of docker0 by flannel's lease. Empty in check mode where there is no lease yet.
  returned: success
  type: dict
  sample: {"address": "10.244.5.1/24", "mtu": 1450}
containers:
  description: Names of the containers not owned by Kubernetes that were stopped and started again, or would be.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.plainkube.cluster.plugins.module_utils._modules.docker_rebridge import main

if __name__ == "__main__":
    main()
