# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Identifies what belongs to this collection on a host, and the hosts that an operator selects."""

from __future__ import annotations

import difflib
import fnmatch
import ipaddress
import json
import os
import re
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places
from ansible_collections.plainkube.cluster.plugins.module_utils.host._places import CONFIGURATION, RELEASES, SUBNET_FILE
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _firewall
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _stamp, _units

# Table -> lines for iptables-restore.
Rules = dict[str, list[str]]

# The kubelet first: it would recreate its containers.
_STOP_FIRST = ("kubelet", "cri-dockerd")
_OUR_CHAINS = ("FLANNEL-", "KUBE-")
# kube-proxy's, flannel's and the firewall's.
TABLES = ("kube-proxy", "flannel-ipv4", "flannel-ipv6", _firewall.NAME)

# The services' data, by the service whose unit identifies it as ours: directory -> what it writes there, as a regular expression. This is only
# needed if a link or a mount point replaces a directory, because its target may not have been empty.
_ETCD = r"member|\.touch"
_FLANNEL = r"\.?subnet\.env"
DATA = {
    "etcd": {_places.ETCD_DATA: _ETCD, f"{_places.ETCD_DATA}.old": _ETCD},
    "kube-apiserver": {_places.API_SERVER_LOGS: r"audit.*"},
    "flanneld": {os.path.dirname(SUBNET_FILE): _FLANNEL, "/run/flannel": _FLANNEL},
    "cri-dockerd": {"/var/lib/cri-dockerd": r"sandbox", _places.CRI_DOCKERD_SOCKET: ""},
    "kubelet": {
        # The pods' directory may be on a separate disk.
        "/var/lib/kubelet/pods": r"[0-9a-f-]{32,36}",
        # https://kubernetes.io/docs/reference/node/kubelet-files/, and what its options and drivers write there.
        "/var/lib/kubelet": (
            r"pods|pods-api|pod-resources|plugins|plugins_registry|plugin-containers|device-plugins|checkpoints|pki|seccomp|image_manager"
            r"|\w+_state|config\.json|\.dockercfg"
        ),
        "/var/log/pods": r"[^_]+_[^_]+_[0-9a-f-]{32,36}",
        "/var/log/containers": r".+\.log",
        # What it writes if logind would not wait for pods at a shutdown.
        "/etc/systemd/logind.conf.d/99-kubelet.conf": "",
    },
}
KUBECTL_CACHE = "/root/.kube/cache"
_CONTENTS = {
    **{path: names for paths in DATA.values() for path, names in paths.items()},
    RELEASES: r"\.staged|\.incoming|etcd|flannel|kubernetes|cri-dockerd|containerd|cni-plugins|images",
    KUBECTL_CACHE: r"discovery|http",
}
_VERSIONS = r"\d.*"


# --- the host ------------------------------------------------------------------------------------------------------


def owned_units(units: t.Mapping[str, str]) -> list[str]:
    """Names of the units with our stamp, in stop order."""
    ours = [name for name, text in units.items() if _stamp.split(text)[2] is not None]
    return sorted(ours, key=lambda name: (_STOP_FIRST.index(name) if name in _STOP_FIRST else len(_STOP_FIRST), name))


def configuration(units: t.Iterable[str]) -> set[str]:
    """The files below /etc in units' trailers, without drop-ins, which an administrator may have written."""
    paths = (path for text in units for path in _stamp.split(text)[1])
    return {path for path in paths if path.startswith("/etc/") and "service.d/" not in path}


def is_ours(path: str) -> bool:
    """Whether a file in a trailer belongs to this collection regardless of its content. Other files do only while their content matches the trailer."""
    return path.startswith(f"{CONFIGURATION}/") or "plainkube" in os.path.basename(path)


def as_stamped(units: t.Iterable[str], files: t.Mapping[str, str]) -> set[str]:
    """Those of the files that still are what a unit's trailer says. Somebody else may have written the others."""
    return {
        path
        for text in units
        for path in {*_stamp.split(text)[1]}.difference(_stamp.changed_inputs(text, files))
        if path in files
    }


def owned_users(passwd: str) -> list[str]:
    """The users that systemd-sysusers created for our services, according to their GECOS field."""
    entries = (line.split(":") for line in passwd.splitlines())
    return [entry[0] for entry in entries if len(entry) == 7 and entry[4].endswith(_units.USER_COMMENT)]


def strangers(path: str, names: t.Iterable[str]) -> list[str]:
    """The names in one of our directories that none of our components writes there."""
    known = _VERSIONS if os.path.dirname(path) == RELEASES else _CONTENTS.get(path, "")
    return sorted(name for name in names if not re.fullmatch(known, name))


def chain_rules(saved: str, prefixes: t.Sequence[str], more: t.Container[str] = ()) -> Rules:
    """The input of iptables-restore --noflush that removes the chains with these prefixes, and the jumps to them, from the output of
    iptables-save; also removes the rules in `more`, in iptables-save's format."""
    either = "|".join(map(re.escape, prefixes))
    chain, jump = re.compile(either), re.compile(rf" -[jg] (?:{either})\S*")
    removed: Rules = {}
    table = ""
    chains: list[str] = []
    rules: list[str] = []
    for line in map(str.strip, saved.splitlines()):
        if line.startswith("*"):
            table, chains, rules = line[1:], [], []
        elif line.startswith(":") and chain.match(line[1:]):
            chains.append(line[1:].split()[0])
        elif line.startswith("-A ") and not chain.match(line[3:]) and (jump.search(line) or line in more):
            rules.append(f"-D {line[3:]}")
        elif line == "COMMIT" and (chains or rules):
            removed[table] = [*rules, *(f"-F {chain}" for chain in chains), *(f"-X {chain}" for chain in chains)]
    return removed


