#!/usr/bin/python3 -IS
# Written by plainkube.cluster for plainkube-cni.service. The options in the first line ignore Python packages that the host's users installed.
"""Keep the pod network on flannel's subnet: containerd's CNI configuration, the bridge, and the existing pods.

With the argument `check`, only print the changes, one per line. The settings are in PROGRAM.json, next to this file.
"""

from __future__ import annotations

import base64
import functools
import ipaddress
import json
import os
import subprocess
import sys
import typing as t

# (difference, action that removes it)
Steps = t.Iterator[tuple[str, t.Callable[[], t.Any]]]
NETWORK = "plainkube"


class Settings(t.NamedTuple):
    """The settings of this host."""

    bridge: str
    makes_bridge: bool
    # The pods' half of the subnet, `lower` or `upper`; if empty, the whole subnet.
    pod_range: str
    subnet_file: str
    conflist: str
    leases: str
    # The CNI plugins, and what containerd remembers of each network that they configured.
    plugins: str
    results: str


class Lease(t.NamedTuple):
    """What flannel leased to this host: the address of the bridge, and its MTU."""

    address: ipaddress.IPv4Interface
    mtu: int


def read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def output(*command: str) -> str:
    """The output of a command; empty if it fails."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def act(*command: str) -> t.Callable[[], None]:
    """A function that runs a command."""
    return functools.partial(run, *command)


def lease(text: str) -> Lease | None:
    """The lease in flannel's subnet file, or None."""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    try:
        return Lease(ipaddress.IPv4Interface(values["FLANNEL_SUBNET"]), int(values["FLANNEL_MTU"]))
    except (KeyError, ValueError):
        return None


def pool(settings: Settings, found: Lease) -> ipaddress.IPv4Network:
    """The pods' part of the subnet."""
    subnet = found.address.network
    if not settings.pod_range:
        return subnet
    lower, upper = subnet.subnets()
    return upper if settings.pod_range == "upper" else lower


