#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: container_images
short_description: Have images in the container runtime, loaded from archives or pulled
version_added: 1.0.0
description:
  - Looks for all images with one command. What is missing is loaded from an archive on the host, or pulled.
  - An image that is there by its name is left alone.
author:
  - The plainkube authors (@plainkube)
attributes:
  check_mode:
    support: full
    description: Says which images would be loaded or pulled; a runtime that does not run yet counts as having none.
  diff_mode:
    support: full
    description: One line for each image that is loaded or pulled.
  idempotent:
    support: full
    description: Images that are there are neither loaded nor pulled.
options:
  images:
    description: The images to have.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name with tag, under which the image is there afterwards.
        type: str
        required: true
      archive:
        description: An archive on the host that has the image under this name, as C(docker save) writes it. Without it, the image is pulled.
        type: path
      digest:
        description: Pull exactly this digest, for example C(sha256:4f5c…).
        type: str
  registry:
    description:
      - Pull from this registry, with or without a path, instead of the one in the names. The rest of a name stays, and the image is
        tagged with its full name. With V(registry.example.com/kubernetes), C(registry.k8s.io/coredns/coredns:v1.14.7) is pulled as
        C(registry.example.com/kubernetes/coredns/coredns:v1.14.7).
    type: str
    default: ""
  runtime:
    description: The container runtime. Of V(containerd), the images are those of the namespace C(k8s.io).
    type: str
    choices: [docker, containerd]
    default: docker
"""

EXAMPLES = r"""
- name: Have the pause image, from an archive
  plainkube.cluster.container_images:
    images:
      - name: registry.k8s.io/pause:3.10.2
        archive: /opt/plainkube/images/pause_3.10.2_amd64.tar

- name: Have the pause image, from a registry of one's own
  plainkube.cluster.container_images:
    images:
      - name: registry.k8s.io/pause:3.10.2
    registry: registry.example.com/kubernetes
"""

RETURN = r"""
changes:
  description: What was done, or would be.
  type: list
  elements: str
  returned: always
  sample: ["registry.k8s.io/pause:3.10.2 absent → loaded from /opt/plainkube/images/pause_3.10.2_amd64.tar"]
"""

from ansible_collections.plainkube.cluster.plugins.module_utils._modules.container_images import main

if __name__ == "__main__":
    main()
