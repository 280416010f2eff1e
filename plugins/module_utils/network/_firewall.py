# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The host's firewall as text: our own nftables table with the accepted traffic. No I/O."""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _stamp

FAMILY, NAME = "inet", "plainkube"
TABLE = f"{FAMILY} {NAME}"
# Loaded as a whole: the first line makes the second one work if there is no table yet.
REPLACE = f"table {TABLE}\ndelete table {TABLE}\n"
RULES = f"{_places.CONFIGURATION}/firewall.nft"
UNIT = "plainkube-firewall.service"

# Kubernetes' default, which this collection does not change.
NODE_PORTS = (30000, 32767)
_NODE_PORTS = "-".join(map(str, NODE_PORTS))
# Possible sources in addition to addresses and networks.
GROUPS = ("hosts", "control_planes", "members", "pods")

Network = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
# nft's keyword and set type, by IP version.
_FAMILIES = {4: ("ip", "ipv4_addr"), 6: ("ip6", "ipv6_addr")}
# VRRP, by number: not every host has the name.
_VRRP = 112

_HEAD = f"""\
# Written by plainkube.cluster, which loads it at boot ({UNIT}). It accepts what the cluster's hosts, pods and
# clients need from this host, and nothing else. It does not affect forwarded packets (pods, published ports) or other tables.
"""

_ALWAYS = "".join(
    f"\t\t{line}\n"
    for line in (
        "ct state established,related accept",
        'iif "lo" accept',
        "meta l4proto { icmp, igmp, ipv6-icmp } accept",
        'udp sport 67 udp dport 68 accept comment "DHCP"',
        'ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept comment "DHCPv6"',
    )
)

_UNIT = f"""\
[Unit]
Description=Host firewall of the Kubernetes cluster, nftables table {TABLE}
Documentation=man:nft(8)
DefaultDependencies=no
# Before the first packet. After Debian's own nftables.service, which starts by flushing all tables, and again whenever that service reloads.
After=local-fs.target nftables.service
Before=network-pre.target shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {RULES}
ExecReload=/usr/sbin/nft -f {RULES}
ExecStop=-/usr/sbin/nft delete table {TABLE}

[Install]
WantedBy=sysinit.target
"""


def unit(rules: str) -> str:
    """The unit that loads these rules at boot, with a stamp by which reset and status recognize it."""
    contents = {RULES: rules}
    stamp = _stamp.Stamp(_stamp.compute(_UNIT, [RULES], contents), "1")
    return _stamp.append(_UNIT, [RULES], stamp, contents)


# Sources


def parse_source(text: str) -> Network:
    """An address or network; raises ValueError with a sentence for anything else."""
    try:
        return ipaddress.ip_network(str(text))
    except ValueError as error:
        if "host bits" in str(error):
            network = ipaddress.ip_network(str(text), strict=False)
            raise ValueError(f"has {str(text)!r}, which has host bits set: write the network, {network}") from None
        raise ValueError(f"has {str(text)!r}: write an IP address, a network in CIDR notation") from None


def source_problems(variable: str, sources: t.Iterable[str], groups: t.Collection[str]) -> list[str]:
    """The problems with the sources in a variable: each must be an address, a network, or one of the groups."""
    problems = []
    for source in sources:
        if source not in groups:
            try:
                parse_source(source)
            except ValueError as error:
                others = f", or one of {', '.join(groups)}" if groups else ""
                problems.append(f"{variable} {error}{others}.")
    return problems


def without_covered(networks: t.Iterable[Network]) -> list[Network]:
    """The networks that no other network contains, in order: nft refuses overlapping intervals."""
    kept: list[Network] = []
    for network in sorted(set(networks), key=lambda one: (one.version, one.network_address, one.prefixlen)):
        if not kept or kept[-1].version != network.version or not network.subnet_of(kept[-1]):  # type: ignore[arg-type]  # of one version
            kept.append(network)
    return kept


def _element(network: Network) -> str:
    return str(network.network_address if network.prefixlen == network.max_prefixlen else network)


