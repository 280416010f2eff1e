# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""flannel's network configuration in etcd: rendering, validation by flannel's rules, and comparison.

The rules are those of flannel 0.28's pkg/subnet/config.go and of its backends. They also reject invalid values that flannel
silently accepts (host bits, an empty range, an option that the backend ignores).
"""

from __future__ import annotations

import ipaddress
import json
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places

Config = dict[str, t.Any]


class Option(t.NamedTuple):
    """An option of a backend: flannel's name, type, default, and valid values."""

    name: str
    type: type
    default: t.Any = None
    minimum: int = 0
    maximum: int = 0


def _port(name: str, default: int) -> Option:
    return Option(name, int, default, 1, 65535)


_MTU = Option("MTU", int, minimum=576, maximum=65535)
_DIRECT_ROUTING = Option("DirectRouting", bool, False)

BACKENDS: dict[str, tuple[Option, ...]] = {
    "vxlan": (
        Option("VNI", int, 1, 1, (1 << 24) - 1),
        _port("Port", _places.VXLAN_PORT),
        _MTU,
        _DIRECT_ROUTING,
        Option("GBP", bool, False),
        Option("Learning", bool, False),
    ),
    "host-gw": (),
    "ipip": (_DIRECT_ROUTING,),
    "wireguard": (
        Option("PSK", str, ""),
        _port("ListenPort", 51820),
        _MTU,
        Option("PersistentKeepaliveInterval", int, 0, 0, 65535),
        Option("Mode", str, "separate"),
    ),
    "ipsec": (
        Option("PSK", str, ""),
        Option("UDPEncap", bool, False),
        Option("ESPProposal", str, "aes128gcm16-sha256-prfsha256-ecp256"),
    ),
    "udp": (_port("Port", 8285),),
}
# The options of the module, and flannel's names for them.
OPTION_NAMES = {
    "vni": "VNI",
    "port": "Port",
    "mtu": "MTU",
    "direct_routing": "DirectRouting",
    "gbp": "GBP",
    "learning": "Learning",
    "psk": "PSK",
    "listen_port": "ListenPort",
    "persistent_keepalive_interval": "PersistentKeepaliveInterval",
    "mode": "Mode",
    "udp_encap": "UDPEncap",
    "esp_proposal": "ESPProposal",
}
_MINIMUM_IPSEC_KEY = 96


def build(
    network: str,
    subnet_len: int | None = None,
    subnet_min: str | None = None,
    subnet_max: str | None = None,
    backend: t.Mapping[str, t.Any] | None = None,
) -> Config:
    """The validated configuration to write; raises ValueError with a sentence about the first problem.

    Backend and its Type are always written: without them, flannel silently uses udp.
    """
    given = {name: value for name, value in (backend or {}).items() if value not in (None, False)}
    kind = given.pop("type", "vxlan")
    config: Config = {"Network": network, "SubnetLen": subnet_len, "SubnetMin": subnet_min, "SubnetMax": subnet_max}
    config = {name: value for name, value in config.items() if value is not None}
    config["Backend"] = {"Type": kind, **{OPTION_NAMES[name]: value for name, value in given.items()}}
    _check_range(config)
    _check_backend(config["Backend"])
    return config


def render(config: Config) -> str:
    """The value of the key in etcd."""
    return json.dumps(config, separators=(",", ":"), ensure_ascii=True)


def _network(text: t.Any, strict: bool = True) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.IPv4Network(str(text), strict=False)
    except ValueError:
        raise ValueError(f"network is {text!r}, which is not an IPv4 network such as 10.244.0.0/16") from None
    if "/" not in str(text):
        raise ValueError(f"network is {text!r} without a prefix length; write it like 10.244.0.0/16")
    if strict and str(text) != str(network):
        raise ValueError(f"network is {text!r}, which is an address inside {network}; write {network}")
    return network


def _address(name: str, text: t.Any) -> ipaddress.IPv4Address:
    try:
        return ipaddress.IPv4Address(str(text))
    except ValueError:
        raise ValueError(f"{name} is {text!r}, which is not an IPv4 address") from None


def _default_length(network: ipaddress.IPv4Network) -> int:
    if network.prefixlen > 28:
        raise ValueError(f"network {network} is too small; flannel needs a /28 or larger, for four subnets of a /30")
    return 24 if network.prefixlen <= 22 else network.prefixlen + 2


def _length(network: ipaddress.IPv4Network, subnet_len: int | None) -> int:
    """SubnetLen as flannel interprets it; 0 or a missing value means the default."""
    if not subnet_len:
        return _default_length(network)
    if subnet_len > 30:
        raise ValueError(f"subnet_len is {subnet_len}; a host needs a /30 or larger for its tunnel and bridge")
    if subnet_len < network.prefixlen + 2:
        raise ValueError(
            f"subnet_len is {subnet_len}, but network {network} must hold four subnets or more; "
            f"use {network.prefixlen + 2} or longer"
        )
    return subnet_len


