# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module host_facts."""

from __future__ import annotations

import glob
import os
import shutil
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.etcd import _leases, _member
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _sockets, _status
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command, _files, _host, _places, _state
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _pki
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _addresses, _nft, _resolver
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _run
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _docker, _docker_settings, _runtime
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _unit_files

_DOCKER_PID = "/run/docker.pid"
_VERSIONED = ("kube-apiserver", "kubelet", "etcd")
_NETWORK_MANAGER = "/etc/NetworkManager"
_UFW = "/etc/ufw/ufw.conf"
# The link that starts it at boot, and its cgroup while it runs, of version 2 or 1.
_FIREWALLD = (
    f"{_places.UNITS}/multi-user.target.wants/firewalld.service",
    "/sys/fs/cgroup/system.slice/firewalld.service",
    "/sys/fs/cgroup/systemd/system.slice/firewalld.service",
)


def docker_runs() -> bool:
    """A request would start a stopped Docker."""
    pid = (_files.read(_DOCKER_PID) or "").strip()
    return pid.isdigit() and "docker" in _sockets.name(int(pid))


def docker_networks(module: AnsibleModule) -> list[dict[str, t.Any]]:
    if not docker_runs():
        return []
    # Imported here, because HTTP and TLS take 30 ms to load.
    from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _docker_api

    try:
        return _docker_api.call("GET", "/networks", timeout=2)
    except OSError as error:
        module.warn(f"Docker does not respond ({error}): its networks are known only from their interfaces.")
        return []


def docker_settings(module: AnsibleModule) -> tuple[dict[str, _docker.Setting], list[str]]:
    """Docker's settings, and why pods would not work with them, as far as the caller needs Docker."""
    wanted = module.params["docker"]
    options = wanted["options"] if wanted else {}
    try:
        # What an earlier run has added changes with the options.
        recorded = _docker.recorded(_state.read()).settings if wanted else {}
        settings = _docker_settings.read().settings(recorded, options)
    except PermissionError:  # this is not root
        return {}, []
    except ValueError as error:
        return {}, [str(error)] if wanted else []
    return settings, _docker_settings.problems(settings, options, wanted["runs_pods"]) if wanted else []


def networks(module: AnsibleModule, addresses: str, docker: dict[str, _docker.Setting]) -> list[dict[str, t.Any]]:
    found = _host.host_networks(_host.interface_networks(addresses), docker_networks(module))
    return found + [{"name": name, "network": network} for name, network in _docker.pools(docker)]


def runtime_changes(module: AnsibleModule) -> bool:
    try:
        return _state.RUNTIME_CHANGE in _state.parse(_files.readable(_state.PATH))
    except ValueError as error:
        return module.fail_json(msg=f"{error}.")


def free_mb(directory: str) -> int:
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return shutil.disk_usage(directory).free >> 20


def containerd_version(module: AnsibleModule, program: str) -> str:
    """The version in the path of upstream's containerd, or in the output of a package's: `containerd github.com/containerd/containerd 1.7.24~ds1 …`."""
    version = _status.version_of(os.path.realpath(program), os.path.realpath(_places.RELEASES))
    return version or ".".join(map(str, _host.parse_version(_command.output(module, program, "--version"))))


def installed() -> bool:
    """Whether anything is installed; staged files, in directories that begin with a dot, do not count."""
    try:
        return any(not name.startswith(".") for name in os.listdir(_places.RELEASES))
    except FileNotFoundError:
        return False


def installed_versions() -> dict[str, str]:
    """The installed versions, by name of the program."""
    releases = os.path.realpath(_places.RELEASES)
    found = {
        name: _status.version_of(os.path.realpath(os.path.join(_places.BINARIES, name)), releases)
        for name in _VERSIONED
    }
    return {name: version for name, version in found.items() if version}


def of_all(module: AnsibleModule, what: str) -> list[t.Any]:
    """The ports or directories of all components."""
    return [one for component in module.params["components"] for one in component[what]]


def udp_ports(module: AnsibleModule) -> list[int]:
    """The UDP ports to check; none if flannel's interface exists, which uses them."""
    return [] if os.path.exists("/sys/class/net/flannel.1") else of_all(module, "udp_ports")


def etcd_state() -> str:
    has_data = bool(glob.glob(os.path.join(_places.ETCD_DATA, _member.WAL)))
    return _member.state_of(has_data, _files.read(_places.ETCD_FIRST_START), _unit_files.has_unit("etcd"))


def leftovers(module: AnsibleModule, interfaces: t.Iterable[str]) -> list[str]:
    """What another cluster has left on a host that has nothing of ours: interfaces, and rules of packet filters."""
    if installed() or not module.params["components"]:
        return []
    # A host may have iptables without nft.
    chains = _command.output(module, "nft", "list", "chains") or _command.output(module, "iptables-save")
    if _files.readable("/proc/net/ip_tables_names"):
        chains += _command.output(module, "iptables-legacy-save")
    return [*_host.of_kubernetes(interfaces), *_host.rules_of_kubernetes(chains)]


def firewalls() -> list[str]:
    """The host's firewall managers that are enabled, or run."""
    ufw = "ENABLED=yes" in _files.readable(_UFW).splitlines()
    firewalld = any(map(os.path.lexists, _FIREWALLD))
    return [name for name, found in (("ufw", ufw), ("firewalld", firewalld)) if found]