def owned_rules(saved: str, network: str) -> Rules:
    """The same for the chains of flannel and kube-proxy.

    Docker 28 and later have docker_rebridge's rules for the pod network in their chain DOCKER-USER.
    """
    return chain_rules(saved, _OUR_CHAINS, {f"-A DOCKER-USER {side} {network} -j ACCEPT" for side in ("-s", "-d")})


def rule_names(command: str, tables: t.Mapping[str, t.Sequence[str]]) -> list[str]:
    """The removed rules as readable text."""
    return [
        f"{command} {table}: {' '.join(line.split()[1:])}"
        for table, lines in tables.items()
        for line in lines
        if not line.startswith(("-F ", "-A "))
    ]


def restore_script(tables: t.Mapping[str, t.Sequence[str]]) -> str:
    """Input of iptables-restore --noflush: each table changes atomically."""
    return "".join("\n".join([f"*{table}", *lines, "COMMIT"]) + "\n" for table, lines in tables.items())


def owned_tables(listed: str, names: t.Container[str] = TABLES) -> list[str]:
    """Family and name of the existing tables with these names, from the output of `nft list tables`."""
    tables = (line.split()[1:] for line in listed.splitlines() if line.startswith("table "))
    return [" ".join(table) for table in tables if table[-1] in names]


def within(address: str, network: str) -> bool:
    """Whether an address or network is inside a network."""
    try:
        inner = ipaddress.ip_network(address, strict=False)
        return inner.subnet_of(ipaddress.ip_network(network, strict=False))  # type: ignore[arg-type]  # TypeError for two versions
    except (ValueError, TypeError):
        return False


def owned_routes(listed: str, network: str) -> list[str]:
    """flannel's routes to pods of other hosts without encapsulation, from `ip -json route show`: through a gateway. Routes through flannel.1
    disappear with it."""
    routes = json.loads(listed or "[]")
    return [
        f"{route['dst']} via {route['gateway']} dev {route['dev']}"
        for route in routes
        if route.get("gateway")
        and route["dev"] != "flannel.1"
        and not route.get("protocol", "boot").startswith("kernel")
        and within(route["dst"], network)
    ]


def sorted_images(
    images: t.Sequence[t.Mapping[str, t.Any]],
    used: t.Container[str],
    names: t.Container[str],
    pulled: t.Container[str] = (),
) -> tuple[list[str], list[str]]:
    """The names to remove, among `names` and those of the images that pods pulled, and the names to keep: those of images that foreign containers
    use and that have no other name."""
    remove: list[str] = []
    keep: list[str] = []
    for image in images:
        tags = image.get("RepoTags") or []
        ours = [tag for tag in tags if tag in names or image["Id"] in pulled]
        (keep if image["Id"] in used and len(ours) == len(tags) else remove).extend(ours)
    return sorted(remove), sorted(keep)


# --- the operator --------------------------------------------------------------------------------------------------


def _matches(pattern: str, names: t.Iterable[str]) -> bool:
    """Whether a part of --limit matches any of the hosts and groups."""
    plain = pattern.lstrip("!&")
    if plain.startswith("~"):
        return any(re.match(plain[1:], name) for name in names)
    without_subscript = re.sub(r"\[[^\]]*\]$", "", plain)
    return any(fnmatch.fnmatchcase(name, one) for name in names for one in (plain, without_subscript))


def _guess(name: str, known: t.Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, 1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"the cluster's hosts are {', '.join(known) or 'none'}."


def limit_problems(parts: t.Sequence[str], hosts: t.Sequence[str], known: t.Sequence[str]) -> list[str]:
    """The problems with the parts of --limit; `known` has all hosts and groups of the inventory."""
    files = [part for part in parts if part.lstrip("!&").startswith("@")]
    if files:
        return [
            f"--limit is {files[0]}, a file, but plainkube.cluster.reset requires names: set --limit or reset_hosts to the hosts."
        ]
    unknown = [part for part in parts if not _matches(part, known)]
    return [
        f"--limit has {part}, which is not a host or group in the inventory: {_guess(part, hosts)}" for part in unknown
    ]


def host_problems(
    hosts: t.Sequence[str],
    named: t.Sequence[str],
    limited: t.Sequence[str] | None,
    parts: t.Sequence[str],
    known: t.Sequence[str],
) -> list[str]:
    """Why the selection of hosts is unclear, as sentences.

    `hosts` are the cluster's, `named` those in reset_hosts, and `limited` the cluster's hosts in --limit (None: no --limit).
    """
    if not hosts:
        return ["The inventory has no host of a cluster: set the cluster's inventory with -i."]
    problems = [
        f"reset_hosts has '{name}', which is not a host of the cluster in the inventory: {_guess(name, hosts)}"
        for name in named
        if name not in hosts
    ]
    problems += limit_problems(parts, hosts, known)
    if not problems and named and limited is not None and set(named) != set(limited):
        problems.append(
            f"reset_hosts is {', '.join(named)}, but --limit leaves {', '.join(limited) or 'none'} of the cluster: set only one of them."
        )
    if not problems and not named and limited == []:
        problems.append(f"--limit leaves no host of the cluster: {_guess(parts[0] if parts else '', hosts)}")
    return problems
