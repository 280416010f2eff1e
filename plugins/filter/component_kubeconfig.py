# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: component_kubeconfig
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: The kubeconfig of a component
description:
  - Refers to certificates and key by path, so that it is no secret itself.
  - Is JSON, which is valid YAML, so that modules can read it on hosts without PyYAML.
options:
  _input:
    description: The user of the certificate.
    type: str
    required: true
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  server:
    description: URL of the API server.
    type: str
    required: true
  pki:
    description: Directory of C(ca.crt) and of the certificate.
    type: path
    required: true
  certificate:
    description: File name of the certificate and its key, without C(.crt) and C(.key).
    type: str
    required: true
  key_directory:
    description: Directory of the key, if it is not O(pki). If empty, the directory of the kubeconfig.
    type: str
"""

EXAMPLES = r"""
content: >-
  {{ 'system:kube-proxy' | plainkube.cluster.component_kubeconfig('plainkube', 'https://192.0.2.11:6443', '/etc/kubernetes/pki', 'kube-proxy') }}
"""

RETURN = r"""
_value:
  description: The content of the file.
  type: str
"""

import os

from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _kubeconfig


def component_kubeconfig(user, cluster, server, pki, certificate, key_directory=None) -> str:
    key = os.path.join(pki if key_directory is None else key_directory, f"{certificate}.key")
    access = _kubeconfig.Access(server, f"{pki}/ca.crt", f"{pki}/{certificate}.crt", key, embedded=False)
    return _kubeconfig.render(str(cluster), user, access)


class FilterModule:
    def filters(self):
        return {"component_kubeconfig": component_kubeconfig}
