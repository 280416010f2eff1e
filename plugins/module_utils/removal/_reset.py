# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""Identifies what belongs to this collection on a host, and the hosts that an operator selects."""

from __future__ import annotations

import difflib
import fnmatch
import ipaddress
import json
import re
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.network import _firewall
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _stamp

CONFIGURATION = "/etc/kubernetes"
# The kubelet first: it would recreate its containers.
_STOP_FIRST = ("kubelet", "cri-dockerd")
_GECOS = ", run by plainkube.cluster"
_OUR_CHAINS = ("FLANNEL-", "KUBE-")
_OUR_TABLES = ("kube-proxy", "flannel-ipv4", "flannel-ipv6", _firewall.NAME)

# What components write into their directories, as regular expressions: path -> names in it. Only needed if a link or a mount point
# replaces a directory, because its target may not have been empty. A path that is not listed here has nothing of ours.
_ETCD = r"member|\.touch"
_FLANNEL = r"\.?subnet\.env"
_CONTENTS = (
    (r"/var/lib/etcd/data(\.old)?", _ETCD),
    (r"/var/log/kube-apiserver", r"audit.*"),
    (r"(/var/lib|/run)/flannel", _FLANNEL),
    (r"/var/lib/cri-dockerd", r"sandbox"),
    # https://kubernetes.io/docs/reference/node/kubelet-files/, and what its options and drivers write there.
    (
        r"/var/lib/kubelet",
        r"pods|pods-api|pod-resources|plugins|plugins_registry|plugin-containers|device-plugins|checkpoints|pki|seccomp|image_manager"
        r"|\w+_state|config\.json|\.dockercfg",
    ),
    (r"/var/lib/kubelet/pods", r"[0-9a-f-]{32,36}"),
    (r"/var/log/pods", r"[^_]+_[^_]+_[0-9a-f-]{32,36}"),
    (r"/var/log/containers", r".+\.log"),
    (
        r"/opt/plainkube",
        r"\.staged|\.incoming|etcd|flannel|kubernetes|cri-dockerd|containerd|cni-plugins|images",
    ),
    # Versions.
    (r"/opt/plainkube/[a-z-]+", r"\d.*"),
    (r"/root/\.kube/cache", r"discovery|http"),
)


# --- the host ------------------------------------------------------------------------------------------------------


def owned_units(units: t.Mapping[str, str]) -> list[str]:
    """Names of the units with our stamp, in stop order."""
    ours = [name for name, text in units.items() if _stamp.split(text)[2] is not None]
    return sorted(ours, key=lambda name: (_STOP_FIRST.index(name) if name in _STOP_FIRST else len(_STOP_FIRST), name))


def configuration(units: t.Iterable[str]) -> set[str]:
    """The files below /etc/kubernetes in units' trailers."""
    paths = (path for text in units for path in _stamp.split(text)[1])
    return {path for path in paths if path.startswith(f"{CONFIGURATION}/")}


def owned_users(passwd: str) -> list[str]:
    """The users that systemd-sysusers created for our services, according to their GECOS field."""
    entries = (line.split(":") for line in passwd.splitlines())
    return [entry[0] for entry in entries if len(entry) == 7 and entry[4].endswith(_GECOS)]


def strangers(path: str, names: t.Iterable[str]) -> list[str]:
    """Those of the names in a directory of ours, known by its path, that no component of ours writes there."""
    known = next((contents for pattern, contents in _CONTENTS if re.fullmatch(pattern, path)), "")
    return sorted(name for name in names if not re.fullmatch(known, name))


def chain_rules(saved: str, prefixes: t.Sequence[str], more: t.Container[str] = ()) -> dict[str, list[str]]:
    """Table -> the input of iptables-restore --noflush that removes the chains with these prefixes, and the jumps to them, from the output of
    iptables-save; also removes the rules in `more`, in iptables-save's format."""
    either = "|".join(map(re.escape, prefixes))
    chain, jump = re.compile(either), re.compile(rf" -[jg] (?:{either})\S*")
    removed: dict[str, list[str]] = {}
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


def owned_rules(saved: str, network: str) -> dict[str, list[str]]:
    """The same for flannel's and kube-proxy's.

    Docker 28 and later have docker_rebridge's rules for the pod network in their chain DOCKER-USER.
    """
    return chain_rules(saved, _OUR_CHAINS, {f"-A DOCKER-USER {side} {network} -j ACCEPT" for side in ("-s", "-d")})


def rule_names(command: str, tables: t.Mapping[str, t.Sequence[str]]) -> list[str]:
    """The removed rules as readable text."""
    return [
        f"{command} {table}: {' '.join(line.split()[1:])}"
        for table, lines in tables.items()
        for line in lines
        if not line.startswith("-F ")
    ]


def restore_script(tables: t.Mapping[str, t.Sequence[str]]) -> str:
    """Input of iptables-restore --noflush: each table changes atomically."""
    return "".join("\n".join([f"*{table}", *lines, "COMMIT"]) + "\n" for table, lines in tables.items())


def owned_tables(listed: str, names: t.Container[str] = _OUR_TABLES) -> list[str]:
    """Family and name of our tables, out of `nft list tables`: kube-proxy's, flannel's and the firewall's."""
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
    """Where flannel routes pods of other hosts without encapsulation, out of `ip -json route show`: through a gateway."""
    routes = json.loads(listed or "[]")
    return [
        f"{route['dst']} via {route['gateway']} dev {route['dev']}"
        for route in routes
        if route.get("gateway")
        and not route.get("protocol", "boot").startswith("kernel")
        and within(route["dst"], network)
    ]


def sorted_images(
    images: t.Sequence[t.Mapping[str, t.Any]], used: t.Container[str], names: t.Sequence[str]
) -> tuple[list[str], list[str]]:
    """The names to remove, and the names to keep: those of images that foreign containers use and that have no other name."""
    remove: list[str] = []
    keep: list[str] = []
    for image in images:
        tags = image.get("RepoTags") or []
        ours = [tag for tag in tags if tag in names]
        (keep if image["Id"] in used and len(ours) == len(tags) else remove).extend(ours)
    return sorted(remove), sorted(keep)


def starts(bounded: bool, score: str) -> bool:
    """Whether systemd can start a service with this OOMScoreAdjust; `bounded` means a host without CAP_SYS_RESOURCE."""
    return not (bounded and score.startswith("-"))


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
