#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: runtime_removal
short_description: Removes from a node what the container runtime that it is to have has no use for
version_added: 1.0.0
description:
  - Stops the kubelet, where there is anything to remove, and removes Kubernetes' containers, their images and their network from the other runtime,
    with the service that the kubelet had there (cri-dockerd, or this collection's containerd) and its files.
  - For O(runtime=containerd) on another bridge than its pods are on, removes the pods' containers and network only.
  - Docker Engine goes on running, with the containers of others, where O(docker) is true. Else it is stopped, not started at boot, and given its own bridge
    and settings back; its images, containers and volumes stay.
  - For a node that was drained; what still runs on it is ended. Can be killed and run again.
extends_documentation_fragment:
  - plainkube.cluster.attributes
author:
  - The plainkube authors (@plainkube)
options:
  runtime:
    description: The runtime that the node is to have.
    type: str
    choices: [docker, containerd]
    required: true
  bridge:
    description: The bridge that its pods are to be on.
    type: str
    required: true
  docker:
    description:
      - Whether Docker Engine is to be on the node. If not, and it runs containers that Kubernetes does not own, the module fails before it changes anything.
    type: bool
    required: true
  images:
    description: Names of images to remove from Docker, beside those that pods' containers have. One that a container of others uses stays.
    type: list
    elements: str
    default: []
  wait:
    description: Seconds to wait for Docker to start, where it has to for that.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    details: Containers and images of a runtime that does not run cannot be listed.
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - module: plainkube.cluster.host_reset
"""

EXAMPLES = r"""
- name: Leave Docker and cri-dockerd
  plainkube.cluster.runtime_removal:
    runtime: containerd
    bridge: cni0
    docker: false
"""

RETURN = r"""
removed:
  description: What was removed, or would be.
  returned: success
  type: list
  elements: str
  sample: ["service cri-dockerd", "container k8s_POD_hello_default_0"]
pending:
  description: That a change was begun and has not come to its end, in words.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.plainkube.cluster.plugins.module_utils._modules.runtime_removal import main

if __name__ == "__main__":
    main()
