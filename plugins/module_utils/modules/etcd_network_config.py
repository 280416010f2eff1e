# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module etcd_network_config."""

from __future__ import annotations

import json

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.etcd import _etcdctl
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _flannel_network
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action

BACKEND_OPTIONS = {
    "type": {
        "type": "str",
        "choices": ["vxlan", "host-gw", "ipip", "wireguard", "ipsec", "udp"],
        "default": "vxlan",
        "aliases": ["Type"],
    },
    "vni": {"type": "int", "aliases": ["VNI"]},
    "port": {"type": "int", "aliases": ["Port"]},
    "mtu": {"type": "int", "aliases": ["MTU"]},
    "direct_routing": {"type": "bool", "aliases": ["DirectRouting"]},
    "gbp": {"type": "bool", "aliases": ["GBP"]},
    "learning": {"type": "bool", "aliases": ["Learning"]},
    "psk": {"type": "str", "no_log": True, "aliases": ["PSK"]},
    "listen_port": {"type": "int", "aliases": ["ListenPort"]},
    "persistent_keepalive_interval": {"type": "int", "aliases": ["PersistentKeepaliveInterval"]},
    "mode": {"type": "str", "choices": ["separate", "auto", "ipv4", "ipv6"], "aliases": ["Mode"]},
    "udp_encap": {"type": "bool", "aliases": ["UDPEncap"]},
    "esp_proposal": {"type": "str", "aliases": ["ESPProposal"]},
}


def wanted_value(module: AnsibleModule) -> str:
    """The validated value to write."""
    params = module.params
    backend = {name: params["backend"].get(name) for name in BACKEND_OPTIONS if name in params["backend"]}
    try:
        config = _flannel_network.build(
            params["network"], params["subnet_len"], params["subnet_min"], params["subnet_max"], backend
        )
    except ValueError as error:
        module.fail_json(msg=f"{error}.")
    return _flannel_network.render(config)


def check_same(module: AnsibleModule, key: str, live: str, wanted: str) -> None:
    """Fail with both values if the existing one differs in meaning from the desired one."""
    try:
        found = _flannel_network.canonical(live)
    except ValueError as error:
        module.fail_json(
            msg=f"etcd has a value under {key} that flannel refuses ({error}): {_flannel_network.redacted(live)}; "
            "remove it with state=absent and run again."
        )
    different = _flannel_network.difference(found, _flannel_network.canonical(wanted))
    if different:
        module.fail_json(
            msg=f"etcd has a different network under {key}: {_flannel_network.redacted(live)} is in use, "
            f"{_flannel_network.redacted(wanted)} is desired (different: {', '.join(different)}); if it were changed, "
            f"{_flannel_network.consequence(different)}, so set the variables to the network in use, "
            "or plan a maintenance window and remove the key first with state=absent and force=true."
        )


def present(module: AnsibleModule, etcd: _etcdctl.Etcdctl, key: str) -> dict:
    """Write the key if it does not exist; an existing value must be equivalent."""
    wanted = wanted_value(module)
    live = None
    try:
        if module.check_mode:
            live = _etcdctl.pairs(etcd.call("get", key)).get(key)
        else:
            live = _etcdctl.txn_pairs(etcd.patiently("txn", data=_etcdctl.put_if_absent(key, wanted))).get(key)
    except _etcdctl.Unreachable:
        if not module.check_mode:
            raise
    if live is not None:
        check_same(module, key, live, wanted)
    return {"before": live, "after": wanted if live is None else live}


def absent(module: AnsibleModule, etcd: _etcdctl.Etcdctl, key: str) -> dict:
    """Remove the key, unless hosts have leases."""
    prefix = module.params["prefix"]
    try:
        found = _etcdctl.pairs(etcd.patiently("get", "--prefix", f"{prefix}/"))
    except _etcdctl.Unreachable:
        if not module.check_mode:
            raise
        return {"before": None, "after": None}
    leases = _flannel_network.lease_names(found, prefix)
    if key in found and leases and not module.params["force"]:
        module.fail_json(
            msg=f"{key} is in use: hosts have leases of {', '.join(leases)}: stop flanneld on them and wait 24 hours "
            "for the leases to expire, or set force=true to remove it anyway."
        )
    if key in found and not module.check_mode:
        etcd.call("del", key)
    return {"before": found.get(key), "after": None, "leases": leases}


def text(value: str | None) -> str:
    """A value in the diff."""
    return f"{_flannel_network.redacted(value)}\n" if value is not None else ""


SPEC = {
    "network": {"type": "str"},
    "subnet_len": {"type": "int"},
    "subnet_min": {"type": "str"},
    "subnet_max": {"type": "str"},
    "backend": {"type": "dict", "default": {}, "options": BACKEND_OPTIONS},
    "prefix": {"type": "str", "default": _places.FLANNEL_PREFIX},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "force": {"type": "bool", "default": False},
    **_etcdctl.OPTIONS,
}


def run(module: AnsibleModule) -> dict:
    module.params["prefix"] = module.params["prefix"].rstrip("/")
    key = f"{module.params['prefix']}/config"
    act = present if module.params["state"] == "present" else absent
    try:
        result = act(module, _etcdctl.Etcdctl(module), key)
    except _etcdctl.EtcdError as error:
        module.fail_json(msg=f"{error}.")
    before, after = text(result.pop("before")), text(result.pop("after"))
    return {
        **_actions.result([Action("write" if after else "remove", key)] if before != after else []),
        "key": key,
        "config": json.loads(after or "{}"),
        "diff": {"before_header": key, "after_header": key, "before": before, "after": after},
        **result,
    }


def main() -> None:
    _run.main(SPEC, run, required_if=[("state", "present", ["network"])])
