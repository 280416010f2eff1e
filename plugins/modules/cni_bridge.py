#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: cni_bridge
short_description: Puts the network of containerd's pods on flannel's subnet
version_added: 1.0.0
description:
  - Asks the script C(plainkube-cni), which role containerd installs and C(plainkube-cni.service) runs at every change of flannel's lease, whether all
    is as the lease says - the CNI configuration, the bridge's address and MTU, and the addresses of the pods that run.
  - Where something differs, has the service mend it, and waits until it has.
extends_documentation_fragment:
  - plainkube.cluster.attributes
author:
  - The plainkube authors (@plainkube)
options:
  script:
    description: The script.
    type: path
    default: /etc/kubernetes/plainkube-cni
  wait:
    description: Seconds to wait for flannel's subnet, and for pods with wrong addresses to end.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    details: Where the script is not there yet, it answers that there is something to do.
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - module: plainkube.cluster.docker_rebridge
"""

EXAMPLES = r"""
- name: Put the pods' network on flannel's subnet
  plainkube.cluster.cni_bridge:
"""

RETURN = r"""
differences:
  description: What was not as it should be, in words.
  returned: success
  type: list
  elements: str
  sample: ["cni0 has not flannel's 10.244.5.1/24"]
"""

from ansible_collections.plainkube.cluster.plugins.module_utils._modules.cni_bridge import main

if __name__ == "__main__":
    main()
