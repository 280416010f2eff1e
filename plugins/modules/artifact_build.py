#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_build
short_description: Build an upstream project's download from its Go module, into a mirror directory
version_added: 1.0.0
description:
  - Builds the programs of a published Go module and writes them to the path that the upstream project's download has on a mirror,
    as a plain binary, a compressed archive or a container image, with its SHA-256 checksum in the upstream format.
  - Skips an existing artifact that has the right checksum and was built from the same recipe. Go's own caches let an interrupted build resume.
  - Builds are reproducible. The result depends only on the sources, the recipe and the Go version.
  - Requires Go 1.26 or later on the host it runs on, and gcc for O(cgo=true).
extends_documentation_fragment: [plainkube.cluster.common]
attributes:
  check_mode:
    details: Reports whether it would build, and builds nothing.
  diff_mode:
    details: Shows as text whether the artifact exists.
  idempotent:
    details: An existing artifact with the right checksum is not rebuilt.
options:
  name:
    description: Name of the artifact in messages.
    type: str
    required: true
  url:
    description:
      - URL at which upstream publishes this artifact. C(https://HOST/PATH) is written to O(directory)C(/HOST/PATH).
      - A relative path is for an artifact that only mirrors have.
    type: str
    required: true
  sums_url:
    description: URL at which upstream publishes its SHA-256. The document's entries for other files are kept.
    type: str
    required: true
  directory:
    description: The mirror directory.
    type: path
    required: true
  work_directory:
    description: Directory for sources and intermediate files. You can remove it when no build is running.
    type: path
    required: true
  architecture:
    description: Target architecture.
    type: str
    choices: [amd64, arm64]
    required: true
  go:
    description: The go command. If empty, C(go) from PATH or C(/usr/local/go/bin/go).
    type: str
    default: ""
  module:
    description: The Go module with the programs, for example C(k8s.io/kubernetes).
    type: str
    default: ""
  version:
    description: Its version, for example C(v1.37.2).
    type: str
    default: ""
  source:
    description: The source of a standalone Go program, instead of O(module).
    type: str
    default: ""
  in_module:
    description:
      - Build in the module's own directory with a copy of its go.mod, instead of in a wrapper module that requires it.
      - For modules whose dependencies resolve only with their own go.sum.
    type: bool
    default: false
  packages:
    description:
      - Packages that the wrapper module imports. The default is those of O(programs).
      - Programs of the same module version with the same list share a wrapper, and its dependencies are resolved once.
    type: list
    elements: str
    default: []
  expected_files:
    description: Files of the module and their expected text, path to text, to verify that the module is what O(url) names.
    type: dict
    default: {}
  require:
    description: Additional modules for the wrapper to require, name to version.
    type: dict
    default: {}
  replace:
    description: Modules to use in a version other than the one that the sources require, name to version.
    type: dict
    default: {}
  programs:
    description: The programs to build.
    type: list
    elements: dict
    required: true
    suboptions:
      package:
        description: The Go package. C(.) is the module's root where O(in_module) or O(source) is used.
        type: str
        required: true
      member:
        description: Path of the program in the archive or image.
        type: str
        default: ""
  cgo:
    description: Compile C code too, and link statically. Requires gcc, or a cross compiler if O(architecture) is not this machine's.
    type: bool
    default: false
  tags:
    description: Go build tags.
    type: list
    elements: str
    default: []
  linker_flags:
    description: Flags for Go's linker, usually the version stamps. C(@TIME@) stands for the time of the module's version.
    type: list
    elements: str
    default: []
  format:
    description: A plain binary, a C(.tar.gz) archive, or an image archive as C(docker save) writes it.
    type: str
    choices: [binary, archive, image]
    required: true
  image:
    description: Name and settings of the image, for O(format=image).
    type: dict
    suboptions:
      name:
        description: Name with tag.
        type: str
        required: true
      config:
        description: The image's configuration, for example C(Entrypoint), C(Cmd), C(User).
        type: dict
        default: {}
      directories:
        description: Directories to create in the image, path to mode.
        type: dict
        default: {}
"""

EXAMPLES = r"""
- name: Build the kubelet
  plainkube.cluster.artifact_build:
    name: kubelet 1.37.2
    url: https://dl.k8s.io/v1.37.2/bin/linux/amd64/kubelet
    sums_url: https://dl.k8s.io/v1.37.2/bin/linux/amd64/kubelet.sha256
    directory: ~/.cache/plainkube/mirror
    work_directory: ~/.cache/plainkube/build
    architecture: amd64
    module: k8s.io/kubernetes
    version: v1.37.2
    programs:
      - package: k8s.io/kubernetes/cmd/kubelet
    linker_flags:
      - -X k8s.io/component-base/version.gitVersion=v1.37.2
      - -X k8s.io/component-base/version.buildDate=@TIME@
    format: binary
"""

RETURN = r"""
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  sample:
    - {verb: write, subject: "/var/lib/mirror/dl.k8s.io/v1.37.2/bin/linux/amd64/kubelet", reason: "it does not exist"}
path:
  description: Path of the artifact.
  type: str
  returned: always
sha256:
  description: Its SHA-256. Empty in check mode if the artifact does not exist.
  type: str
  returned: always
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.artifact_build import main

if __name__ == "__main__":
    main()
