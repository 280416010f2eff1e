#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: control_plane_gate
short_description: Wait until a control plane may be restarted
version_added: 1.0.0
description:
  - Waits until the other API servers are ready to take over the clients, and until the leader leases are being renewed, which shows that
    controller manager and scheduler have recovered from the previous restart. On timeout, fails and says what is missing.
  - If the API server of this host is not ready itself, its restart interrupts nobody and may repair it. Then the module does not wait for
    the others.
  - Changes nothing. In check mode, it does not contact the API servers.
extends_documentation_fragment:
  - plainkube.cluster.attributes
author:
  - The plainkube authors (@plainkube)
options:
  server:
    description: URL of this host's API server.
    type: str
    required: true
  others:
    description: URLs of the other API servers.
    type: list
    elements: str
    required: true
  leases:
    description: Names of leases in the namespace C(kube-system).
    type: list
    elements: str
    default: []
  ca:
    description: CA certificate of the API servers.
    type: path
    default: /etc/kubernetes/pki/ca.crt
  cert:
    description: Client certificate of a user who may read the leases.
    type: path
    default: /etc/kubernetes/pki/admin.crt
  key:
    description: Private key of O(cert).
    type: path
    default: /etc/kubernetes/pki/admin.key
  wait:
    description: Seconds to wait. The lease of a process that has stopped expires after 15 seconds.
    type: int
    default: 120
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Wait until this control plane may be restarted
  plainkube.cluster.control_plane_gate:
    server: https://127.0.0.1:6443
    others: ["https://192.0.2.12:6443", "https://192.0.2.13:6443"]
    leases: [kube-controller-manager, kube-scheduler]
"""

RETURN = r"""
waited:
  description: Duration of the wait in seconds.
  type: float
  returned: success
"""

import json
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils import _probe, _run, _status
from ansible_collections.plainkube.cluster.plugins.module_utils._wait import poll

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
_LIMIT = 1 << 16


class Gate:
    """Checks repeatedly what is missing."""

    def __init__(self, module: AnsibleModule) -> None:
        self.params = module.params
        self.renewed: dict[str, str] = {}  # when each lease had been renewed at the first look

    def troubles(self) -> list[str]:
        params = self.params
        servers = {url: _probe.get(f"{url}/readyz", params["ca"]) for url in (params["server"], *params["others"])}
        ready = [url for url, answer in servers.items() if answer.ok]
        found = [
            f"{url}/readyz says {answer.status or 'no answer'} ({_status.beginning(answer.text)})"
            for url, answer in servers.items()
            if not answer.ok and params["server"] in ready
        ]
        return found + (self.leases(ready[-1]) if ready else [])

    def leases(self, server: str) -> list[str]:
        found = [self.lease(server, name) for name in self.params["leases"]]
        return [trouble for trouble in found if trouble]

    def lease(self, server: str, name: str) -> str:
        """Whether somebody renews it: clocks may differ, so a time is only compared with the one that was there before."""
        client = (self.params["cert"], self.params["key"])
        answer = _probe.get(f"{server}{_LEASES}/{name}", self.params["ca"], client=client, limit=_LIMIT)
        if not answer.ok:
            return f"{server} does not show the lease {name}: {answer.status or 'no answer'} ({_status.beginning(answer.text)})"
        spec = json.loads(answer.text).get("spec", {})
        renewed = spec.get("renewTime", "")
        if self.renewed.setdefault(name, renewed) != renewed:
            return ""
        return f"nobody renews the lease {name}, which {spec.get('holderIdentity') or 'nobody'} has"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "server": {"type": "str", "required": True},
            "others": {"type": "list", "elements": "str", "required": True},
            "leases": {"type": "list", "elements": "str", "default": []},
            "ca": {"type": "path", "default": "/etc/kubernetes/pki/ca.crt"},
            "cert": {"type": "path", "default": "/etc/kubernetes/pki/admin.crt"},
            "key": {"type": "path", "default": "/etc/kubernetes/pki/admin.key", "no_log": False},
            "wait": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    start, gate, seconds = time.monotonic(), Gate(module), module.params["wait"]
    with _run.held(module):
        troubles = [] if module.check_mode else poll(gate.troubles, lambda troubles: not troubles, seconds, 0.5)
    if troubles:
        module.fail_json(
            msg=f"This control plane is not restarted, because the cluster is not well without it after {seconds} s: "
            f"{'; '.join(troubles)}."
        )
    module.exit_json(changed=False, waited=round(time.monotonic() - start, 1))


if __name__ == "__main__":
    main()