def _choice(values: t.Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"{{ {', '.join(values)} }}"


class Groups:
    """Named sources, such as all hosts; those in use become sets of the table."""

    def __init__(self, groups: t.Mapping[str, t.Sequence[str]]) -> None:
        self.networks = {name: without_covered(map(parse_source, sources)) for name, sources in groups.items()}
        self.used: set[tuple[str, int]] = set()

    def matches(self, sources: t.Sequence[str]) -> list[str]:
        """The match expressions of rules for packets from any of the sources; a single empty one for any address."""
        literal = without_covered(parse_source(source) for source in sources if source not in self.networks)
        every = [network.version for network in literal if network.prefixlen == 0]
        if len(every) == len(_FAMILIES):
            return [""]
        found = []
        for version, (keyword, _type) in _FAMILIES.items():
            if version in every:
                found.append(f"meta nfproto ipv{version} ")
                continue
            names = [
                name
                for name in self.networks
                if name in sources and any(one.version == version for one in self.networks[name])
            ]
            self.used |= {(name, version) for name in names}
            found += [f"{keyword} saddr @{name}{version} " for name in names]
            elements = [_element(network) for network in literal if network.version == version]
            found += [f"{keyword} saddr {_choice(elements)} "] if elements else []
        return found

    def sets(self) -> str:
        """The sets that rules refer to, with one element per line, so that a diff shows each new host."""
        text = ""
        for name, networks in self.networks.items():
            for version, (_keyword, kind) in _FAMILIES.items():
                if (name, version) in self.used:
                    elements = ",\n".join(f"\t\t\t{_element(one)}" for one in networks if one.version == version)
                    text += f"\tset {name}{version} {{\n\t\ttype {kind}\n\t\tflags interval\n"
                    text += f"\t\telements = {{\n{elements}\n\t\t}}\n\t}}\n\n"
        return text


# Rules


def _service(protocol: str, ports: t.Sequence[str]) -> str:
    return f"meta l4proto {_VRRP}" if protocol == "vrrp" else f"{protocol} dport {_choice(ports)}"


def _comment(name: str) -> str:
    if not re.fullmatch(r"[^\"\\\n]{1,100}", name):
        raise ValueError(f"the rule {name!r} has an invalid name: use up to 100 characters without quotes")
    return f'comment "{name}"'


def _port(text: str) -> str:
    low, dash, high = str(text).partition("-")
    numbers = [int(part) if part.isdigit() else 0 for part in ([low, high] if dash else [low])]
    if not all(1 <= number <= 65535 for number in numbers) or numbers != sorted(numbers):
        raise ValueError(f"{text!r} is not a port: write a number up to 65535, or a range such as 30000-32767")
    return "-".join(map(str, numbers))


def accept(rule: t.Mapping[str, t.Any], groups: Groups) -> str:
    """The rules that accept one service."""
    if (rule["protocol"] == "vrrp") == bool(rule["ports"]):
        raise ValueError(f"the rule {rule['name']!r} must have ports for tcp and udp, and none for vrrp")
    service = _service(rule["protocol"], [_port(port) for port in rule["ports"]])
    end = f"{service} accept {_comment(rule['name'])}"
    return "".join(f"\t\t{match}{end}\n" for match in groups.matches(rule["sources"]))


def rule_problems(variable: str, rules: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """The problems with the operator's rules, except for their sources."""
    problems = []
    for rule in rules:
        try:
            accept({"protocol": "tcp", **rule, "sources": []}, Groups({}))
        except ValueError as error:
            problems.append(f"{variable}: {error}.")
    return problems


def _services(pod_network: str) -> str:
    """Services whose endpoint is a process of this host (hostNetwork): kube-proxy has changed the destination before this chain."""
    lines = f"\t\tip saddr {pod_network} ct status dnat accept {_comment('pods to Services on this host')}\n"
    for protocol in ("tcp", "udp"):
        match = f"meta l4proto {protocol} ct status dnat ct original proto-dst {_NODE_PORTS}"
        lines += f"\t\t{match} accept {_comment('NodePorts that lead to this host')}\n"
    return lines


def _node_port_chain(sources: t.Sequence[str], groups: Groups) -> str:
    """NodePorts for some only: before kube-proxy changes the destination, as packets to pods never come to `input`."""
    matches = groups.matches(sources)
    if matches == [""]:
        return ""
    lines = "".join(f"\t\t{match}accept\n" for match in matches)
    for protocol in ("tcp", "udp"):
        lines += f"\t\tfib daddr type local {protocol} dport {_NODE_PORTS} drop\n"
    head = "\t\ttype filter hook prerouting priority dstnat - 10; policy accept;\n\t\tct state established,related accept\n"
    return f"\n\tchain node_ports {{\n{head}{lines}\t}}\n"


def render(wanted: t.Mapping[str, t.Any], ssh_ports: t.Collection[int]) -> str:
    """The whole file; `wanted` has the options of module firewall. Raises ValueError with a sentence for invalid options."""
    groups = Groups(wanted["groups"])
    ssh = sorted({*ssh_ports, *wanted["ssh_ports"]})
    world = ["0.0.0.0/0", "::/0"]
    first = {"name": "SSH", "protocol": "tcp", "ports": ssh, "sources": wanted["ssh_sources"] or world}
    body = "".join(accept(rule, groups) for rule in [*([first] if ssh else []), *wanted["accept"]])
    chain = f"\tchain input {{\n\t\ttype filter hook input priority filter; policy drop;\n{_ALWAYS}{body}"
    pods = str(parse_source(wanted["pod_network"]))
    chain += f"{_services(pods)}\t}}\n"
    chain += _node_port_chain(wanted["node_port_sources"], groups)
    return f"{_HEAD}{REPLACE}table {TABLE} {{\n{groups.sets()}{chain}}}\n"


# The hosts in the sources


def hosts_left_out(addresses: t.Mapping[str, str], sources: t.Sequence[str]) -> list[str]:
    """Names of hosts whose address is not in any of the sources."""
    networks = [parse_source(source) for source in sources]
    return [
        name
        for name, address in addresses.items()
        if address and not any(ipaddress.ip_address(address) in network for network in networks)
    ]
