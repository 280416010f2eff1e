# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Problems with the inputs or with a host, as sentences that say what to do. No I/O."""

from __future__ import annotations

import difflib
import fnmatch
import ipaddress
import itertools
import os
import re
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _addresses, _firewall, _flannel_network
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _bridge
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _flags
from ansible_collections.plainkube.cluster.plugins.plugin_utils.inputs import _formats

# The systems on which CI runs this collection (.github/workflows): VERSION_ID by ID of os-release(5).
SYSTEMS = {"debian": ("12", "13"), "ubuntu": ("24.04",)}
# The containerd of a distribution that is too old for the kubelet, if it is not installed yet.
OLD_CONTAINERD = {("debian", "12"): "1.6"}
ARCHITECTURES = ("amd64", "arm64")
# The minor versions of Kubernetes that this collection's units and configurations support.
KUBERNETES = ((1, 35), (1, 37))
# The clock skew that certificates, leases and tokens tolerate, in seconds.
CLOCK_SECONDS = 2
OLDEST_CONTAINERD = (1, 7)
# Components whose port is a variable of the cluster.
PORT_VARIABLES = {"kube-apiserver": "cluster_api_port", "plainkube-load-balancer": "cluster_load_balancer_port"}
NO_HOME = (
    "certificates_directory has no default, because the inventory is a list of hosts (-i HOST,) and not a file: set it to a directory outside of the "
    "collection that you back up, or use an inventory file."
)
# The minimum upstream versions, by variable.
LEAST_UPSTREAM = {"cluster_containerd_version": "2.0.0", "cluster_cni_plugins_version": "1.1.1"}
# What memorySwap.swapBehavior in the kubelet's configuration can be; the first is the default. The kubelet exits for anything else.
SWAP_BEHAVIORS = ("", "NoSwap", "LimitedSwap")
# Older versions leak data past their access control (GHSA-q8m4-xhhv-38mg, GHSA-rfx7-8w68-q57q, GHSA-xg4h-6gfc-h4m8).
LEAST_ETCD: dict[tuple[int, ...], tuple[int, ...]] = {(3, 6): (3, 6, 14), (3, 7): (3, 7, 1)}


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def network_problems(networks: t.Mapping[str, str]) -> list[str]:
    """Networks by variable name that share addresses."""
    return [
        f"{name} ({value}) overlaps {other_name} ({other}): choose networks that do not overlap."
        for (name, value), (other_name, other) in itertools.combinations(networks.items(), 2)
        if ipaddress.IPv4Network(value).overlaps(ipaddress.IPv4Network(other))
    ]


def kubernetes_version_problems(version: str) -> list[str]:
    """Whether this collection supports the version."""
    least, last = KUBERNETES
    if least <= _version(version)[:2] <= last:
        return []
    words = " to ".join(".".join(map(str, minor)) for minor in KUBERNETES)
    return [
        f"cluster_version is {version!r}, and this release of plainkube.cluster runs Kubernetes {words}: use one of these, "
        "or another release of the collection."
    ]


def etcd_version_problems(version: str) -> list[str]:
    """Whether this etcd version enforces its access control correctly."""
    found = _version(version)
    least = LEAST_ETCD.get(found[:2], (3, 7, 1))
    if found >= least:
        return []
    advice = ".".join(str(part) for part in least)
    return [f"cluster_etcd_version is {version!r}, whose access control has known flaws: use {advice} or newer."]


def upstream_problems(versions: t.Mapping[str, str]) -> list[str]:
    """Whether containerd and the CNI plugins, by variable, both come from upstream or both (empty) from the distribution, and are supported."""
    wanted = {name: version for name, version in versions.items() if version}
    empty = [name for name in versions if name not in wanted]
    if wanted and empty:
        said = ", ".join(f"{name} is {version!r}" for name, version in wanted.items())
        return [
            f"{said} and {' and '.join(empty)} is empty: set neither to use upstream's default versions, or both to '' to use the distribution's packages."
        ]
    return [
        f"{name} is {version!r}, which is too old: use {LEAST_UPSTREAM[name]} or newer."
        for name, version in wanted.items()
        if _version(version) < _version(LEAST_UPSTREAM[name])
    ]


