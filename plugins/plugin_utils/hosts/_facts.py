# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The facts that this collection sets for a host, and what a host may report about itself. No I/O."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.network import _addresses
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _docker
from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _answers
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles

NAMES = frozenset({"plainkube", "plainkube_unreached", "plainkube_address"})


def facts(found: dict[str, t.Any] | None = None, unreached: bool = False, address: str = "") -> dict[str, t.Any]:
    """Always all of them: with a fact cache, facts of an earlier run would otherwise be used for missing ones."""
    return {"plainkube": found or {}, "plainkube_unreached": unreached, "plainkube_address": address}


def _is_network(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ipaddress.IPv4Network(text))
    return False


_ADDRESS = _answers.Passing(_addresses.is_ipv4)
# Identifies the cluster of a host (module_utils/keys/_pki.py).
PKI = {"public": _answers.Each(str), "secret": [str], "encryption": _answers.Optional([str])}
# A subnet that flannel leased to a host (module_utils/network/_overlay.py).
LEASE = {
    "subnet": _answers.Passing(_is_network),
    "address": _ADDRESS,
    "mac": _answers.Passing(lambda text: bool(re.fullmatch(r"([0-9a-f]{2}(:[0-9a-f]{2}){5})?", text))),
}
# What module host_facts returns. Anything else in a host's answer is dropped.
SHAPE: dict[str, t.Any] = {
    "addresses": [{"interface": str, "address": _ADDRESS, "prefix": int}],
    "architecture": _answers.Passing(lambda text: "/" not in text),
    "bounded": bool,
    "cgroup_version": int,
    "cni_before": [str],
    "containerd": str,
    "containerd_files": _answers.Each(int),
    "crictl": bool,
    "distribution": str,
    "distribution_version": str,
    "docker_problems": [str],
    # A part of cri-dockerd's unit.
    "docker_root": _answers.Passing(_docker.is_plain_path),
    "etcd_state": str,
    "firewall": bool,
    "firewalls": [str],
    "foreign_listeners": [
        {"protocol": str, "address": str, "port": int, "pid": _answers.Optional(int), "process": str}
    ],
    "foreign_units": _answers.Each(str),
    "free_mb": _answers.Each(int),
    "hostname": str,
    "installed": bool,
    "installed_versions": _answers.Each(str),
    "interfaces": [str],
    "kernel": str,
    "leftovers": [str],
    "linked": _answers.Each(str),
    "leases": [LEASE],
    "machine_id": str,
    "memory_mb": int,
    "name_servers": [str],
    "networkmanager": bool,
    "networks": [{"name": str, "network": _answers.Passing(_is_network)}],
    "nftables": bool,
    "pki": PKI,
    "pod_bridge": str,
    "replaced_commands": _answers.Each([str]),
    "resolv_conf": str,
    "runtime": str,
    "runtime_change": bool,
    "runtime_version": str,
    "services": [str],
    "settled": _answers.Each(str),
    "swap": [str],
    "systemd": bool,
    "unresolved": [str],
}


def checked(host: str, told: t.Any) -> tuple[dict[str, t.Any], str]:
    """The expected part of what a host reported about itself; and a sentence if it cannot be used."""
    wrong = _answers.mismatch(told, SHAPE)
    if wrong:
        said = f"no valid {wrong.lstrip('.')}" if wrong != "." else "no facts"
        return (
            {},
            f"Host {host} answered module plainkube.cluster.host_facts with {said}: run this again with -vvv, and inspect that host.",
        )
    return {name: told[name] for name in SHAPE}, ""


def injected(facts: t.Mapping[str, t.Any], known: t.Collection[str], roles: t.Iterable[str]) -> list[str]:
    """A host's facts with the name of a variable of this collection: Ansible turns facts into variables, which override the inventory."""
    internal = tuple(f"__{role}_" for role in roles)
    return sorted(
        name
        for name in map(str, facts)
        if name in known or name.startswith(internal) or (name.startswith("plainkube") and name not in NAMES)
    )


def problem(task_vars: t.Mapping[str, t.Any]) -> str:
    """A sentence if a host of the play has such facts by now: any module that ran on it may have returned them."""
    by_role = _roles.options()
    known = {name for options in by_role.values() for name in options}
    for host in task_vars.get("ansible_play_hosts_all", ()):
        names = injected(task_vars["hostvars"][host].get("ansible_facts", {}), known, by_role)
        if names:
            return refusal(host, names)
    return ""


def refusal(host: str, names: t.Sequence[str]) -> str:
    """Why a run stops if a host has such facts."""
    return (
        f"{host} sets {', '.join(names)} by facts, which override the inventory: remove them from its facts (set_fact with cacheable, a fact cache, "
        "facts.d), or find out who controls that host."
    )
