# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""What components maintain in the kernel, and what others remove: interfaces, routes, packet filters, settings.

Their processes write most of it once and never look at it again, so they are well when the host is not. A restart writes it again."""

from __future__ import annotations

import fcntl
import glob
import os
import re
import socket
import struct
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.health import _probe
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command, _files, _places
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _overlay
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _bridge, _docker, _docker_settings

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

# What a component maintains; the catalogue of role cluster says which component maintains what.
OPTIONS: dict[str, t.Any] = {
    "flannel": {
        "type": "dict",
        "options": {
            "subnet_file": {"type": "path", "default": _places.SUBNET_FILE},
            "tunnel": {"type": "bool", "default": True},
            "direct": {"type": "bool", "default": False},
            "leases": _overlay.OPTION,
        },
    },
    "services": {
        "type": "dict",
        "options": {
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "default": 443},
            "health_url": {"type": "str", "required": True},
            "config": {"type": "path", "default": _places.KUBE_PROXY_YAML},
        },
    },
    "docker": {"type": "bool", "default": False},
    "cni": {"type": "bool", "default": False},
}
# The seconds after its start in which a component may not have written everything yet. Docker only counts as started once it has.
SETTLED = {"flannel": 10, "services": 10, "docker": 0, "cni": 10}
SYSCTL_FILES = "/etc/sysctl.d"
OWN_SYSCTL_FILES = f"{SYSCTL_FILES}/zz-plainkube*.conf"
# In systemd's order of precedence, the last one wins (sysctl.d(5)); procps also reads the last one.
_SYSCTL_DIRECTORIES = ("/usr/lib/sysctl.d", "/usr/local/lib/sysctl.d", "/run/sysctl.d", SYSCTL_FILES)
_SIOCGIFADDR = 0x8915


# Kernel settings


def _path(setting: str) -> str:
    return f"/proc/sys/{setting.replace('.', '/')}"


def parse_sysctls(text: str) -> dict[str, str]:
    """The settings in a file of sysctl.d, without those that may fail (with a dash)."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and line[0] not in "#;-" and "=" in line)
    return {name.strip(): value.strip() for name, dummy, value in pairs}


def _culprit(setting: str, value: str, ours: str) -> str:
    """The file that sets a kernel setting to this value at boot, or when an administrator loads all; empty if there is none."""
    found = {os.path.basename(path): path for one in _SYSCTL_DIRECTORIES for path in glob.glob(f"{one}/*.conf")}
    paths = [found[name] for name in sorted(found)] + ["/etc/sysctl.conf"]
    guilty = [
        path
        for path in paths
        if os.path.realpath(path) != os.path.realpath(ours)
        and parse_sysctls(_files.read(path) or "").get(setting) == value
    ]
    return guilty[-1] if guilty else ""


def sysctl_faults(path: str, text: str) -> list[str]:
    """The settings of a sysctl file that the kernel does not have. A setting without a value in the kernel belongs to a module that is not loaded."""
    faults = []
    for setting, wanted in parse_sysctls(text).items():
        live = (_files.read(_path(setting)) or "").strip()
        if live != wanted:
            culprit = _culprit(setting, live, path)
            faults.append(
                f"{setting} is {live or 'not in the kernel'}, not {wanted}{f' (see {culprit})' if culprit else ''}"
            )
    return faults


# flannel


def _interface_address(name: str) -> str:
    """The first IPv4 address of an interface; empty if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            answer = fcntl.ioctl(asked.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
        except OSError:
            return ""
    return socket.inet_ntoa(answer[20:24])


def device() -> _overlay.Device | None:
    directory = f"/sys/class/net/{_overlay.DEVICE}"
    if not os.path.isdir(directory):
        return None
    mac, mtu, flags = ((_files.read(f"{directory}/{name}") or "0").strip() for name in ("address", "mtu", "flags"))
    return _overlay.Device(_interface_address(_overlay.DEVICE), mac, int(mtu), bool(int(flags, 16) & _overlay.UP))


def subnet(path: str) -> tuple[_bridge.Subnet, str] | None:
    """flannel's subnet of this host, and the pod network; None if there is none yet."""
    text = _files.read(path)
    try:
        found = _bridge.parse_subnet(text, path)
    except ValueError:
        return None
    return found, _docker.environment(text or "").get("FLANNEL_NETWORK") or found.network


def overlay_paths(module: AnsibleModule, network: str) -> dict[str, str]:
    """Where the kernel sends packets for the pods of other hosts (_overlay.paths)."""
    routes = _overlay.parse_routes(_files.read("/proc/net/route") or "")
    neighbors = _overlay.parse_neighbors(_files.read("/proc/net/arp") or "")
    tunnels = any(device == _overlay.DEVICE for device, dummy in routes.values())
    forwarding = _command.output(module, "bridge", "-json", "fdb", "show", "dev", _overlay.DEVICE) if tunnels else ""
    return _overlay.paths(network, routes, neighbors, _overlay.parse_forwarding(forwarding))


def public_address(flanneld: int) -> str:
    """The address with which flanneld registers its host, from its command line; empty if it does not run."""
    arguments = (_files.read(f"/proc/{flanneld}/cmdline") or "").split("\0")
    found = [one.partition("=")[2] for one in arguments if re.match(r"--?public-ip=", one)]
    return found[-1] if found else ""