def member_problems(members: t.Sequence[str], group: str) -> list[str]:
    """Whether the number of etcd members is odd."""
    if len(members) % 2:
        return []
    return [
        f"There are {len(members)} etcd members ({', '.join(members)}), which tolerate no more failures than one member less: "
        f"add one to the group {group} or remove one."
    ]


def host_name_problems(names: t.Sequence[str]) -> list[str]:
    """Whether inventory names are valid host names in a cluster: RFC 1123, and short enough for a certificate's common name of 64."""
    return [
        f"{name} is not a valid name for a host of the cluster: use at most 52 lowercase letters, digits, dashes and dots as its name in "
        "the inventory (its address can be in ansible_host)."
        for name in names
        if len(name) > 52 or not _formats.SUBDOMAIN.fullmatch(name)
    ]


def subnet_problems(network: str, length: int) -> list[str]:
    """Whether flannel can divide the pod network into subnets of this length, by the rules of module etcd_network_config."""
    try:
        _flannel_network.build(network, length)
    except ValueError as error:
        return [
            f"cluster_pod_network is {network!r} and flannel_subnet_length is {length}, which flannel refuses: {error}."
        ]
    return []


def dns_address_problems(address: str, network: str) -> list[str]:
    """Whether the DNS Service can have this cluster IP. The first address belongs to the Service `kubernetes`."""
    there, services = ipaddress.IPv4Address(address), ipaddress.IPv4Network(network)
    taken = {
        services[0]: "is the network address",
        services[1]: "belongs to the Service kubernetes",
        services[-1]: "is the broadcast address",
    }
    if there in services and there not in taken:
        return []
    reason = taken[there] if there in services else f"is outside cluster_service_network ({network})"
    return [
        f"cluster_dns_address is {address!r}, which {reason}: use another address of {network}, or remove it to get the tenth."
    ]


def source_problems(sources: t.Mapping[str, t.Sequence[str]]) -> list[str]:
    """Whether the firewall supports these sources, by variable name."""
    return [
        problem
        for name, some in sources.items()
        for problem in _firewall.source_problems(name, some, () if name == "firewall_hosts" else _firewall.GROUPS)
    ]


def input_problems(settings: t.Mapping[str, t.Any]) -> list[str]:
    """The problems with the variables of role cluster and the groups."""
    if not settings["control_planes"]:
        group = settings["control_plane_group"]
        return [f"The inventory has no host in the group {group} (cluster_control_plane_group): add a control plane."]
    networks = settings["networks"]
    return [
        *member_problems(settings["etcd_members"], settings["etcd_group"]),
        *host_name_problems(settings["hosts"]),
        *network_problems(networks),
        *subnet_problems(networks["cluster_pod_network"], settings["subnet_length"]),
        *dns_address_problems(settings["dns_address"], networks["cluster_service_network"]),
        *kubernetes_version_problems(settings["kubernetes_version"]),
        *etcd_version_problems(settings["etcd_version"]),
        *upstream_problems(settings["upstream_versions"]),
        *source_problems(settings.get("sources", {})),
        *_firewall.rule_problems("firewall_accept", settings.get("firewall_accept", [])),
    ]


def _same(hosts: t.Mapping[str, t.Mapping[str, t.Any]], key: str) -> dict[str, list[str]]:
    """The values that several hosts share, and these hosts."""
    holders: dict[str, list[str]] = {}
    for host, known in hosts.items():
        holders.setdefault(known[key], []).append(host)
    return {value: names for value, names in holders.items() if value and len(names) > 1}


def firewall_problems(hosts: t.Mapping[str, t.Mapping[str, t.Any]], networks: t.Sequence[str]) -> list[str]:
    """Hosts that the firewalls of the other hosts would not accept."""
    addresses = {host: known["address"] for host, known in hosts.items()}
    return [
        f"firewall_hosts ({', '.join(networks)}) does not include {host} ({addresses[host]}), whose traffic the other hosts would drop: add it."
        for host in (_firewall.hosts_left_out(addresses, networks) if networks else [])
    ]


