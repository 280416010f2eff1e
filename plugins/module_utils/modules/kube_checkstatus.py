# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module kube_checkstatus."""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime
import glob
import os
import re
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.plainkube.cluster.plugins.module_utils.artifacts import _artifacts
from ansible_collections.plainkube.cluster.plugins.module_utils.etcd import _etcdctl, _leases
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _kernel, _probe, _reach, _status
from ansible_collections.plainkube.cluster.plugins.module_utils.health._sockets import listeners, program, socket_inodes
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command, _files, _places
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _pki
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _api
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _nft, _overlay, _resolver
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _run
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import (
    _bridge,
    _docker,
    _docker_api,
    _docker_settings,
    _images,
    _runtime,
)
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _stamp, _systemd

# Between two inspections, in seconds.
INTERVAL = 0.5
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class Inspection(t.NamedTuple):
    """The findings of one inspection of the host."""

    components: list[dict]
    etcd: dict | None
    node: dict | None
    deployments: list[dict] | None
    network: dict | None
    problems: list[_status.Problem]
    unsettled: bool  # whether flannel may still write routes


# Processes


def outdated(state: dict, pid: int, stamped: str | None) -> str:
    """Why the process is not what its unit and files on disk would start; `stamped` is the file with the stamp."""
    binary = _status.program_of(state.get("ExecStart", ""))
    # If a unit starts its program through a shell, it does not show which file runs.
    same_name = os.path.basename(binary) == os.path.basename(program(pid).partition(" (deleted)")[0])
    return _stamp.mismatch(_files.read(stamped or state["FragmentPath"]) or "", pid, binary if same_name else "")


# Components


def health(component: dict) -> dict:
    answer = _probe.get(component["health_url"], component["health_ca"])
    return {
        "url": component["health_url"],
        "status": answer.status,
        "ok": answer.ok,
        "text": _probe.message(answer.text),
    }


def version(module: AnsibleModule, component: dict, pid: int) -> str:
    if not component["version_command"]:
        return _status.version_of(program(pid), os.path.realpath(_places.RELEASES))
    try:
        code, out, dummy = _command.run(module, component["version_command"], handle_exceptions=False)
    except OSError:
        return ""
    return _status.find_version(out) if code == 0 else ""


def inspect_component(module: AnsibleModule, component: dict, state: dict, sockets: list[_status.Listener]) -> dict:
    """The state of one component."""
    active, pid = state.get("ActiveState", ""), int(state.get("MainPID") or 0)
    up = active == "active" and pid > 0
    since = _status.parse_timestamp(state.get("ActiveEnterTimestamp" if up else "InactiveEnterTimestamp", ""))
    inodes = socket_inodes(pid) if up else set()
    stale = outdated(state, pid, component["stamped"]) if up else ""
    if not stale and state.get("NeedDaemonReload") == "yes":
        stale = "its unit was changed on disk, and systemd has not loaded it"
    return {
        "name": component["name"],
        "load": state.get("LoadState", ""),
        "active": active,
        "sub": state.get("SubState", ""),
        "result": state.get("Result", ""),
        "enabled": state.get("UnitFileState", ""),
        "pid": pid,
        "since": _status.iso_time(since) if since else "",
        "seconds": max(0, int(time.time()) - since) if since else 0,
        "restarts": int(state.get("NRestarts") or 0),
        "invocation": state.get("InvocationID", ""),
        "listening": sorted({str(listener) for listener in sockets if listener.inode in inodes}),
        "health": health(component) if up and component["health_url"] else {},
        "version": version(module, component, pid) if up else "",
        "version_wanted": component["version"] or "",
        "kernel": _kernel.faults(module, component["kernel"], pid) if up else [],
        "outdated": stale,
    }


# etcd and the Node


def foreign(etcdctl: _etcdctl.Etcdctl, kind: str, expected: list[str]) -> dict[str, list[str]]:
    """Unexpected users or roles, and the roles of each such user."""
    if not expected:
        return {}
    names = [name for name in etcdctl.call(kind, "list").get(f"{kind}s") or [] if name not in expected]
    return {name: (etcdctl.call(kind, "get", name).get("roles") or []) if kind == "user" else [] for name in names}


