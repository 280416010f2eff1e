# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The code of module control_plane_gate."""

from __future__ import annotations

import json
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _probe, _status
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _run

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
_LIMIT = 1 << 16


class Gate:
    """Checks repeatedly what is missing."""

    def __init__(self, module: AnsibleModule) -> None:
        self.params = module.params
        self.renewed: dict[str, str] = {}  # when each lease had been renewed at the first look

    def problems(self) -> list[str]:
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
        return [problem for problem in found if problem]

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
        problems = [] if module.check_mode else poll(gate.problems, lambda problems: not problems, seconds, 0.5)
    if problems:
        module.fail_json(
            msg=f"This control plane is not restarted, because the cluster is not well without it after {seconds} s: "
            f"{'; '.join(problems)}."
        )
    module.exit_json(changed=False, waited=round(time.monotonic() - start, 1))