def _flannel_faults(module: AnsibleModule, wanted: dict[str, t.Any], pid: int) -> list[str]:
    leased = subnet(wanted["subnet_file"])
    if leased is None:
        return []  # flanneld still waits for its lease, which its own health shows
    found, network = leased
    there = device() if wanted["tunnel"] else None
    wrong = _overlay.device_fault(there, found.network, found.mtu) if wanted["tunnel"] else ""
    faults = [wrong] if wrong else []
    leases = [_overlay.Lease(**lease) for lease in wanted["leases"]]
    if not wrong:
        known = overlay_paths(module, network)
        mac = there.mac if there else ""
        faults += _overlay.lease_faults(
            public_address(pid), found.network, mac, known, leases, wanted["direct"] or not wanted["tunnel"]
        )
    return faults


def prepare(module: AnsibleModule, kernel: t.Mapping[str, t.Any] | None) -> None:
    """Before a restart: flanneld takes an existing interface with another MTU as it is (0.28, pkg/backend/vxlan/device.go)."""
    leased = subnet(kernel["flannel"]["subnet_file"]) if kernel and kernel["flannel"] else None
    there = device()
    if leased and there and kernel and kernel["flannel"]["tunnel"] and there.mtu != leased[0].mtu:
        _command.run(module, ["ip", "link", "set", "dev", _overlay.DEVICE, "mtu", str(leased[0].mtu)], check_rc=True)


# kube-proxy and Docker


def _service_fault(module: AnsibleModule, wanted: dict[str, t.Any]) -> list[str]:
    """Whether kube-proxy's rules for the Service of the API are in the kernel. Others remove all rules at once, such as nftables.service."""
    address, port = wanted["address"], wanted["port"]
    # For 30 s, it may wait for a Node that does not exist. It is its component's problem if it is not healthy.
    if not _probe.get(wanted["health_url"]).ok:
        return []
    mode = next(iter(re.findall(r'^mode: "?(\w+)', _files.read(wanted["config"]) or "", re.MULTILINE)), "")
    if mode == "nftables":
        element = f"{{ {address} . tcp . {port} }}"
        code, dummy, err = _command.run(module, ["nft", "get", "element", "ip", "kube-proxy", "service-ips", element])
        gone = code != 0 and bool(re.search(r"No such file or directory|does not exist", err))
    elif mode == "iptables":
        code, rules, err = _command.run(module, ["iptables", "-w", "-t", "nat", "-S", "KUBE-SERVICES"])
        gone = f"-d {address}/32 " not in rules if code == 0 else bool(re.search(r"No chain|does not exist", err))
    else:
        return []
    # If they cannot be read, a restart would not help.
    return [f"its {mode} rules for {address}:{port}, the API's Service, are gone"] if gone else []


def _writes_rules() -> bool:
    """Whether Docker writes rules at all. Only where it does not run the pods, the operator may turn that off."""
    try:
        setting = _docker_settings.read().settings({}, {}).get("iptables")
    except ValueError:
        return True  # Docker was started with other settings
    return setting is None or setting.holds


def docker_faults(module: AnsibleModule) -> list[str]:
    """Docker's rules for published ports, which include the pods' hostPorts. Docker only writes them when it starts."""
    code, rules, dummy = _command.run(module, ["iptables", "-w", "-t", "nat", "-S", "PREROUTING"])
    if code != 0 or "-j DOCKER" in rules or not _writes_rules():
        return []
    return ["its iptables rules are gone, so hostPorts do not work"]


def cni_faults(module: AnsibleModule) -> list[str]:
    """The differences of containerd's pod network from flannel's subnet, in the words of the program that removes them."""
    if not os.path.exists(_places.CNI_PROGRAM):
        return [f"{_places.CNI_PROGRAM} does not exist yet"]
    code, out, err = _command.run(module, [_places.CNI_PROGRAM, "check"])
    if code != 0:
        raise _command.Failed(f"`{_places.CNI_PROGRAM} check` failed: {(err or out).strip()[-500:]}")
    return out.splitlines()


def faults(module: AnsibleModule, kernel: t.Mapping[str, t.Any] | None, pid: int) -> list[str]:
    """What a component should have in the kernel and has not, as text about it; `kernel` has OPTIONS, and `pid` is its process."""
    seconds = age(pid)
    wanted = {name: value for name, value in (kernel or {}).items() if value and seconds >= SETTLED[name]}
    found = _flannel_faults(module, wanted["flannel"], pid) if "flannel" in wanted else []
    found += _service_fault(module, wanted["services"]) if "services" in wanted else []
    found += docker_faults(module) if "docker" in wanted else []
    if "cni" in wanted:
        try:
            found += cni_faults(module)
        except _command.Failed as error:
            found.append(str(error))
    return found


def age(pid: int) -> float:
    """Seconds since the start of a process; 0 if it has ended."""
    try:
        ticks = int((_files.read(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()[19])
        uptime = float((_files.read("/proc/uptime") or "").split()[0])
    except (OSError, IndexError, ValueError):
        return 0.0
    return max(0.0, uptime - ticks / os.sysconf("SC_CLK_TCK"))