def inspect_etcd(module: AnsibleModule) -> dict:
    params = module.params["etcd"]
    etcd = {"endpoints": params["endpoints"], "members": [], "leader": "", "alarms": [], "error": "", "expected": []}
    etcd.update(foreign_users={}, foreign_roles=[], leases=[])
    etcdctl = _etcdctl.Etcdctl(module, {**params, "wait": 0})
    etcdctl.environment.update(_etcdctl.SHORT_TIMEOUTS)
    try:
        with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
            leases = pool.submit(_leases.read, etcdctl)
            listed = pool.submit(etcdctl.call, "member", "list")
            strange = {kind: pool.submit(foreign, etcdctl, kind, params[f"{kind}s"]) for kind in ("user", "role")}
            answers = etcdctl.call("endpoint", "status")
        members = _status.etcd_members(listed.result(), answers)
        foreign_users, foreign_roles = strange["user"].result(), [*strange["role"].result()]
        leased = leases.result()
    except _etcdctl.EtcdError as error:
        return {**etcd, "error": str(error)}
    leader = next((member["name"] for member in members if member["leader"]), "")
    found = {"members": members, "leader": leader, "alarms": _status.etcd_alarms(members)}
    found.update(foreign_users=foreign_users, foreign_roles=foreign_roles, leases=leased)
    return {**etcd, **found, "expected": params["members"]}


def ask_api(kubeconfig: str, path: str, missing: str) -> tuple[dict, str]:
    """The object at a path of the API, and why it could not be read (empty if it could; `missing` if it does not exist)."""
    try:
        found = _api.connect(kubeconfig, timeout=2).read(path)
    except _api.ApiError as error:
        return {}, str(error)
    return ({}, missing) if found is None else (found, "")


def inspect_node(module: AnsibleModule) -> dict:
    name = module.params["node"]["name"]
    missing = "the API server does not have the node; read `journalctl --unit kubelet`"
    state = _status.node_state(name, *ask_api(module.params["node"]["kubeconfig"], _api.node(name), missing))
    return {**state, "disks": inspect_disks(module.params["node"]["directories"])}


def _moved(directory: str) -> str:
    """Where the data of a directory is: Docker's can be anywhere."""
    if directory != _docker.DATA_ROOT:
        return directory
    try:
        return _docker_settings.data_root(_docker_settings.read().settings({}, {}))
    except ValueError:
        return directory


def inspect_disks(directories: list[str]) -> list[dict]:
    """The file systems with these directories, each once: its first directory, and how much of its space and inodes is free."""
    found: dict[int, dict] = {}
    for path in map(_moved, directories):
        with contextlib.suppress(OSError):
            there, counts = os.stat(path), os.statvfs(path)
            space = 100 * counts.f_bavail // max(1, counts.f_blocks)
            inodes = 100 * counts.f_favail // counts.f_files if counts.f_files else 100
            found.setdefault(there.st_dev, {"path": path, "space": space, "inodes": inodes})
    return list(found.values())


def inspect_resolver(module: AnsibleModule) -> list[_status.Problem]:
    fault = _resolver.fault(_files.read(_places.KUBELET_YAML) or "") if module.params["node"]["resolver"] else ""
    return [_status.Problem(fault)] if fault else []


def has_image(module: AnsibleModule, runtime: str, image: str) -> bool:
    """Whether the container runtime has an image; raises OSError if it does not respond."""
    if runtime == _runtime.DOCKER:
        try:
            _docker_api.call("GET", f"/images/{image}/json", timeout=2)
        except _docker_api.RefusedError as refused:
            if refused.status == 404:
                return False
            raise
        return True
    commands = _images.RUNTIMES[runtime]
    code, out, err = _command.run(module, commands.listing([image]), handle_exceptions=False)
    if code != 0:
        raise OSError(err)
    return commands.listed(image) in out.split()


