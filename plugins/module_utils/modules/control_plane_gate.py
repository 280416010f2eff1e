# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module control_plane_gate."""

from __future__ import annotations

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _probe
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.kube._api import Access, Api, ApiError
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _run

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"


class Gate:
    """Repeatedly checks which conditions are not met."""

    def __init__(self, module: AnsibleModule) -> None:
        self.params = module.params
        self.renewed: dict[str, str] = {}  # renewal time of each lease at the first check

    def problems(self) -> list[str]:
        params = self.params
        servers = {url: _probe.get(f"{url}/readyz", params["ca"]) for url in (params["server"], *params["others"])}
        ready = [url for url, answer in servers.items() if answer.ok]
        found = [answer.said for answer in servers.values() if not answer.ok and params["server"] in ready]
        return found + (self.leases(ready[-1]) if ready else [])

    def leases(self, server: str) -> list[str]:
        params = self.params
        api = Api(Access(server, params["ca"], params["cert"], params["key"], embedded=False), timeout=2)
        found = [self.lease(api, name) for name in params["leases"]]
        return [problem for problem in found if problem]

    def lease(self, api: Api, name: str) -> str:
        """Why a lease is not being renewed. Clocks may differ, so its time is only compared with its previous value."""
        try:
            lease = api.read(f"{_LEASES}/{name}")
        except ApiError as error:
            return f"the lease {name} cannot be read: {error}"
        if lease is None:
            return f"there is no lease {name}"
        spec = lease.get("spec", {})
        renewed = spec.get("renewTime", "")
        if self.renewed.setdefault(name, renewed) != renewed:
            return ""
        return f"the lease {name} of {spec.get('holderIdentity') or 'no holder'} is not renewed"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "server": {"type": "str", "required": True},
            "others": {"type": "list", "elements": "str", "required": True},
            "leases": {"type": "list", "elements": "str", "default": []},
            "ca": {"type": "path", "default": f"{_places.PKI}/ca.crt"},
            "cert": {"type": "path", "default": f"{_places.PKI}/admin.crt"},
            "key": {"type": "path", "default": f"{_places.PKI}/admin.key", "no_log": False},
            "wait": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    start, gate, seconds = time.monotonic(), Gate(module), module.params["wait"]
    with _run.held(module):
        problems = [] if module.check_mode else poll(gate.problems, lambda problems: not problems, seconds, 0.5)
    if problems:
        module.fail_json(
            msg=f"This control plane is not restarted, because the cluster is not healthy without it after {seconds} s: "
            f"{'; '.join(problems)}."
        )
    module.exit_json(changed=False, waited=round(time.monotonic() - start, 1))