def conflist(settings: Settings, found: Lease) -> str:
    subnet, pods = found.address.network, pool(settings, found)
    addresses = {
        "subnet": str(subnet),
        "rangeStart": str(pods[1] if pods[0] == subnet[0] else pods[0]),
        "rangeEnd": str(pods[-2] if pods[-1] == subnet[-1] else pods[-1]),
        "gateway": str(found.address.ip),
    }
    bridge = {
        "type": "bridge",
        "bridge": settings.bridge,
        "mtu": found.mtu,
        "hairpinMode": True,
        "isGateway": settings.makes_bridge,
        # flannel masquerades traffic that leaves the cluster.
        "ipMasq": False,
        "ipam": {"type": "host-local", "ranges": [[addresses]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    whole = {"cniVersion": "1.0.0", "name": NETWORK, "plugins": [bridge, ports]}
    return json.dumps(whole, indent=2) + "\n"


def write(path: str, text: str) -> None:
    """Atomically, because containerd may read the file at any time."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = os.path.join(os.path.dirname(path), ".plainkube-cni")
    with open(temporary, "w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), 0o644)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(temporary, path)


def configuration_steps(settings: Settings, found: Lease) -> Steps:
    wanted = conflist(settings, found)
    if read(settings.conflist) != wanted:
        difference = f"{settings.conflist} does not match flannel's subnet {found.address}"
        yield difference, functools.partial(write, settings.conflist, wanted)


def bridge_steps(settings: Settings, found: Lease) -> Steps:
    bridge, address = settings.bridge, str(found.address)
    links = json.loads(output("ip", "-json", "address", "show", "dev", bridge) or "[]")
    if not links and not settings.makes_bridge:
        return
    if not links:
        yield f"there is no {bridge}", act("ip", "link", "add", bridge, "type", "bridge")
    link: dict[str, t.Any] = links[0] if links else {"flags": [], "mtu": 0, "addr_info": []}
    present = [f"{one['local']}/{one['prefixlen']}" for one in link["addr_info"] if one["family"] == "inet"]
    if link["mtu"] != found.mtu:
        yield f"{bridge} lacks flannel's MTU of {found.mtu}", act("ip", "link", "set", bridge, "mtu", str(found.mtu))
    if "UP" not in link["flags"]:
        yield f"{bridge} is down", act("ip", "link", "set", bridge, "up")
    if address not in present:
        yield f"{bridge} lacks flannel's {address}", act("ip", "address", "add", address, "dev", bridge)
    for other in present:
        if other != address:
            yield f"{bridge} has {other}", act("ip", "address", "del", other, "dev", bridge)


def strangers(settings: Settings, pods: ipaddress.IPv4Network) -> dict[str, str]:
    """Address -> sandbox, for sandboxes whose address is not in the pods' range."""
    found = {}
    for name in os.listdir(settings.leases) if os.path.isdir(settings.leases) else []:
        try:
            outside = ipaddress.IPv4Address(name) not in pods
        except ValueError:
            continue  # the plugin's own files
        if outside:
            found[name] = read(os.path.join(settings.leases, name)).split("\n")[0].strip()
    return found


def running() -> set[str]:
    """The sandboxes and containers that run."""
    lines = output("ctr", "--namespace=k8s.io", "tasks", "list").splitlines()
    return {line.split()[0] for line in lines if line.endswith("RUNNING")}


def sandbox_steps(settings: Settings, found: Lease) -> Steps:
    outside = strangers(settings, pool(settings, found))
    alive = running() if outside else set()
    for old, sandbox in outside.items():
        if sandbox in alive:
            # The kubelet notices, and recreates the pod.
            kill = act("ctr", "--namespace=k8s.io", "tasks", "kill", "--signal=SIGKILL", sandbox)
            yield f"a pod has the address {old}, which is outside this host's range", kill


def namespace(cached: dict[str, t.Any]) -> str:
    """The network namespace of a sandbox; older versions of libcni only keep it in the result."""
    inside = [one["sandbox"] for one in cached["result"].get("interfaces", []) if one.get("sandbox")]
    return str(cached.get("netns") or next(iter(inside), ""))


def ipv4_ports(cached: dict[str, t.Any]) -> list[str]:
    """The hostPorts of a sandbox that have rules. containerd writes the names of Go's fields."""
    found = [
        {key.lower(): value for key, value in one.items()}
        for one in (cached.get("capabilityArgs") or {}).get("portMappings") or []
    ]
    return [str(one["hostport"]) for one in found if ":" not in (one.get("hostip") or "")]


def forwarded(settings: Settings) -> t.Iterator[dict[str, t.Any]]:
    """What containerd remembers of running sandboxes with hostPorts (libcni, type cachedInfo)."""
    for name in sorted(os.listdir(settings.results)) if os.path.isdir(settings.results) else []:
        try:
            cached = json.loads(read(os.path.join(settings.results, name)))
        except ValueError:
            continue  # libcni is writing it, or could not before a power failure
        ports = ipv4_ports(cached)
        if ports and cached.get("networkName") == NETWORK and os.path.exists(namespace(cached)):
            yield cached


def forward(settings: Settings, cached: dict[str, t.Any]) -> None:
    """Let plugin portmap add its rules for a sandbox, as containerd does. It leaves existing rules as they are."""
    network = json.loads(base64.b64decode(cached["config"]))
    (plugin,) = [one for one in network["plugins"] if one["type"] == "portmap"]
    runtime = {"portMappings": cached["capabilityArgs"]["portMappings"]}
    common = {"name": network["name"], "cniVersion": network["cniVersion"]}
    environment = {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": cached["containerId"],
        "CNI_NETNS": namespace(cached),
        "CNI_IFNAME": cached["ifName"],
        "CNI_PATH": settings.plugins,
    }
    subprocess.run(
        [os.path.join(settings.plugins, "portmap")],
        input=json.dumps({**plugin, **common, "runtimeConfig": runtime, "prevResult": cached["result"]}),
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        text=True,
        check=True,
    )


def port_steps(settings: Settings, dummy: Lease) -> Steps:
    """Whoever flushes the packet filters, such as nftables.service, also removes the rules of hostPorts, which containerd writes only once.

    The plugin's own CHECK cannot be used: up to version 1.1, it also demands rules for IPv6."""
    sandboxes = [*forwarded(settings)]
    # Both backends of the plugin put the ID of the sandbox into the rules' comments.
    rules = output("iptables", "-w", "-t", "nat", "-S", "CNI-HOSTPORT-DNAT") if sandboxes else ""
    rules += output("nft", "list", "table", "ip", "cni_hostport") if sandboxes else ""
    lost = [cached for cached in sandboxes if cached["containerId"] not in rules]
    alive = running() if lost else set()
    for cached in lost:
        # One that ends has no rules any more, and must not get new ones.
        if cached["containerId"] in alive:
            ports = ", ".join(ipv4_ports(cached))
            yield f"the rules of hostPort {ports} are gone", functools.partial(forward, settings, cached)


def main(arguments: list[str]) -> None:
    settings = Settings(**json.loads(read(f"{os.path.abspath(__file__)}.json")))
    found = lease(read(settings.subnet_file))
    if found is None:
        # plainkube-cni.path starts this program again once there is a lease.
        print(f"flannel has no subnet for this host yet ({settings.subnet_file})")
        return
    for steps in (configuration_steps, bridge_steps, sandbox_steps, port_steps):
        for difference, step in steps(settings, found):
            print(difference, flush=True)
            if arguments != ["check"]:
                step()


if __name__ == "__main__":
    main(sys.argv[1:])
