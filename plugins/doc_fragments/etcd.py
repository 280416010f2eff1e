# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations


class ModuleDocFragment:
    """How a module connects to etcd."""

    DOCUMENTATION = r"""
options:
  ca:
    description: CA certificate of etcd's server certificates.
    type: path
    default: /etc/kubernetes/pki/etcd/ca.crt
  cert:
    description: Client certificate; its common name is the etcd user.
    type: path
    default: /etc/kubernetes/pki/etcd/root.crt
  key:
    description: Private key of O(cert).
    type: path
    default: /etc/kubernetes/pki/etcd/root.key
requirements:
  - etcdctl 3.6 or later on the host
"""
    ENDPOINTS = r"""
options:
  endpoints:
    description: URLs of etcd members. One reachable member is enough.
    type: list
    elements: str
    default: ["https://127.0.0.1:2379"]
  wait:
    description: Seconds to wait for etcd to respond, because it may have just been started. Check mode does not wait.
    type: int
    default: 60
"""