def _check_range(config: Config) -> None:
    """flannel's CheckNetworkConfig, and checks for host bits and an empty range, which flannel lacks."""
    network = _network(config["Network"])
    length = _length(network, config.get("SubnetLen"))
    bounds = {}
    for option, name in (("subnet_min", "SubnetMin"), ("subnet_max", "SubnetMax")):
        if name not in config:
            continue
        address = bounds[option] = _address(option, config[name])
        if address not in network:
            raise ValueError(f"{option} is {address}, which is outside network {network}")
        start = ipaddress.IPv4Network((address, length), strict=False).network_address
        if address != start:
            raise ValueError(f"{option} is {address}, which is not the start of a /{length} subnet; {start} is")
    if len(bounds) == 2 and bounds["subnet_min"] > bounds["subnet_max"]:
        raise ValueError(f"subnet_min {bounds['subnet_min']} is after subnet_max {bounds['subnet_max']}")


def _check_backend(backend: Config) -> None:
    kind = str(backend["Type"]).lower()
    if kind not in BACKENDS:
        raise ValueError(f"backend type is {backend['Type']!r}; it must be one of {', '.join(BACKENDS)}")
    options = {option.name: option for option in BACKENDS[kind]}
    for name, value in backend.items():
        if name == "Type":
            continue
        if name not in options:
            known = ", ".join(options) or "no option"
            raise ValueError(f"backend {kind} does not support option {name}; it supports {known}")
        option = options[name]
        if option.type is int and not option.minimum <= value <= option.maximum:
            raise ValueError(
                f"{name} of backend {kind} is {value}; it must be from {option.minimum} to {option.maximum}"
            )
    if kind == "ipsec" and len(backend.get("PSK", "")) < _MINIMUM_IPSEC_KEY:
        raise ValueError(f"PSK of backend ipsec must have {_MINIMUM_IPSEC_KEY} characters or more")


def _folded(pairs: list[tuple[str, t.Any]]) -> dict[str, t.Any]:
    """A JSON object as Go's decoder reads it: names are case-insensitive, and the last duplicate wins."""
    return {name.lower(): value for name, value in pairs}


def canonical(text: str) -> Config:
    """A value as flannel interprets it: with defaults, and only the keys that it reads; raises ValueError if flannel would refuse it."""
    try:
        folded = json.loads(text, object_pairs_hook=_folded)
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error})") from None
    if not isinstance(folded, dict):
        raise ValueError("it is not a JSON object")
    config: Config = {
        "EnableIPv4": folded.get("enableipv4", True),
        "EnableIPv6": folded.get("enableipv6", False),
        "EnableNFTables": folded.get("enablenftables", False),
    }
    if config["EnableIPv6"]:
        config.update({name: value for name, value in folded.items() if name.startswith("ipv6")})
    if config["EnableIPv4"]:
        config.update(_canonical_range(folded))
    config["Backend"] = _canonical_backend(folded.get("backend"))
    return config


def _canonical_range(folded: Config) -> Config:
    network = _network(folded.get("network"), strict=False)
    if not isinstance(folded.get("subnetlen", 0), int):
        raise ValueError("its SubnetLen is not a number")
    length = _length(network, folded.get("subnetlen"))
    size = 1 << (32 - length)
    first = network.network_address + size
    last = network.broadcast_address - size + 1
    return {
        "Network": str(network),
        "SubnetLen": length,
        "SubnetMin": str(_address("SubnetMin", folded.get("subnetmin") or first)),
        "SubnetMax": str(_address("SubnetMax", folded.get("subnetmax") or last)),
    }


def _canonical_backend(folded: Config | None) -> Config:
    backend = folded or {"type": "udp"}
    if not isinstance(backend, dict):
        raise ValueError("its Backend is not a JSON object")
    kind = str(backend.get("type", "")).lower()
    if kind not in BACKENDS:
        return {**backend, "Type": kind}
    values = {option.name: backend.get(option.name.lower()) or option.default for option in BACKENDS[kind]}
    return {"Type": kind, **values}


def difference(live: Config, wanted: Config) -> list[str]:
    """The names of the differences between two canonical values, with Backend's options as Backend.NAME."""
    names = sorted({name for name in [*live, *wanted] if name != "Backend" and live.get(name) != wanted.get(name)})
    before, after = live["Backend"], wanted["Backend"]
    inner = sorted({name for name in [*before, *after] if before.get(name) != after.get(name)})
    return names + [f"Backend.{name}" for name in inner]


def consequence(differences: t.Sequence[str]) -> str:
    """The effect of changing these on an existing cluster."""
    if any(not name.startswith("Backend.") for name in differences):
        return "every node would get a new subnet, and docker0 and all pods would have to be recreated on every node"
    return (
        "pods on different nodes could not reach each other until flanneld has restarted everywhere, "
        "and a different MTU would require recreating docker0 and all pods on every node"
    )


def redacted(text: str) -> str:
    """The value as readable text, without its pre-shared key."""
    try:
        config = json.loads(text)
    except ValueError:
        return text
    for name, backend in config.items() if isinstance(config, dict) else ():
        if name.lower() == "backend" and isinstance(backend, dict):
            backend.update({key: "(secret)" for key in backend if key.lower() == "psk"})
    return json.dumps(config)


def lease_names(keys: t.Iterable[str], prefix: str) -> list[str]:
    """The leased subnets, from the keys below the prefix: PREFIX/subnets/10.244.5.0-24."""
    start = f"{prefix.rstrip('/')}/subnets/"
    return sorted(key[len(start) :].split("&")[0].replace("-", "/") for key in keys if key.startswith(start))