def inspect_pause(module: AnsibleModule) -> list[_status.Problem]:
    """A pause image that is gone, such as after a manual cleanup: every new pod needs it."""
    image = module.params["node"]["pause_image"]
    try:
        if not image or has_image(module, module.params["node"]["runtime"], image):
            return []
    except OSError:
        return []  # a runtime that does not respond is its component's problem
    text = f"the image {image} is not on this host, and every new pod needs it; run plainkube.cluster.site"
    return [_status.Problem(text)]


def inspect_bridge(module: AnsibleModule) -> list[_status.Problem]:
    """The problem with the pods' bridge. If a lease is lost while Docker runs, docker0 stays on a subnet that now belongs to another host."""
    path = module.params["subnet_file"]
    if not path:
        return []
    dummy, out, _err = _command.run(module, ["ip", "-json", "-4", "address", "show"])
    name = module.params["bridge"]
    address, mtu = _bridge.parse_addresses(out).get(name, ("", 0))
    return _status.bridge_problems(name, address, mtu, _files.read(path))


def inspect_network(module: AnsibleModule, flanneld: int) -> dict:
    """What this host, whose flanneld has this process ID, knows of flannel's other hosts, which of them are silent, and whether it reaches Services."""
    wanted = module.params["network"]
    services = {
        "api_error": _reach.connect(wanted["api"], wanted["api_port"]),
        "dns_error": _reach.resolve(wanted["dns"], f"kubernetes.default.svc.{wanted['domain']}")
        if wanted["dns"]
        else "",
    }
    leased = _kernel.subnet(_places.SUBNET_FILE)
    if leased is None:
        return {**services, "address": "", "subnet": "", "mac": "", "paths": {}, "silent": []}
    found, network = leased
    device = _kernel.device()
    paths = _kernel.overlay_paths(module, network)
    # Each host has the first address of its subnet on flannel's interface.
    targets = {_overlay.first(subnet): subnet for subnet in (_overlay.sample(found.network, paths) if device else [])}
    return {
        **services,
        "address": _kernel.public_address(flanneld),
        "subnet": found.network,
        "mac": device.mac if device else "",
        "paths": paths,
        "silent": [targets[address] for address in _reach.silent([*targets])] if os.geteuid() == 0 else [],
    }


def unsettled(network: dict, leases: list[dict]) -> list[str]:
    """The leases of other hosts to which this host has no route yet. What remains of them is a problem only once all hosts are compared."""
    if not network["address"] or not network["subnet"]:
        return []  # flanneld does not run, or has no lease, which its component says
    found = [_overlay.Lease(**lease) for lease in leases]
    return _overlay.path_faults(network["address"], network["subnet"], network["paths"], found, direct=True)


def inspect_sysctls() -> list[_status.Problem]:
    """The kernel settings that this collection wrote to files, and that the kernel does not have."""
    faults = [
        fault
        for path in sorted(glob.glob(_kernel.OWN_SYSCTL_FILES))
        for fault in _kernel.sysctl_faults(path, _files.read(path) or "")
    ]
    return [_status.Problem(f"{fault} on this host; run plainkube.cluster.site") for fault in faults]


def inspect_firewall(module: AnsibleModule) -> list[_status.Problem]:
    why = _nft.drift(module) if module.params["firewall"] else ""
    return [_status.Problem(f"the firewall of this host {why}; run plainkube.cluster.site")] if why else []


def inspect_deployment(module: AnsibleModule, name: str) -> dict:
    namespace, dummy, short = name.partition("/")
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{short}"
    missing = "the API server does not have the deployment; run plainkube.cluster.site"
    return _status.deployment_state(name, *ask_api(module.params["workloads"]["kubeconfig"], path, missing))


# Certificates


def certificate_paths(paths: list[str]) -> list[str]:
    found = []
    for path in paths:
        if glob.has_magic(path):
            found += sorted(glob.glob(path))
        else:
            found += sorted(glob.glob(f"{path}/**/*.crt", recursive=True)) if os.path.isdir(path) else [path]
    return found


