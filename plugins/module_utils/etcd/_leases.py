# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""flannel's leases, read from the etcd member of this host."""

from __future__ import annotations

import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.etcd import _etcdctl
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _overlay

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

# Linearizable: the leases of a member that is cut off from the others are old.
_GET = ("get", f"{_places.FLANNEL_PREFIX}/subnets/", "--prefix")


def read(etcdctl: _etcdctl.Etcdctl) -> list[dict[str, str]]:
    """All leases; raises EtcdError."""
    return [lease._asdict() for lease in _overlay.parse_leases(_etcdctl.pairs(etcdctl.call(*_GET)))]


def of_this_host(module: AnsibleModule) -> list[dict[str, str]]:
    """All leases; none if this host has no etcd member, or one that does not respond: that is the problem of others."""
    defaults = {name: option["default"] for name, option in _etcdctl.OPTIONS.items()}
    etcdctl = _etcdctl.Etcdctl(module, {**defaults, "wait": 0})
    etcdctl.environment.update(_etcdctl.SHORT_TIMEOUTS)
    try:
        return read(etcdctl)
    except _etcdctl.EtcdError:
        return []
