#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: artifacts
short_description: Download, verify and install binaries in versioned directories, and make them current
version_added: 1.0.0
description:
  - Installs all binaries that a host needs. Downloads run in parallel, and all of them are verified against their SHA-256 before
    anything is replaced; when one does not match, nothing has changed.
  - A binary is installed as C(ROOT/COMPONENT/VERSION/BINARY); a symlink in O(bin_directory) makes it the current one. Both are put in
    place by a rename, so there is no moment with half a binary. Other versions stay where they are.
  - A manifest in every directory has the sum, size and time of each file, so that a run that finds everything as it was
    installed needs no network and reads no binary.
  - Goes through O(http_proxy) and O(https_proxy); where neither is set, through the proxies of the environment (C(http_proxy),
    C(https_proxy), C(no_proxy)).
author:
  - The plainkube authors (@plainkube)
attributes:
  check_mode:
    support: full
    description:
      - Says what would be installed, without a download. With O(state=staged), the sums are read all the same, and the server is asked whether
        it has the files, so that what would fail then fails now.
  diff_mode:
    support: full
    description: One line for each binary, like C(kubelet 1.36.3 → 1.37.2).
  idempotent:
    support: full
    description: Files that are as they were installed are neither downloaded nor replaced.
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
        description: Directory under the component's; what is said in the diff.
        type: str
        default: ""
      url:
        description: The official download. A path without host is one that only a mirror has.
        type: str
        required: true
      sums_url:
        description:
          - Where its SHA-256 is published.
          - A file with one sum, a list as C(sha256sum) writes it, or GitHub's JSON document of a release (C(assets[].digest)).
        type: str
        required: true
      binaries:
        description:
          - Binaries to install, name to path in the downloaded tar archive; an empty path means that the download is the binary.
          - Without any, the download is kept as C(ROOT/COMPONENT/VERSION/FILE) with mode 0644, and no symlink is made.
        type: dict
        default: {}
      bin_directory:
        description: Where its binaries have their symlinks. Empty means O(bin_directory).
        type: str
        default: ""
      kinds:
        description: Which kinds of hosts get it; see O(kinds).
        type: list
        elements: str
        default: []
      setting:
        description: The variable that chose the version; an error names it.
        type: str
        default: ""
  kinds:
    description: What this host is. Artefacts for other kinds of hosts are left out, so that all hosts can be given one list. Empty means everything.
    type: list
    elements: str
    default: []
  mirror:
    description:
      - Where to download from instead. C(http://…) or C(https://…) is the address of a mirror, C(file:///DIR) or C(/DIR) a directory on the host.
      - What is at C(https://HOST/PATH) upstream is at C(HOST/PATH) there. Empty means the official addresses.
    type: str
    default: ""
  checksums:
    description: SHA-256 that override the published ones. Keys are file names or ends of URLs, for example C(v1.37.2/bin/linux/amd64/kubelet).
    type: dict
    default: {}
  state:
    description:
      - V(staged) downloads and verifies what is missing and leaves it in C(ROOT/.staged), where V(present) finds it. Nothing that is in use
        changes. So all hosts can have all they need before anything changes on one of them.
      - With V(planned), only says what is missing, so that a mirror that the host cannot reach can be copied to it.
    type: str
    choices: [present, staged, planned]
    default: present
  root:
    description: Where to install.
    type: path
    default: /opt/plainkube
  bin_directory:
    description: Where the symlinks are. A file there that is not a symlink to O(root) is never replaced.
    type: path
    default: /usr/local/bin
  packages:
    description:
      - Debian packages to look for. Nothing is installed; RV(missing_packages) tells, so that one run of this module is enough to know.
      - Alternatives are separated by C(|), for example C(docker.io|docker-ce).
    type: list
    elements: str
    default: []
  parallel:
    description: How many downloads run at the same time.
    type: int
    default: 4
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
      - Hosts, addresses, networks in CIDR notation and domains that are reached without these proxies. A domain with a leading dot
        means the hosts in it; one without, itself too.
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
changes:
  description: What was done, or would be.
  type: list
  elements: str
  returned: always
  sample: ["kubelet 1.36.3 → 1.37.2"]
missing:
  description: Paths on a mirror of everything that has to be downloaded for that, sums included.
  type: list
  elements: str
  returned: always
  sample: [dl.k8s.io/v1.37.2/bin/linux/amd64/kubelet, dl.k8s.io/v1.37.2/bin/linux/amd64/kubelet.sha256]
replaced:
  description: Paths by which files are used, symlinks where there are some, that get another content, or their first.
  type: list
  elements: str
  returned: always
  sample: [/usr/local/bin/kubelet]
missing_packages:
  description: Of each of O(packages) that is not installed, the first alternative.
  type: list
  elements: str
  returned: always
pending:
  description:
    - What is to do though it changes nothing, in words.
    - Here, to remove downloads that were verified for a run with other versions, as O(state=staged) does.
  returned: always
  type: list
  elements: str
"""

from ansible_collections.plainkube.cluster.plugins.module_utils._modules.artifacts import main

if __name__ == "__main__":
    main()