def inspect_certificates_of(path: str, x509: t.Any, now: datetime.datetime) -> list[dict]:
    """All certificates in a file, such as two CAs during a rotation, or a server's chain."""
    unknown = {"path": path, "subject": "", "issuer": "", "not_after": "", "days_left": 0, "error": ""}
    try:
        with open(path, "rb") as stream:
            texts = _CERTIFICATE.findall(stream.read())
        if not texts:
            raise ValueError("it contains no certificate")
        return [inspect_certificate(unknown, x509.load_pem_x509_certificate(text), x509, now) for text in texts]
    except (OSError, ValueError) as error:
        return [{**unknown, "error": getattr(error, "strerror", None) or str(error)}]


def inspect_certificate(certificate: dict, parsed: t.Any, x509: t.Any, now: datetime.datetime) -> dict:
    # cryptography 42 introduced not_valid_after_utc; Debian 12 has 38.
    end = getattr(parsed, "not_valid_after_utc", None) or parsed.not_valid_after.replace(tzinfo=datetime.timezone.utc)
    return {
        **certificate,
        "subject": common_name(parsed.subject, x509),
        "issuer": common_name(parsed.issuer, x509),
        "not_after": _status.iso_time(end.timestamp()),
        "days_left": (end - now).days,
    }


def common_name(name: t.Any, x509: t.Any) -> str:
    names = name.get_attributes_for_oid(x509.oid.NameOID.COMMON_NAME)
    return str(names[0].value) if names else name.rfc4514_string()


def inspect_certificates(module: AnsibleModule) -> list[dict]:
    paths = certificate_paths(module.params["certificates"])
    if not paths:
        return []
    try:
        from cryptography import x509
    except ImportError:
        module.fail_json(
            msg=missing_required_lib("cryptography (Debian: python3-cryptography)", reason="to read certificates")
        )
    now = datetime.datetime.now(datetime.timezone.utc)
    return [one for path in paths for one in inspect_certificates_of(path, x509, now)]


def installed_artifacts(root: str) -> list[dict]:
    """The entries of all manifests of role artifacts."""
    paths = sorted(
        glob.glob(os.path.join(root, "*", _artifacts.MANIFEST))
        + glob.glob(os.path.join(root, "*", "*", _artifacts.MANIFEST))
    )
    return [one for path in paths for one in _artifacts.provenance(path, _files.read(path) or "")]


# All together