def names(directory: str) -> list[str]:
    return os.listdir(directory) if os.path.isdir(directory) else []


def inspect(module: AnsibleModule) -> dict:
    release = _host.parse_os_release(_files.read("/etc/os-release") or "")
    kernel = os.uname()
    addresses = _command.output(module, "ip", "-json", "-4", "address", "show")
    runtime = _runtime.of_kubelet(_files.readable(_places.KUBELET_YAML))
    interfaces = sorted(name for name in os.listdir("/sys/class/net") if not name.startswith("veth"))
    services = [component["name"] for component in module.params["components"] if component["own_unit"]]
    docker, docker_problems = docker_settings(module)
    docker_root = _docker_settings.data_root(docker)
    directories = [docker_root if path == _docker.DATA_ROOT else path for path in module.params["directories"]]
    unit = _files.readable(f"{_places.UNITS}/containerd.service") if runtime == _runtime.CONTAINERD else ""
    runs, packaged = _runtime.containerd_of(unit), _places.PACKAGED_CONTAINERD if module.params["containerd"] else ""
    versions = {program: containerd_version(module, program) for program in {runs, packaged} - {""}}
    return {
        "addresses": _host.interface_addresses(addresses),
        "architecture": _host.ARCHITECTURES.get(kernel.machine, kernel.machine),
        "bounded": not _host.has_capability(_files.readable("/proc/1/status"), _host.CAP_SYS_RESOURCE),
        "cgroup_version": 2 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 1,
        "cni_before": _host.earlier(names(_places.CNI_DIRECTORY), os.path.basename(_places.CNI_CONFLIST)),
        "containerd": versions.get(packaged, ""),
        "containerd_files": {
            path: _runtime.config_version(_files.readable(path)) for path in glob.glob("/etc/containerd/conf.d/*.toml")
        },
        "crictl": module.get_bin_path("crictl") is not None,
        "distribution": release.get("ID", ""),
        "distribution_version": release.get("VERSION_ID", ""),
        # A path that no unit can contain is a problem, which preflight reports.
        "docker_root": docker_root if _docker.is_plain_path(docker_root) else _docker.DATA_ROOT,
        "docker_problems": docker_problems,
        "etcd_state": etcd_state(),
        "firewall": os.path.exists(_nft.UNIT_PATH),
        "firewalls": firewalls(),
        "foreign_listeners": _sockets.foreign_listeners(
            of_all(module, "ports"), os.path.realpath(_places.RELEASES), udp_ports(module)
        ),
        "foreign_units": {name: path for name in services for path in [_unit_files.foreign(name)] if path},
        "free_mb": {path: free_mb(path) for path in directories},
        "hostname": kernel.nodename,
        "installed": installed(),
        "installed_versions": installed_versions(),
        "interfaces": interfaces,
        "kernel": kernel.release,
        "leftovers": leftovers(module, interfaces),
        "linked": {path: os.path.realpath(path) for path in of_all(module, "directories") if os.path.islink(path)},
        "leases": _leases.of_this_host(module),
        "machine_id": (_files.read("/etc/machine-id") or "").strip(),
        "memory_mb": _host.parse_memory_mb(_files.read("/proc/meminfo") or ""),
        "name_servers": _resolver.name_servers(_resolver.path()),
        "networkmanager": os.path.isdir(_NETWORK_MANAGER),
        "networks": networks(module, addresses, docker),
        "nftables": _host.nftables_usable(kernel.release, _command.output(module, "nft", "--version")),
        "pki": _pki.inspect(_pki.DIRECTORY, _pki.FILES),
        "pod_bridge": _runtime.pod_bridge(runtime, _files.readable(_places.CNI_CONFLIST)),
        "replaced_commands": _unit_files.replaced_commands(services),
        "resolv_conf": _resolver.path(),
        "runtime": runtime,
        "runtime_change": runtime_changes(module),
        "runtime_version": versions.get(runs, ""),
        "services": sorted(
            os.path.basename(path)[: -len(".service")] for path in glob.glob(f"{_places.UNITS}/plainkube-*.service")
        ),
        "settled": _host.settled(
            _files.readable(f"{_places.UNITS}/kube-apiserver.service"),
            _files.readable(_places.SUBNET_FILE),
            _files.readable(_places.KUBELET_YAML),
        ),
        "swap": _host.swaps(_files.read("/proc/swaps") or ""),
        "systemd": os.path.isdir("/run/systemd/system"),
        "unresolved": [name for name in module.params["resolve"] if not _addresses.resolved(name)],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "components": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "ports": {"type": "list", "elements": "int", "default": []},
                    "udp_ports": {"type": "list", "elements": "int", "default": []},
                    "directories": {"type": "list", "elements": "path", "default": []},
                    "own_unit": {"type": "bool", "default": True},
                },
            },
            "directories": {"type": "list", "elements": "path", "default": []},
            "containerd": {"type": "bool", "default": False},
            "docker": {
                "type": "dict",
                "options": {
                    "options": {"type": "dict", "default": {}},
                    "runs_pods": {"type": "bool", "default": True},
                },
            },
            "resolve": {"type": "list", "elements": "str", "default": []},
            # Used by the action plugin.
            "address": {"type": "str"},
            "needs": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    _run.begin(module)
    facts = inspect(module)
    # The action plugin of this name, which knows the control node's clock, computes clock_offset from `time`.
    module.exit_json(changed=False, found=facts, time=time.time())
