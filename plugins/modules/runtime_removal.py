#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: runtime_removal
short_description: Remove a node's previous container runtime
version_added: 1.0.0
description:
  - If there is anything to remove, stops the kubelet, and removes Kubernetes' containers, their images and their network from the previous runtime,
    and the runtime's service (cri-dockerd, or this collection's containerd) with its files.
  - For O(runtime=containerd) with a new bridge, or with O(replaced=true), removes only the pods' containers and network.
  - With O(docker=true), Docker Engine and its own containers keep running. Otherwise, it is stopped and disabled, and its default bridge
    and settings are restored; its images, containers and volumes stay.
  - For a drained node; whatever still runs on it is stopped. You can kill the module and run it again.
extends_documentation_fragment: [plainkube.cluster.common]
options:
  state:
    description:
      - V(prepared) checks that the previous runtime can be removed, and records in C(/var/lib/plainkube/state.json) that the change is in progress.
        Without that record, the run after a killed one could not tell why the node is drained.
      - V(removed) removes it.
      - V(complete) removes the record. It needs no other option, and the others need all those without a default.
    type: str
    choices: [prepared, removed, complete]
    default: removed
  runtime:
    description: The new runtime of the node.
    type: str
    choices: [docker, containerd]
  bridge:
    description: The new bridge of its pods.
    type: str
  docker:
    description:
      - Whether the node keeps Docker Engine. If not, and Docker runs containers that Kubernetes does not own, the module fails before it changes anything.
    type: bool
  replaced:
    description: Whether another major version of containerd follows.
    type: bool
    default: false
  packaged:
    description: Whether the node's containerd is the distribution's from now on, so that the binaries of upstream's are removed.
    type: bool
    default: false
  images:
    description: Names of images to remove from Docker, in addition to those of pods' containers. An image that another container uses stays.
    type: list
    elements: str
    default: []
  wait:
    description: Seconds to wait for Docker to start, if that is necessary.
    type: int
    default: 60
attributes:
  check_mode:
    details: If a runtime is not running, its containers and images cannot be listed.
seealso:
  - module: plainkube.cluster.host_reset
"""

EXAMPLES = r"""
- name: Remove Docker and cri-dockerd
  plainkube.cluster.runtime_removal:
    runtime: containerd
    bridge: cni0
    docker: false
"""

RETURN = r"""
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  description:
    - What was, or would be, done.
    - V(wait) if a change of the runtime is in progress.
  sample:
    - {verb: stop, subject: "cri-dockerd", reason: ""}
    - {verb: remove, subject: "container k8s_POD_hello_default_0", reason: ""}
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.runtime_removal import main

if __name__ == "__main__":
    main()
