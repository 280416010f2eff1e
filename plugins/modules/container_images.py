#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: container_images
short_description: Load images into the container runtime from archives, or pull them
version_added: 1.0.0
description:
  - Looks for all images with one command. Missing ones are loaded from an archive on the host, or pulled.
  - An existing image of the same name is left alone.
extends_documentation_fragment: [plainkube.cluster.common]
attributes:
  check_mode:
    details: Reports which images would be loaded or pulled. A runtime that is not running counts as having none.
  diff_mode:
    details: One line per image that is loaded or pulled.
  idempotent:
    details: Existing images are neither loaded nor pulled.
options:
  images:
    description: The required images.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the image, with tag.
        type: str
        required: true
      archive:
        description: Archive on the host with the image under this name, in the format of C(docker save). Without it, the image is pulled.
        type: path
      digest:
        description: Digest to pull, for example C(sha256:4f5c…).
        type: str
  registry:
    description:
      - Registry to pull from, with or without a path, instead of the one in the names. The rest of the name stays, and the image is
        tagged with its original name. With V(registry.example.com/kubernetes), C(registry.k8s.io/coredns/coredns:v1.14.7) is pulled as
        C(registry.example.com/kubernetes/coredns/coredns:v1.14.7).
    type: str
    default: ""
  runtime:
    description: The container runtime. With V(containerd), images are in the namespace C(k8s.io).
    type: str
    choices: [docker, containerd]
    default: docker
"""

EXAMPLES = r"""
- name: Load the pause image from an archive
  plainkube.cluster.container_images:
    images:
      - name: registry.k8s.io/pause:3.10.2
        archive: /opt/plainkube/images/pause_3.10.2_amd64.tar

- name: Pull the pause image from a private registry
  plainkube.cluster.container_images:
    images:
      - name: registry.k8s.io/pause:3.10.2
    registry: registry.example.com/kubernetes
"""

RETURN = r"""
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  sample:
    - {verb: install, subject: "registry.k8s.io/pause:3.10.2 absent → loaded from /opt/plainkube/images/pause_3.10.2_amd64.tar", reason: ""}
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.container_images import main

if __name__ == "__main__":
    main()