def inspect(module: AnsibleModule) -> Inspection:
    """One inspection of everything that may change during the wait. Requests and commands run in parallel."""
    params = module.params
    wanted = params["components"]
    states = (
        _systemd.show_all(module, [f"{one['name']}.service" for one in wanted], *_status.PROPERTIES) if wanted else []
    )
    sockets = listeners()
    running = {one["name"] for one, state in zip(wanted, states) if state.get("ActiveState") == "active"}
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(wanted) + 4) as pool:
        asked = [pool.submit(inspect_component, module, one, state, sockets) for one, state in zip(wanted, states)]
        etcd = pool.submit(inspect_etcd, module) if params["etcd"] else None
        node = pool.submit(inspect_node, module) if params["node"] else None
        # A request would start a stopped Docker.
        pause = pool.submit(inspect_pause, module) if node and params["node"]["runtime"] in running else None
        flanneld = next(
            (int(state.get("MainPID") or 0) for one, state in zip(wanted, states) if one["name"] == "flanneld"), 0
        )
        network = pool.submit(inspect_network, module, flanneld) if params["network"] else None
        names = params["workloads"]["deployments"] if params["workloads"] else []
        deployments = [pool.submit(inspect_deployment, module, name).result() for name in names]
    problems = []
    components = []
    for one, answer in zip(wanted, asked):
        component = answer.result()
        found = _status.component_problems(component, one["ports"], one["grace"])
        components.append({**component, "healthy": not found})
        problems += found
    if etcd:
        problems += _status.etcd_problems(etcd.result())
    if node:
        problems += _status.node_problems(node.result()) + inspect_resolver(module)
    if pause:
        problems += pause.result()
    problems += inspect_bridge(module) + inspect_sysctls()
    # Either of these is why Services do not respond.
    unreachable = (node and node.result()["error"]) or any(deployment["error"] for deployment in deployments)
    removed = any(component["kernel"] for component in components)
    if network and not unreachable and not removed:
        problems += _status.network_problems(params["network"], network.result())
    for deployment in deployments:
        problems += _status.deployment_problems(deployment)
    known = network.result() if network else None
    return Inspection(
        components,
        etcd.result() if etcd else None,
        node.result() if node else None,
        deployments or None,
        known,
        problems,
        bool(known and unsettled(known, params["network"]["leases"])),
    )


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
                    "health_url": {"type": "str"},
                    "health_ca": {"type": "path"},
                    "version": {"type": "str"},
                    "version_command": {"type": "list", "elements": "str"},
                    "stamped": {"type": "path"},
                    "grace": {"type": "int", "default": 0},
                    "kernel": {"type": "dict", "options": _kernel.OPTIONS},
                },
            },
            "certificates": {"type": "list", "elements": "path", "default": []},
            "certificate_warning_days": {"type": "int", "default": 30},
            "authorities": {"type": "path"},
            "etcd": {
                "type": "dict",
                "options": {
                    **{name: _etcdctl.OPTIONS[name] for name in ("endpoints", "ca", "cert", "key")},
                    "members": {"type": "list", "elements": "str", "default": []},
                    "users": {"type": "list", "elements": "str", "default": []},
                    "roles": {"type": "list", "elements": "str", "default": []},
                },
            },
            "node": {
                "type": "dict",
                "options": {
                    "name": {"type": "str", "required": True},
                    "kubeconfig": {"type": "path", "required": True},
                    "directories": {"type": "list", "elements": "path", "default": []},
                    "pause_image": {"type": "str", "default": ""},
                    "resolver": {"type": "bool", "default": False},
                    "runtime": {"type": "str", "choices": [*_images.RUNTIMES], "default": "docker"},
                },
            },
            "workloads": {
                "type": "dict",
                "options": {
                    "deployments": {"type": "list", "elements": "str", "required": True},
                    "kubeconfig": {"type": "path", "required": True},
                },
            },
            "network": {
                "type": "dict",
                "options": {
                    "api": {"type": "str", "required": True},
                    "api_port": {"type": "int", "default": 443},
                    "dns": {"type": "str", "default": ""},
                    "domain": {"type": "str", "default": "cluster.local"},
                    "leases": _overlay.OPTION,
                },
            },
            "artifacts": {"type": "path"},
            "subnet_file": {"type": "path"},
            "bridge": {"type": "str", "default": _places.DOCKER_BRIDGE},
            "firewall": {"type": "bool", "default": False},
            "release": {"type": "bool", "default": True},
            "wait": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    params = module.params
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        certificates_read = pool.submit(inspect_certificates, module)
        seen = poll(
            lambda: inspect(module),
            lambda seen: not seen.unsettled and not any(problem.passing for problem in seen.problems),
            params["wait"],
            INTERVAL,
        )
        waited = int(time.monotonic() - started)
    certificates = certificates_read.result()
    problems = list(seen.problems)
    for certificate in certificates:
        problems += _status.certificate_problems(certificate, params["certificate_warning_days"])
    problems += inspect_firewall(module)
    result = {"components": seen.components, "certificates": certificates, "etcd": seen.etcd, "node": seen.node}
    result.update(deployments=seen.deployments, network=seen.network)
    result["artifacts"] = installed_artifacts(params["artifacts"]) if params["artifacts"] else None
    result["pki"] = _pki.inspect(params["authorities"], _pki.FILES) if params["authorities"] else None
    if params["release"]:
        _run.end(module)
    else:
        _run.renew(module)
    module.exit_json(
        changed=False,
        healthy=not problems,
        problems=[problem.text for problem in problems],
        waited=waited,
        **{key: value for key, value in result.items() if value is not None},
    )
