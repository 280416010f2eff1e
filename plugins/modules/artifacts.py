#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: artifacts
short_description: Download, verify and install binaries in versioned directories, and switch to them
version_added: 1.0.0
description:
  - Installs all binaries that a host needs. Downloads run in parallel, and all of them are verified against their SHA-256 before
    anything is replaced. If one does not match, nothing changes.
  - A binary is installed as C(ROOT/COMPONENT/VERSION/BINARY); a symlink in O(bin_directory) makes it the current one. Both are replaced
    atomically by a rename. Other versions stay in place.
  - A manifest in every directory has the checksum, size and time of each file, so a run without changes
    needs no network and reads no binary.
  - Uses O(http_proxy) and O(https_proxy). If neither is set, uses the proxies of the environment (C(http_proxy),
    C(https_proxy), C(no_proxy)).
extends_documentation_fragment: [plainkube.cluster.common]
attributes:
  check_mode:
    details:
      - Reports what would be installed, without a download. With O(state=staged), it still fetches the checksums and asks the server whether
        it has the files, so that a missing download already fails in check mode.
  diff_mode:
    details: One line per binary, such as C(kubelet 1.36.3 → 1.37.2).
  idempotent:
    details: Unchanged files are neither downloaded nor replaced.
options:
  artifacts:
    description: What to install.
    type: list
    elements: dict
    required: true
    suboptions:
      component:
        description: Directory under O(root).
        type: str
        required: true
      version:
        description: Name of the directory under the component's, and version in the diff.
        type: str
        default: ""
      url:
        description: URL of the official download. A path without a host is for a file that only mirrors have.
        type: str
        required: true
      sums_url:
        description:
          - URL of its SHA-256.
          - A file with one checksum, a list in the format of C(sha256sum), or GitHub's JSON document of a release (C(assets[].digest)).
        type: str
        required: true
      binaries:
        description:
          - Binaries to install, name to path in the downloaded tar archive. With an empty path, the download itself is the binary.
          - If there are none, the download is stored as C(ROOT/COMPONENT/VERSION/FILE) with mode 0644, without a symlink.
        type: dict
        default: {}
      bin_directory:
        description: Directory for the symlinks of its binaries. If empty, O(bin_directory).
        type: str
        default: ""
      kinds:
        description: Kinds of hosts that get it; see O(kinds).
        type: list
        elements: str
        default: []
      setting:
        description: The variable that sets the version, for error messages.
        type: str
        default: ""
  kinds:
    description: Kinds of this host. Artifacts for other kinds of hosts are skipped, so that all hosts can share one list. If empty, everything is installed.
    type: list
    elements: str
    default: []
  mirror:
    description:
      - Mirror to download from. C(http://…) or C(https://…) is the URL of a mirror, C(file:///DIR) or C(/DIR) a directory on the host.
      - The mirror has the file from C(https://HOST/PATH) at C(HOST/PATH). If empty, files come from the official addresses.
    type: str
    default: ""
  checksums:
    description: SHA-256 checksums that override the published ones. Keys are file names or URL suffixes, for example C(v1.37.2/bin/linux/amd64/kubelet).
    type: dict
    default: {}
  known_checksums:
    description: SHA-256 checksums that come with the collection, like O(checksums), which overrides them.
    type: dict
    default: {}
  require_pins:
    description: Whether to refuse a download that has neither, instead of using the published checksum.
    type: bool
    default: false
  state:
    description:
      - V(staged) downloads and verifies missing files into C(ROOT/.staged), where V(present) finds them. Nothing that is in use
        changes. So all hosts can have all downloads before any host changes.
      - V(planned) only reports what is missing, so that it can be copied from a mirror that the host cannot reach.
    type: str
    choices: [present, staged, planned]
    default: present
  root:
    description: Installation directory.
    type: path
    default: /opt/plainkube
  bin_directory:
    description: Directory for the symlinks. A file there that is not a symlink to O(root) is never replaced.
    type: path
    default: /usr/local/bin
  packages:
    description:
      - Debian packages to check. They are not installed; RV(missing_packages) lists the missing ones.
      - Alternatives are separated by C(|), for example C(docker.io|docker-ce).
    type: list
    elements: str
    default: []
  http_proxy:
    description: URL of the proxy for downloads from C(http://) addresses, such as V(http://user:password@proxy.example.com:3128).
    type: str
    default: ""
  https_proxy:
    description: URL of the proxy for downloads from C(https://) addresses.
    type: str
    default: ""
  no_proxy:
    description:
      - Hosts, addresses, networks in CIDR notation and domains that bypass these proxies. A domain with a leading dot
        matches the hosts in it; without one, it also matches itself.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Install the kubelet and etcd
  plainkube.cluster.artifacts:
    artifacts:
      - component: kubernetes
        version: "1.37.2"
        url: https://dl.k8s.io/v1.37.2/bin/linux/amd64/kubelet
        sums_url: https://dl.k8s.io/v1.37.2/bin/linux/amd64/kubelet.sha256
        binaries:
          kubelet: ""
      - component: etcd
        version: "3.7.3"
        url: https://github.com/etcd-io/etcd/releases/download/v3.7.3/etcd-v3.7.3-linux-amd64.tar.gz
        sums_url: https://github.com/etcd-io/etcd/releases/download/v3.7.3/SHA256SUMS
        binaries:
          etcd: etcd-v3.7.3-linux-amd64/etcd
          etcdctl: etcd-v3.7.3-linux-amd64/etcdctl
    mirror: http://mirror.example.com/plainkube
"""

RETURN = r"""
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  description:
    - What was, or would be, done.
    - With O(state=staged) and O(state=planned), and for packages, what a later task has to install. That does not count as a change.
    - V(wait) if O(state=staged) must remove staged downloads of other versions.
  sample:
    - {verb: install, subject: "kubelet 1.36.3 → 1.37.2", reason: ""}
missing:
  description: Paths on a mirror of everything that must be downloaded for them, including checksums.
  type: list
  elements: str
  returned: always
  sample: [dl.k8s.io/v1.37.2/bin/linux/amd64/kubelet, dl.k8s.io/v1.37.2/bin/linux/amd64/kubelet.sha256]
replaced:
  description: Paths of new and replaced files; the symlink if there is one.
  type: list
  elements: str
  returned: always
  sample: [/usr/local/bin/kubelet]
missing_packages:
  description: The first alternative of each entry in O(packages) that is not installed.
  type: list
  elements: str
  returned: always
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.artifacts import main

if __name__ == "__main__":
    main()
