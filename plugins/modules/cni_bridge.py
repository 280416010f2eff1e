#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: cni_bridge
short_description: Configure containerd's pod network for flannel's subnet
version_added: 1.0.0
description:
  - Role containerd installs the script C(plainkube-cni), and C(plainkube-cni.service) runs it at every change of flannel's lease. The module
    runs it to compare the CNI configuration, the bridge's address and MTU, and the addresses of running pods with the lease.
  - If something differs, starts the service to repair it, and waits for the result.
extends_documentation_fragment: [plainkube.cluster.common]
options:
  wait:
    description: Seconds to wait for flannel's subnet, and for pods with wrong addresses to stop.
    type: int
    default: 60
attributes:
  check_mode:
    details: If the script is not installed yet, reports a change.
seealso:
  - module: plainkube.cluster.docker_rebridge
"""

EXAMPLES = r"""
- name: Configure the pod network for flannel's subnet
  plainkube.cluster.cni_bridge:
"""

RETURN = r"""
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  description:
    - What was, or would be, done. The subject is a difference that was found.
  sample:
    - {verb: apply, subject: "cni0 lacks flannel's 10.244.5.1/24", reason: ""}
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.cni_bridge import main

if __name__ == "__main__":
    main()
