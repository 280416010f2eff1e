#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: host_reset
short_description: Remove everything that this collection created on a host, and nothing else
version_added: 1.0.0
description:
  - Stops and removes the services with their users, configuration, data and binaries, Kubernetes' containers and their mounts, the images
    that the collection installed, and flannel's and kube-proxy's interfaces, routes and rules. Restores Docker Engine's default bridge.
  - Identifies what belongs to the collection. Units carry its stamp; without the unit of a component, nothing of that component is
    touched. Users, files and links carry its name, containers the kubelet's labels.
  - Unmounts everything below the directories that it removes. Removes nothing behind a mount point, and no target of a link
    inside these directories. So pod volumes keep their content, with and without C(subPath).
  - If such a directory, like C(/var/lib/kubelet), is itself a link or a mount point, what the cluster wrote there is removed; the link,
    its target, and the mount stay. If the directory contains anything else, the module fails before it changes anything.
  - Removes the units last, so that the next run can finish the work of a killed one.
  - Keeps packages, active sysctls, images that pods pulled, and everything that the collection did not create.
  - Containers that Kubernetes does not own keep running. Until they stop, Docker keeps its process and the current bridge, because a restart would
    stop them. Run the module again after they have stopped to restore Docker's default bridge.
extends_documentation_fragment: [plainkube.cluster.common]
options:
  certificates:
    description: Files of the collection below C(/etc/kubernetes/pki). Files with other names stay.
    type: list
    elements: str
    default: []
  images:
    description: Names of the images to remove. An image that another container uses stays, and an image with a second name keeps that name.
    type: list
    elements: str
    default: []
  cgroup_root:
    description: The kubelet's setting C(cgroupRoot).
    type: str
    default: ""
  wait:
    description: Seconds to wait for Docker to start.
    type: int
    default: 60
attributes:
  check_mode:
    details: If Docker is not running, its containers and images cannot be listed.
"""

EXAMPLES = r"""
- name: Remove the cluster from this host
  plainkube.cluster.host_reset:
    certificates: [origin, ca.crt, kubelet-client.crt, kubelet-client.key]
    images: ["registry.k8s.io/pause:3.10.2"]
"""

RETURN = r"""
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  sample:
    - {verb: stop, subject: "kubelet", reason: ""}
    - {verb: remove, subject: "interface flannel.1", reason: ""}
removed:
  description: What was, or would be, removed, by kind. For a directory whose name ends with a slash, only the content.
  returned: success
  type: dict
  sample: {"service": ["kubelet"], "interface": ["flannel.1"]}
kept:
  description: What could not be undone yet, as sentences.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.host_reset import main

if __name__ == "__main__":
    main()
