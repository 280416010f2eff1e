# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The health of a host: interprets the output of systemd, /proc, etcd and the API, and describes the problems.

All functions are pure: kube_checkstatus inspects, these functions decide.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.health import _probe
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _bridge

# Properties of a unit in addition to _units.PROPERTIES.
PROPERTIES = ("ExecStart", "InactiveEnterTimestamp")

_VERSION = re.compile(r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?")
# The state of a listening socket, in the kernel's numbers (net/tcp_states.h): TCP_LISTEN, and TCP_CLOSE for UDP.
_WAITS = {"tcp": "0A", "udp": "07"}
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
# etcd becomes read-only when its database reaches the quota.
_QUOTA_SHARE = 0.8


class Problem(t.NamedTuple):
    """A sentence, and whether the problem may resolve itself."""

    text: str
    passing: bool = False


class Listener(t.NamedTuple):
    """A listening TCP socket, or a bound UDP socket."""

    address: str
    port: int
    inode: int
    protocol: str = "tcp"

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


def parse_address(text: str) -> str:
    """An address as /proc/net/tcp{,6} writes it: 32-bit words in the machine's order, which is little-endian."""
    words = [bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def parse_listeners(text: str, protocol: str = "tcp") -> list[Listener]:
    """The listening sockets in the text of /proc/net/{tcp,udp}{,6}, without connected ones."""
    rows = (line.split() for line in text.splitlines()[1:])
    return [
        Listener(parse_address(row[1].split(":")[0]), int(row[1].split(":")[1], 16), int(row[9]), protocol)
        for row in rows
        if len(row) > 9 and row[3] == _WAITS[protocol]
    ]


def version_of(program: str, releases: str = _places.RELEASES) -> str:
    """The version in the path of a program under /opt/plainkube, or where that leads; empty for any other."""
    found = re.match(rf"{re.escape(releases)}/[^/]+/([^/]+)/", program)
    return found.group(1).lstrip("v") if found else ""


def find_version(text: str) -> str:
    """The first version number in a command's output."""
    found = _VERSION.search(text)
    return found.group(0) if found else ""


def program_of(exec_start: str) -> str:
    """The path in systemd's ExecStart property, `{ path=/usr/local/bin/etcd ; argv[]=… }`."""
    found = re.search(r"\bpath=(\S+)", exec_start)
    return found.group(1) if found else ""


def parse_timestamp(text: str) -> int:
    """The seconds in a timestamp of `systemctl --timestamp=unix`; 0 for none."""
    return int(text[1:]) if re.fullmatch(r"@\d+", text) else 0


def iso_time(seconds: float) -> str:
    """Seconds since the epoch as 2026-11-23T17:38:00Z."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


# Components


def unit_problems(component: dict) -> list[Problem]:
    """The problem with the state of a unit."""
    name, active = component["name"], component["active"]
    if component["load"] == "masked":
        return [Problem(f"{name} on this host is masked; run `systemctl unmask {name}`, then plainkube.cluster.site")]
    if component["load"] != "loaded":
        return [
            Problem(
                f"{name} is not installed on this host: systemd has no unit {name}.service; run plainkube.cluster.site"
            )
        ]
    state, result, journal = f"{active}/{component['sub']}", component["result"], f"`journalctl --unit {name}`"
    if component["sub"] == "auto-restart":
        ends = f"systemd restarted it {component['restarts']} times, the last time because of {result}"
        return [Problem(f"{name} on this host does not stay up: {ends}; read {journal}", passing=True)]
    if active == "activating":
        return [Problem(f"{name} on this host is still starting ({state}); read {journal}", passing=True)]
    if active == "deactivating":
        return [Problem(f"{name} on this host is just stopping ({state}); read {journal}", passing=True)]
    if active == "failed":
        return [Problem(f"{name} on this host has failed ({result}); read {journal}, then run plainkube.cluster.site")]
    if active != "active":
        return [Problem(f"{name} on this host is stopped ({state}); start it with plainkube.cluster.site")]
    return []


def disk_problems(component: dict) -> list[Problem]:
    """Problems if the running process does not match the files on disk, or would not start at boot."""
    wanted, version = component["version_wanted"], component["version"]
    faults = []
    if component["enabled"] == "disabled":
        faults.append("would not start at boot: its unit is disabled; run plainkube.cluster.site")
    if component["outdated"]:
        faults.append(f"does not run what is on disk: {component['outdated']}; run plainkube.cluster.site")
    if wanted and not version:
        faults.append(f"does not show its version, but {wanted} is expected; does this task run with become?")
    elif wanted and version != wanted:
        faults.append(f"runs version {version}, but {wanted} is expected; run plainkube.cluster.site")
    return [Problem(f"{component['name']} on this host {fault}") for fault in faults]


def service_problems(component: dict, ports: t.Sequence[int]) -> list[Problem]:
    """Problems with the ports and the health of a running component. All of them may resolve shortly after the start."""
    name, health = component["name"], component["health"]
    open_ports = {int(address.rpartition(":")[2]) for address in component["listening"]}
    missing = ", ".join(str(port) for port in ports if port not in open_ports)
    problems = []
    if missing:
        there = ", ".join(component["listening"]) or "nothing"
        problems.append(Problem(f"{name} on this host does not listen on port {missing}, but on {there}", passing=True))
    if health and not health["ok"]:
        said = _probe.Answer(health["status"], health["text"], health["url"]).said
        problems.append(Problem(f"{name} on this host is not healthy: {said}", passing=True))
    return problems


def kernel_problems(component: dict) -> list[Problem]:
    """What a component should have in the kernel, and has not. Just after its start, it may not have written it yet."""
    name = component["name"]
    return [
        Problem(f"{name} on this host: {fault}; run plainkube.cluster.site", passing=True)
        for fault in component["kernel"]
    ]


def component_problems(component: dict, ports: t.Sequence[int], grace: int) -> list[Problem]:
    """All problems of one component; only the state of its unit if that is already a problem."""
    problems = unit_problems(component)
    if problems:
        return problems
    early = component["seconds"] < grace
    return disk_problems(component) + (
        [] if early else [*service_problems(component, ports), *kernel_problems(component)]
    )


# Certificates


# The CA in a file, by the end of its path, with its name in certificates_rotate.
_AUTHORITIES = {
    "/etcd/ca.crt": "etcd",
    "/front-proxy-ca.crt": "front-proxy",
    "/ca.crt": "kubernetes",
    "/ca-signer.crt": "kubernetes",
}
# A cross certificate to a CA's predecessor, whose expiry no longer matters.
_CROSS = "/ca-cross.crt"


def _authority(path: str) -> str:
    """The name of the CA in a file; empty if it is not a CA's."""
    return next((name for end, name in _AUTHORITIES.items() if path.endswith(end)), "")


def certificate_problems(certificate: dict, warning_days: int) -> list[Problem]:
    """A certificate that is unreadable, has expired, or expires soon."""
    subject, days = f"the certificate {certificate['path']} on this host", certificate["days_left"]
    # The kubelet should have renewed it long before.
    remedy = (
        "read `journalctl --unit kubelet`"
        if certificate["path"].endswith("-current.pem")
        else "run plainkube.cluster.site"
    )
    if certificate["error"]:
        return [Problem(f"{subject} cannot be read: {certificate['error']}; {remedy}")]
    if certificate["path"].endswith(_CROSS):
        return []
    # An expired CA can no longer be rotated; site.yml says what to do.
    if days >= 0 and (name := _authority(certificate["path"])):
        remedy = f"run plainkube.cluster.certificates with -e certificates_rotate={name}"
    if days < 0:
        return [Problem(f"{subject} expired on {certificate['not_after']}; {remedy}")]
    if days < warning_days:
        return [Problem(f"{subject} expires in {days} days, on {certificate['not_after']}; {remedy}")]
    return []


# etcd


def etcd_members(members: dict, status: list[dict]) -> list[dict]:
    """The members that `etcdctl member list` names, each with what `etcdctl endpoint status` says where it was asked."""
    answers = {entry["Status"]["header"]["member_id"]: entry["Status"] for entry in status}
    leader = next((answer.get("leader", 0) for answer in answers.values()), 0)
    found = []
    for member in members.get("members", []):
        answer = answers.get(member["ID"], {})
        found.append(
            {
                "id": format(member["ID"], "x"),
                "name": member.get("name", ""),
                "peer_urls": member.get("peerURLs", []),
                "client_urls": member.get("clientURLs", []),
                "learner": member.get("isLearner", False),
                "leader": member["ID"] == leader,
                "version": answer.get("version", ""),
                "db_size": answer.get("dbSize", 0),
                "db_size_in_use": answer.get("dbSizeInUse", 0),
                "db_size_quota": answer.get("dbSizeQuota", 0),
                "errors": answer.get("errors", []),
            }
        )
    return found


def etcd_alarms(members: list[dict]) -> list[dict]:
    """The alarms that the members asked know of, each once: `memberID:123 alarm:NOSPACE` as {member, alarm}."""
    names = {str(int(member["id"], 16)): member["name"] or member["id"] for member in members}
    lines = {line for member in members for line in member["errors"]}
    found = {match.groups() for line in lines for match in [re.search(r"memberID:(\d+)\s+alarm:(\w+)", line)] if match}
    return [{"member": names.get(number, number), "alarm": alarm} for number, alarm in sorted(found)]


def etcd_strangers(members: list[dict], expected: t.Sequence[str]) -> list[Problem]:
    """Unexpected and missing members. A member that has never started has no name yet."""
    if not expected:
        return []
    names = [member["name"] for member in members]
    strangers = [member for member in members if member["name"] and member["name"] not in expected]
    return [
        *(
            Problem(
                f"etcd has the member {member['name']} ({member['id']}), which is not an etcd host in the inventory: add it there, or "
                f"remove it with `etcdctl member remove {member['id']}`"
            )
            for member in strangers
        ),
        *(
            Problem(f"{name} is not a member of etcd; run plainkube.cluster.site")
            for name in expected
            if name not in names
        ),
    ]


def etcd_foreigners(etcd: t.Mapping[str, t.Any]) -> list[Problem]:
    """Users and roles that this collection did not create."""
    remedy = "add it to etcd_foreign_users if it is yours, or find out who created it, and remove it with `etcdctl"
    return [
        *(
            Problem(
                f"etcd has the user {name} ({', '.join(roles) or 'no role'}), which plainkube.cluster did not create: {remedy} user delete {name}`"
            )
            for name, roles in etcd.get("foreign_users", {}).items()
        ),
        *(
            Problem(f"etcd has the role {name}, which plainkube.cluster did not create: {remedy} role delete {name}`")
            for name in etcd.get("foreign_roles", [])
        ),
    ]


def mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def etcd_problems(etcd: dict) -> list[Problem]:
    """An etcd that does not respond, has no leader, has alarms, or runs out of space."""
    if etcd["error"]:
        return [Problem(f"the state of etcd is unknown: {etcd['error']}", passing=True)]
    problems = []
    if not etcd["leader"]:
        problems.append(Problem("etcd has no leader: too few members can reach each other; start the others", True))
    for member in etcd["members"]:
        size, quota = member["db_size"], member["db_size_quota"]
        if not member["name"]:
            where = ", ".join(member["peer_urls"])
            problems.append(Problem(f"the etcd member {member['id']} at {where} was added and has never started", True))
        if quota and size > quota * _QUOTA_SHARE:
            room = f"{mib(size)} of {mib(quota)}"
            problems.append(Problem(f"the database of etcd member {member['name']} takes {room}; defragment it"))
        if member["learner"]:
            problems.append(
                Problem(
                    f"the etcd member {member['name']} is a learner and has no vote; run plainkube.cluster.site", True
                )
            )
    problems += etcd_strangers(etcd["members"], etcd.get("expected") or []) + etcd_foreigners(etcd)
    for alarm in etcd["alarms"]:
        problems.append(
            Problem(f"etcd raised the alarm {alarm['alarm']} for member {alarm['member']}; see `etcdctl alarm list`")
        )
    return problems


# The Node


def node_state(name: str, answer: dict, error: str = "") -> dict:
    """The relevant state of a Node object. An error says why it could not be read."""
    status = answer.get("status", {})
    conditions = [
        {key: condition.get(key, "") for key in ("type", "status", "reason", "message")}
        for condition in status.get("conditions", [])
    ]
    ready = next((condition for condition in conditions if condition["type"] == "Ready"), None)
    info = status.get("nodeInfo", {})
    return {
        "name": name,
        "ready": ready is not None and ready["status"] == "True",
        "schedulable": not answer.get("spec", {}).get("unschedulable", False),
        "version": info.get("kubeletVersion", "").lstrip("v"),
        "runtime": info.get("containerRuntimeVersion", "").replace("://", " "),
        "conditions": conditions,
        "disks": [],
        "error": error,
    }


def _fullest(disks: t.Sequence[dict]) -> str:
    """The file system that is probably the reason for DiskPressure, which the kubelet does not name."""
    if not disks:
        return ""
    disk = min(disks, key=lambda one: min(one["space"], one["inodes"]))
    return f"; {disk['path']} has {disk['space']} % of its space and {disk['inodes']} % of its inodes free"


def node_problems(node: dict) -> list[Problem]:
    """A Node that cannot be read, is not Ready, or is under pressure."""
    if node["error"]:
        return [Problem(f"the state of node {node['name']} is unknown: {node['error']}", passing=True)]
    problems = []
    conditions = {condition["type"]: condition for condition in node["conditions"]}
    if not node["ready"]:
        ready = conditions.get("Ready", {"reason": "no condition", "message": "the kubelet has not reported yet"})
        problems.append(
            Problem(f"node {node['name']} is not Ready: {ready['reason']}, {ready['message']}", passing=True)
        )
    for kind in _PRESSURES:
        if conditions.get(kind, {}).get("status") == "True":
            which = _fullest(node["disks"]) if kind == "DiskPressure" else ""
            problems.append(Problem(f"node {node['name']} has {kind}: {conditions[kind]['message']}{which}"))
    return problems


# Workloads


def deployment_state(name: str, answer: dict, error: str = "") -> dict:
    """The relevant state of a Deployment; `name` is NAMESPACE/NAME. An error says why it could not be read."""
    wanted = answer.get("spec", {}).get("replicas", 0)
    return {
        "name": name,
        "wanted": wanted,
        "available": answer.get("status", {}).get("availableReplicas", 0),
        "error": error,
    }


def deployment_problems(deployment: dict) -> list[Problem]:
    """A Deployment that cannot be read, or has too few replicas."""
    name = deployment["name"]
    if deployment["error"]:
        return [Problem(f"the state of deployment {name} is unknown: {deployment['error']}", passing=True)]
    if deployment["available"] >= deployment["wanted"]:
        return []
    namespace, dummy, short = name.partition("/")
    return [
        Problem(
            f"deployment {name} has {deployment['available']} of {deployment['wanted']} replicas available; "
            f"see `kubectl -n {namespace} describe deployment {short}` and its pods",
            passing=True,
        )
    ]


# The pods' bridge


def bridge_problems(name: str, address: str, mtu: int, subnet_file: str | None) -> list[Problem]:
    """Compares a bridge's address (such as 10.244.5.1/24, or empty) and MTU with flanneld's file."""
    if subnet_file is None:
        return [Problem("flannel has no subnet for this host yet; read `journalctl --unit flanneld`", passing=True)]
    try:
        wanted = _bridge.parse_subnet(subnet_file, "on this host")
    except ValueError as error:
        return [Problem(str(error), passing=True)]
    if address != wanted.address:
        found = f"{name} has the address {address}" if address else f"there is no {name}"
        different = f"{found} on this host, and flannel's subnet is {wanted.address}"
    elif mtu != wanted.mtu:
        different = f"{name} has an MTU of {mtu} on this host, and flannel's is {wanted.mtu}"
    else:
        return []
    return [Problem(f"{different}; run plainkube.cluster.site", passing=True)]


# The network


def network_problems(wanted: t.Mapping[str, t.Any], found: t.Mapping[str, t.Any]) -> list[Problem]:
    """Services that do not respond on this host. Everybody else's pods are compared where the results of all hosts are known."""
    problems = []
    proxy = "read `journalctl --unit kube-proxy`, and check the pod network of its endpoints"
    if found["api_error"]:
        api = f"{wanted['api']}:{wanted['api_port']}"
        problems.append(
            Problem(f"the API's Service {api} is not reachable on this host ({found['api_error']}); {proxy}", True)
        )
    if found["dns_error"]:
        problems.append(
            Problem(f"cluster DNS {wanted['dns']} does not respond on this host ({found['dns_error']}); {proxy}", True)
        )
    return problems