def settled_problems(hosts: t.Mapping[str, t.Mapping[str, t.Any]], settings: t.Mapping[str, str]) -> list[str]:
    """Settings that cannot change on an existing cluster, because running pods use its addresses, names and tokens. Reported once, for the first host."""
    known = {
        name: (value, host) for host in reversed([*hosts]) for name, value in hosts[host].get("settled", {}).items()
    }
    services = "cluster_service_network"
    if settings.get(services) != known.get(services, (settings.get(services), ""))[0]:
        # An address in that network, so it is wrong as well.
        known.pop("cluster_dns_address", None)
    return [
        f"{name} is {settings[name]!r}, but the existing cluster of {host} has {value}, which cannot be changed: "
        f"set {name} to that, or rebuild the cluster (plainkube.cluster.reset, then plainkube.cluster.site)."
        for name, (value, host) in known.items()
        if settings.get(name, value) != value
    ]


def clock_spread_problems(hosts: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[str]:
    """The two clocks that are furthest apart, if each is close enough to the control node's clock."""
    offsets = sorted((known.get("clock_offset", 0.0), host) for host, known in hosts.items())
    if not offsets or offsets[-1][0] - offsets[0][0] <= CLOCK_SECONDS:
        return []
    (least, early), (most, late) = offsets[0], offsets[-1]
    return [
        f"{late}'s clock is {most - least:.1f} s ahead of {early}'s, and more than {CLOCK_SECONDS} s breaks certificates and leases: "
        "synchronize both with NTP (timedatectl set-ntp true)."
    ]


def address_problem(host: str, known: t.Mapping[str, t.Any]) -> str:
    """The problem with a host's address, on which etcd, flannel and the kubelet listen: other hosts cannot reach it, or the host does not have it."""
    address, given = known["address"], known.get("given", False)
    if not address:
        return (
            f"The IPv4 address of {host} is unknown, because its name does not resolve on the control node, or resolves to several addresses while {host} is "
            "down: set cluster_address for it in the inventory."
        )
    if not _addresses.is_unicast(address):
        source = "cluster_address" if given else "ansible_host"
        return (
            f"{host} has the address {address} ({source}), at which no other host can reach it: set cluster_address for it in the "
            "inventory."
        )
    there = {one["address"]: one["interface"] for one in known.get("addresses", [])}
    # There are no facts about a host that is down.
    if not there or address in there:
        return ""
    words = ", ".join(f"{one} ({interface})" for one, interface in there.items())
    if given:
        return (
            f"{host} has cluster_address {address!r}, which is not an address of that host ({words}): use one of these, or remove it to get "
            "the one that Ansible connects to."
        )
    return (
        f"Ansible connects to {host} at {address}, which is not an address of that host ({words}), as behind NAT: set cluster_address for it to one of "
        "these in the inventory."
    )


def hosts_problems(subject: t.Mapping[str, t.Any]) -> list[str]:
    """Conflicts between hosts: each must have its own address, machine-id and name."""
    hosts = subject["hosts"]
    return [
        *firewall_problems(hosts, subject.get("firewall_hosts", [])),
        *clock_spread_problems({host: hosts[host] for host in subject.get("here", hosts)}),
        *settled_problems(hosts, subject.get("settled", {})),
        *filter(None, (address_problem(host, known) for host, known in hosts.items())),
        *(
            f"{host} has the address {known['address']}, which is in {name} ({network}): choose another network for {name}."
            for host, known in hosts.items()
            for name, network in subject["networks"].items()
            if known["address"] and ipaddress.IPv4Address(known["address"]) in ipaddress.IPv4Network(network)
        ),
        *(
            f"{' and '.join(names)} have the same address {address}: set cluster_address for them in the inventory."
            for address, names in _same(hosts, "address").items()
        ),
        *(
            f"{' and '.join(names)} have the same machine-id {machine}, as copies of one machine do: give each its own "
            "(rm /etc/machine-id /var/lib/dbus/machine-id; systemd-machine-id-setup; reboot)."
            for machine, names in _same(hosts, "machine_id").items()
        ),
        *(
            f"{' and '.join(names)} have the same host name {name}: give each its own (hostnamectl set-hostname NAME)."
            for name, names in _same(hosts, "hostname").items()
        ),
    ]


def kubelet_problems(facts: t.Mapping[str, t.Any], host: str, kubelet_config: t.Mapping[str, t.Any]) -> list[str]:
    """Conditions under which the kubelet would exit, unless node_kubelet_config overrides them."""
    problems = []
    if facts["swap"] and kubelet_config.get("failSwapOn", True):
        problems.append(
            f"{host} uses swap ({', '.join(facts['swap'])}), which the kubelet refuses: disable it (swapoff -a; and in /etc/fstab, or the package that "
            "sets up zram), or set failSwapOn: false in node_kubelet_config."
        )
    swap = kubelet_config.get("memorySwap")
    behavior = swap.get("swapBehavior", "") if isinstance(swap, t.Mapping) else ""
    if behavior not in SWAP_BEHAVIORS:
        problems.append(
            f"{host} has memorySwap.swapBehavior {behavior!r} in node_kubelet_config, which the kubelet does not know: use NoSwap, with which no pod uses "
            "swap (the default), or LimitedSwap."
        )
    if behavior == "LimitedSwap" and facts["cgroup_version"] == 1:
        problems.append(
            f"{host} has memorySwap.swapBehavior 'LimitedSwap' in node_kubelet_config, and cgroup v1, with which the kubelet refuses that: use NoSwap, or "
            "boot it with cgroup v2 (systemd's default)."
        )
    if facts["cgroup_version"] == 1 and kubelet_config.get("failCgroupV1", True):
        problems.append(
            f"{host} has cgroup v1, which the kubelet refuses: boot it with cgroup v2 (systemd's default), "
            "or set failCgroupV1: false in node_kubelet_config."
        )
    return problems


def space_problems(facts: t.Mapping[str, t.Any], host: str, memory_mb: int, disk_mb: int) -> list[str]:
    """Too little memory or disk space."""
    problems = []
    if facts["memory_mb"] < memory_mb:
        problems.append(
            f"{host} has {facts['memory_mb']} MiB of memory and preflight_memory_mb requires {memory_mb}: "
            "add memory, or lower preflight_memory_mb."
        )
    short = {path: free for path, free in facts["free_mb"].items() if free < disk_mb}
    if short:
        problems.append(
            f"{host} has {min(short.values())} MiB of free disk for {' and '.join(short)} and preflight_disk_mb requires {disk_mb}: "
            "free some space or add a larger disk, or lower preflight_disk_mb."
        )
    return problems


def overlap_problems(facts: t.Mapping[str, t.Any], host: str, networks: t.Mapping[str, str]) -> list[str]:
    """The cluster's networks that overlap a network of the host."""
    return [
        f"{name} ({network}) overlaps {there['network']} of {there['name']} on {host}: choose another network for {name}."
        for name, network in networks.items()
        for there in facts["networks"]
        if ipaddress.IPv4Network(network).overlaps(ipaddress.IPv4Network(there["network"]))
    ]


def _removal(path: str) -> str:
    """How to remove a file of systemd that somebody else has written."""
    return (
        f"remove its package, which `dpkg -S {path}` names"
        if path.startswith("/usr/lib/")
        else f"remove it (rm {path}; systemctl daemon-reload)"
    )


def unit_problems(facts: t.Mapping[str, t.Any], host: str) -> list[str]:
    """Services of others with the names of ours, and drop-ins that would make our services run another command."""
    problems = [
        f"{host} has another {name}.service ({path}), in whose place ours would run: {_removal(path)}."
        for name, path in facts.get("foreign_units", {}).items()
    ]
    for path, services in facts.get("replaced_commands", {}).items():
        variables = [_flags.VARIABLES[name] for name in services if name in _flags.VARIABLES]
        flags = f", and set flags with {' and '.join(variables)}" if variables else ""
        problems.append(
            f"{host} has the drop-in {path}, which replaces the command of {' and '.join(services)} (ExecStart=): {_removal(path)}{flags}."
        )
    return problems


def leftover_problems(facts: t.Mapping[str, t.Any], host: str) -> list[str]:
    """Interfaces and rules of an earlier cluster, which would take the traffic of this one."""
    found = facts.get("leftovers", [])
    if not found:
        return []
    them = "it" if len(found) == 1 else "them"
    return [
        f"{host} still has {', '.join(found)} of another cluster: remove {them} with what installed that cluster (such as kubeadm reset), and reboot "
        "the host."
    ]


def cni_problems(facts: t.Mapping[str, t.Any], host: str, runtime: t.Mapping[str, t.Any]) -> list[str]:
    """CNI configurations that containerd would use instead of ours."""
    return [
        f"{host} has {_places.CNI_DIRECTORY}/{name}, which containerd prefers to {os.path.basename(_places.CNI_CONFLIST)}, so that pods would not be in "
        "cluster_pod_network: remove it, or give it a name that is sorted after that one."
        for name in (facts.get("cni_before", []) if runtime["name"] == "containerd" else [])
    ]


def resolver_problems(
    facts: t.Mapping[str, t.Any], host: str, kubelet_config: t.Mapping[str, t.Any], upstream: t.Sequence[str]
) -> list[str]:
    """Name servers that no pod can reach, if CoreDNS uses the node's."""
    servers = facts.get("name_servers", [])
    if "resolvConf" in kubelet_config or not any(one.startswith("/") for one in upstream):
        return []
    if not all(_addresses.is_loopback(one) for one in servers):
        return []
    what = f"only name servers on loopback ({', '.join(servers)})" if servers else "no name server"
    return [
        f"{host} has {what} in {facts['resolv_conf']}, from which CoreDNS cannot resolve names outside the cluster: set addons_dns_upstream to resolvers "
        "that pods can reach ([] for none), or correct that file."
    ]


def foreign_firewall_problems(facts: t.Mapping[str, t.Any], host: str, accepted: bool) -> list[str]:
    """Firewall managers that drop the cluster's traffic, as far as they are not told of it."""
    return [
        f"{host} has {name} enabled, which drops the cluster's traffic unless it is told of it: disable it (role firewall can take its place), or let that "
        f"traffic through and set preflight_foreign_firewall to true."
        for name in ([] if accepted else facts.get("firewalls", []))
    ]


def endpoint_problems(facts: t.Mapping[str, t.Any], host: str) -> list[str]:
    """Whether the DNS name in the API's external address resolves on the host, which connects to it."""
    return [
        f"cluster_api_endpoint has the name {name}, which does not resolve on {host}, whose kubelet connects to it: add it to DNS or to the "
        "host's /etc/hosts, or use an IPv4 address."
        for name in facts.get("unresolved", [])
    ]


def link_problems(facts: t.Mapping[str, t.Any], host: str) -> list[str]:
    """Directories of services that are symbolic links: systemd does not start such a service (ELOOP, mkdir_label in exec-invoke.c)."""
    return [
        f"{host} has the symbolic link {path} to {target}, with which systemd does not start the service that keeps its data there: use a bind mount "
        f"instead (rm {path}; mkdir {path}; in /etc/fstab: {target} {path} none bind 0 0), or link a parent directory."
        for path, target in facts.get("linked", {}).items()
    ]


def port_problems(facts: t.Mapping[str, t.Any], host: str, components: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """Ports of components on which another process listens."""
    needs = {
        (protocol, int(port)): component["name"]
        for component in components
        for protocol, key in (("tcp", "ports"), ("udp", "udp_ports"))
        for port in component.get(key, [])
    }
    problems = []
    for there in facts["foreign_listeners"]:
        who = f"{there['process']} (pid {there['pid']})" if there["pid"] else "a process outside this host's namespace"
        needed_by = needs[there["protocol"], there["port"]]
        kind = "UDP port" if there["protocol"] == "udp" else "port"
        variable = PORT_VARIABLES.get(needed_by)
        other = f", or set {variable} to another port" if variable else ""
        problems.append(
            f"{host}: {who} listens on {there['address']}, and {needed_by} needs {kind} {there['port']}: "
            f"stop it or give it another port{other}."
        )
    return problems


def _label_problem(key: t.Any, value: t.Any) -> str:
    wrong = _formats.label_key(key) if isinstance(key, str) else "which is not text: write it in quotes"
    if wrong:
        return wrong
    # A number prints as it was written, except for 1.10 and the like.
    if not isinstance(value, str) and (not isinstance(value, int) or isinstance(value, bool)):
        return f"whose value is {_formats.shown(value)}, where text is needed: write it in quotes"
    if _formats.label_value(str(value)):
        return f"with the value {value!r}, {_formats.label_value(str(value))}"
    return ""


def label_problems(host: str, labels: t.Mapping[str, t.Any]) -> list[str]:
    """Labels that a Node cannot have."""
    found = ((key, _label_problem(key, value)) for key, value in labels.items())
    return [f"{host} has '{key}' in node_labels, {problem}." for key, problem in found if problem]


def step_problems(facts: t.Mapping[str, t.Any], host: str, versions: t.Mapping[str, t.Mapping[str, str]]) -> list[str]:
    """Upgrades that skip a minor version, and downgrades. A kubelet may be older than the API server, but cannot be downgraded.

    Sources: kubernetes.io, version skew policy; etcd.io, upgrading etcd clusters.
    """
    problems = []
    for name, wanted in versions.items():
        there = facts.get("installed_versions", {}).get(name, wanted["version"])
        old, new = _version(there)[:2], _version(wanted["version"])[:2]
        over = new[0] != old[0] or new[1] > old[1] + 1
        if new < old or (over and name != "kubelet"):
            problems.append(
                f"{wanted['variable']} is {wanted['version']!r}, and {name} on {host} is {there}, which can only be upgraded one minor version at a time: use "
                f"one of {old[0]}.{old[1]} or {old[0]}.{old[1] + 1}, or rebuild the host (plainkube.cluster.reset)."
            )
    return problems


def clock_problems(facts: t.Mapping[str, t.Any], host: str) -> list[str]:
    """A clock that differs from the control node's clock, as far as that can be measured."""
    offset = facts.get("clock_offset", 0)
    if abs(offset) <= CLOCK_SECONDS:
        return []
    return [
        f"{host}'s clock is {abs(offset):.1f} s {'ahead of' if offset > 0 else 'behind'} the control node's, and more than "
        f"{CLOCK_SECONDS} s breaks certificates and leases: synchronize both with NTP (timedatectl set-ntp true)."
    ]


def systems() -> str:
    """The systems on which CI runs this collection, as a sentence names them."""
    return " or ".join(f"{name.capitalize()} {version}" for name, versions in SYSTEMS.items() for version in versions)


def untested_systems(facts: t.Mapping[str, t.Any], host: str) -> list[str]:
    """The beginning of a sentence if this collection was never run on the host's system."""
    name, version = facts["distribution"], facts["distribution_version"]
    if version in SYSTEMS.get(name, ()):
        return []
    return [f"{host} runs {name} {version}, on which plainkube.cluster is not tested:"]


def system_problems(facts: t.Mapping[str, t.Any], host: str, untested: bool) -> list[str]:
    """An unsupported operating system or architecture."""
    problems = (
        []
        if untested
        else [
            f"{one} use {systems()}, or set preflight_untested_systems to true."
            for one in untested_systems(facts, host)
        ]
    )
    if not facts["systemd"]:
        problems.append(f"{host} does not run systemd as init, which all components need: use a host that does.")
    if facts["architecture"] not in ARCHITECTURES:
        problems.append(f"{host} is {facts['architecture']}: use a host that is {' or '.join(ARCHITECTURES)}.")
    if not facts["machine_id"]:
        problems.append(f"{host} has no /etc/machine-id: create it (systemd-machine-id-setup) and reboot.")
    return problems


def runtime_problems(facts: t.Mapping[str, t.Any], host: str, runtime: t.Mapping[str, t.Any]) -> list[str]:
    """An impossible container runtime: Docker without Docker Engine, or a containerd that is too old for the kubelet."""
    if runtime["name"] == "docker":
        if runtime["docker"]:
            return []
        return [
            f"{host} has cluster_runtime docker and docker_enabled false, so pods would have no runtime: "
            "set docker_enabled to true, or cluster_runtime to containerd."
        ]
    found = facts["containerd"] or OLD_CONTAINERD.get((facts["distribution"], facts["distribution_version"]), "")
    if runtime["containerd_version"] or not found or _version(found) >= OLDEST_CONTAINERD:
        return []
    return [
        f"{host} has cluster_containerd_version '', and its distribution's containerd is {found}, too old for the kubelet: use upstream's, the default "
        "(remove cluster_containerd_version and cluster_cni_plugins_version), or set cluster_runtime to docker."
    ]


def containerd_file_problems(facts: t.Mapping[str, t.Any], host: str, runtime: t.Mapping[str, t.Any]) -> list[str]:
    """The operator's configuration files that containerd would read in part."""
    config = runtime["config"]
    if runtime["name"] != "containerd":
        return []
    return [
        f"{host} has {path} with version = {version}, and its containerd has a configuration of version {config}, beside which it would ignore parts of "
        f"that file: convert the file to version = {config} (https://github.com/containerd/containerd/blob/main/docs/cri/config.md), or remove it."
        for path, version in facts["containerd_files"].items()
        if version not in (0, config)
    ]


def docker_part_problems(host: str, runtime: t.Mapping[str, t.Any], pod_network: str) -> list[str]:
    """A range for Docker's own containers that is outside flannel's subnets, or belongs to the pods. Whether a network is inside the host's
    subnet is only known once flannel has leased it; docker_rebridge checks that."""
    value, pods = runtime["docker_part"], runtime["pod_range"]
    if not runtime["docker"]:
        return []
    if value in ("", *_bridge.HALVES):
        if pods and value in ("", pods):
            return [
                f"{host} has docker_fixed_cidr {value!r}, and the {pods} half of flannel's subnet belongs to the pods: use the other half."
            ]
        return []
    try:
        if ipaddress.IPv4Network(value).subnet_of(ipaddress.IPv4Network(pod_network)):
            return []
    except ValueError:
        pass
    return [
        f"{host} has docker_fixed_cidr {value!r}, which is not a network inside cluster_pod_network ({pod_network}): "
        "use lower or upper, a half of the host's subnet, or a network inside that subnet."
    ]


def docker_problems(facts: t.Mapping[str, t.Any], host: str) -> list[str]:
    """Settings of Docker Engine with which pods would not work, by the host's own account (_docker.problems)."""
    return [f"{host}: {problem}." for problem in facts.get("docker_problems", [])]


def pull_problems(host: str, digests: t.Mapping[str, str]) -> list[str]:
    """Images that would be pulled by tag although each download must be pinned. `digests` contains each image of the host."""
    without = [name for name, digest in digests.items() if not digest]
    if not without:
        return []
    return [
        f"{host} has artifacts_require_pins true, and artifacts_image_digests has no digest for {', '.join(without)}: add it, from a source that you "
        "trust, or set artifacts_images to 'archive', or artifacts_require_pins to false."
    ]


def _surroundings(facts: t.Mapping[str, t.Any], host: str, needs: t.Mapping[str, t.Any]) -> list[str]:
    """Problems with what else is on a host, and with the host itself, that do not keep our services from starting."""
    config, runtime = needs["kubelet_config"], needs.get("runtime")
    return [
        *space_problems(facts, host, needs["memory_mb"], needs["disk_mb"]),
        *overlap_problems(facts, host, needs["networks"]),
        *leftover_problems(facts, host),
        *(cni_problems(facts, host, runtime) if runtime else []),
        *(resolver_problems(facts, host, config, needs.get("dns_upstream", [])) if config is not None else []),
        *foreign_firewall_problems(facts, host, needs.get("foreign_firewall", False)),
    ]


def _gets_runtime(facts: t.Mapping[str, t.Any], runtime: t.Mapping[str, t.Any]) -> bool:
    return facts["installed"] and facts.get("runtime") != runtime["name"]


def host_warnings(facts: t.Mapping[str, t.Any], host: str, needs: t.Mapping[str, t.Any]) -> list[str]:
    """What is accepted, and may not work: a system that is not tested, and on a host of the cluster what would keep a bare one out. The host runs with
    it, or it came later: no reason not to renew its certificates."""
    untested = [f"{one} try everything that you need there." for one in untested_systems(facts, host)]
    return untested + (_surroundings(facts, host, needs) if facts["installed"] else [])


def host_problems(facts: t.Mapping[str, t.Any], host: str, needs: t.Mapping[str, t.Any]) -> list[str]:
    """Why a host, with these facts of module host_facts, cannot be part of a cluster."""
    config, runtime = needs["kubelet_config"], needs.get("runtime")
    return [
        *(_surroundings(facts, host, needs) if not facts["installed"] else []),
        # A host of the cluster that becomes a node, or whose runtime changes.
        *(cni_problems(facts, host, runtime) if runtime and _gets_runtime(facts, runtime) else []),
        *system_problems(facts, host, needs["untested_systems"]),
        *(runtime_problems(facts, host, runtime) if runtime else []),
        *(containerd_file_problems(facts, host, runtime) if runtime else []),
        *(docker_part_problems(host, runtime, needs["networks"]["cluster_pod_network"]) if runtime else []),
        *docker_problems(facts, host),
        *(kubelet_problems(facts, host, config) if config is not None else []),
        *unit_problems(facts, host),
        *filter(None, [address_problem(host, {**facts, **needs["address"]})] if "address" in needs else []),
        *endpoint_problems(facts, host),
        *link_problems(facts, host),
        *port_problems(facts, host, needs["components"]),
        *clock_problems(facts, host),
        *label_problems(host, needs.get("node_labels", {})),
        *pull_problems(host, needs.get("image_digests", {})),
        *step_problems(facts, host, needs.get("versions", {})),
    ]


def unreachable(host: str, address: str, error: str) -> str:
    """Why a host is unreachable, and what to do about it."""
    # ssh's own message, without Ansible's introduction.
    reason = re.sub(r"^.* (?:via|over) ssh: ", "", error.strip(), flags=re.DOTALL).rstrip(".")
    return (
        f"{host} ({address}) is unreachable ({reason}): start it or fix the connection to it (ansible_host, ansible_port, ansible_user), "
        f"or exclude it with --limit '!{host}'."
    )


# Unknown variables


def unknown_variables(
    names: t.Iterable[str], known: t.Collection[str], roles: t.Iterable[str], foreign: t.Iterable[str]
) -> list[str]:
    """Variables with a prefix of this collection that it does not have. Values are not shown: some are passwords."""
    prefixes = tuple(f"{role}_" for role in roles)
    # A role may have variables with a second prefix, such as kubeconfig_.
    prefixes += tuple({f"{name.partition('_')[0]}_" for name in known if not name.startswith(prefixes)})
    unknown = [
        name
        for name in sorted(names)
        if name.startswith(prefixes)
        and name not in known
        and not any(fnmatch.fnmatchcase(name, one) for one in foreign)
    ]
    return [f"{name} is not a variable of plainkube.cluster: {_advice(name, known)}." for name in unknown]


def _advice(name: str, known: t.Collection[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)
    start = f"did you mean {close[0]}? If not, remove it" if close else "remove it"
    return f"{start}, or list it in preflight_foreign_variables if something else reads it"
