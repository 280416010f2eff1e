#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: kube_checkstatus
short_description: Check the health of the cluster's components on a host
version_added: 1.0.0
description:
  - Checks services, their processes, ports, health endpoints and versions, certificates, etcd and the host's Node object.
  - Returns its findings as data, RV(healthy), and RV(problems), sentences that say what to do.
  - Does not fail if something is unhealthy; use RV(healthy) in C(failed_when). Never changes anything.
author:
  - The plainkube authors (@plainkube)
options:
  components:
    description: Services that must run on this host.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the systemd service, without C(.service).
        type: str
        required: true
      ports:
        description: TCP ports on which the service's main process must listen.
        type: list
        elements: int
        default: []
      health_url:
        description: URL that returns a status of 200 to 299 when the component is healthy.
        type: str
      health_ca:
        description: CA certificate that verifies the server at O(components[].health_url). Without it, the server certificate is not verified.
        type: path
      version:
        description: Expected version. Without it, the running version is only returned.
        type: str
      version_command:
        description:
          - Command that prints the version of the running service, for services outside C(/opt/plainkube).
          - For the others, the version is in the path of the running program.
        type: list
        elements: str
      managed:
        description: Whether M(plainkube.cluster.component) manages the unit. If so, the process is compared with the files on disk.
        type: bool
        default: true
      stamped:
        description: The file with the stamp of the process's inputs, if it is not the unit itself.
        type: path
      grace:
        description:
          - Grace period in seconds after the start of a component. Its ports and its health are not checked before that.
          - kube-proxy on a host without a Node object waits 30 seconds for one before it opens a port.
        type: int
        default: 0
  certificates:
    description:
      - Certificate files, and directories in which all files that end in C(.crt) are checked.
      - An entry with C(*) or C(?) is a pattern of files, which may match none.
    type: list
    elements: path
    default: []
  certificate_warning_days:
    description: Days before its expiry from which a certificate is a problem.
    type: int
    default: 30
  authorities:
    description: The host's certificate directory. If set, its copies of the CAs are returned (RV(pki)).
    type: path
  artifacts:
    description: The directory of role C(artifacts). If set, the origin of all installed artifacts is returned (RV(artifacts)).
    type: path
  etcd:
    description: Access to etcd to check its members, leader, database size and alarms. Requires C(etcdctl) on the host.
    type: dict
    suboptions:
      endpoints:
        description: Client URLs of the members to check.
        type: list
        elements: str
        required: true
      ca:
        description: CA certificate of etcd.
        type: path
        required: true
      cert:
        description: Certificate of etcd's user root.
        type: path
        required: true
      key:
        description: Key of that certificate.
        type: path
        required: true
      members:
        description:
          - Names of the expected members. Additional and missing members are problems.
          - By default, any members are accepted.
        type: list
        elements: str
        default: []
      users:
        description:
          - Names of the expected users. Additional ones are problems.
          - By default, any users are accepted.
        type: list
        elements: str
        default: []
      roles:
        description:
          - Names of the expected roles. Additional ones are problems.
          - By default, any roles are accepted.
        type: list
        elements: str
        default: []
  node:
    description: The Node object of this host.
    type: dict
    suboptions:
      name:
        description: Name of the Node.
        type: str
        required: true
      kubeconfig:
        description:
          - Kubeconfig of a user that may read it, such as the kubelet's own.
          - It must have one cluster and one user, and refer to certificates and key by path, as those of this collection do.
        type: path
        required: true
  workloads:
    description: Workloads in the cluster that must be healthy; for control planes.
    type: dict
    suboptions:
      deployments:
        description: Deployments whose replicas must all be available, as C(NAMESPACE/NAME).
        type: list
        elements: str
        required: true
      kubeconfig:
        description: Kubeconfig of a user that may read them, like O(node.kubeconfig).
        type: path
        required: true
  subnet_file:
    description: flannel's subnet file. If set, O(bridge) must have the address in it.
    type: path
  bridge:
    description: The pods' bridge.
    type: str
    default: docker0
  firewall:
    description: Whether the host must have the unchanged firewall of M(plainkube.cluster.firewall).
    type: bool
    default: false
  release:
    description: Whether a run of C(plainkube.cluster.site) that has the lock of this host gives it back.
    type: bool
    default: true
  wait:
    description: Seconds to wait until everything is healthy. The module does not wait for problems that time cannot resolve, such as a wrong version.
    type: int
    default: 0
  poll:
    description: Polling interval in seconds.
    type: float
    default: 0.5
extends_documentation_fragment:
  - plainkube.cluster.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
  idempotent:
    support: full
seealso:
  - module: plainkube.cluster.component
"""

EXAMPLES = r"""
- name: Wait until the kubelet serves and its Node is Ready
  plainkube.cluster.kube_checkstatus:
    components:
      - name: kubelet
        ports: [10250]
        health_url: http://127.0.0.1:10248/healthz
        version: 1.37.2
    node:
      name: "{{ inventory_hostname }}"
      kubeconfig: /etc/kubernetes/kubelet.conf
    wait: 60
  register: checkstatus
  failed_when: not checkstatus.healthy

- name: Check etcd and its certificates
  plainkube.cluster.kube_checkstatus:
    components:
      - name: etcd
        health_url: http://127.0.0.1:2381/readyz
    certificates: [/etc/kubernetes/pki/etcd]
    etcd:
      endpoints: [https://127.0.0.1:2379]
      ca: /etc/kubernetes/pki/etcd/ca.crt
      cert: /etc/kubernetes/pki/etcd/root.crt
      key: /etc/kubernetes/pki/etcd/root.key
"""

RETURN = r"""
healthy:
  description: Whether there are no problems.
  returned: success
  type: bool
problems:
  description: The problems, one sentence each.
  returned: success
  type: list
  elements: str
  sample: ["kubelet on this host is stopped (inactive/dead); start it with plainkube.cluster.site"]
components:
  description: One entry for each of O(components).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the service.
      type: str
      returned: success
    load:
      description: systemd's C(LoadState), such as V(loaded) or V(not-found).
      type: str
      returned: success
    active:
      description: systemd's C(ActiveState), such as V(active) or V(failed).
      type: str
      returned: success
    sub:
      description: systemd's C(SubState), such as V(running) or V(dead).
      type: str
      returned: success
    result:
      description: systemd's C(Result), the reason why the service ended.
      type: str
      returned: success
    enabled:
      description: systemd's C(UnitFileState), such as V(enabled).
      type: str
      returned: success
    pid:
      description: PID of the main process; 0 if none is running.
      type: int
      returned: success
    since:
      description: Time of its last start or stop; empty if it never ran.
      type: str
      returned: success
      sample: "2026-11-23T17:38:00Z"
    seconds:
      description: Seconds since then.
      type: int
      returned: success
    restarts:
      description: Number of automatic restarts by systemd.
      type: int
      returned: success
    invocation:
      description: systemd's C(InvocationID), which changes with each start.
      type: str
      returned: success
    listening:
      description: Addresses and TCP ports on which its main process listens.
      type: list
      elements: str
      returned: success
      sample: ["127.0.0.1:10248", "0.0.0.0:10250"]
    health:
      description: Response of its health endpoint; empty if there is none or the service is not running.
      type: dict
      returned: success
      sample: {"url": "http://127.0.0.1:10248/healthz", "status": 200, "ok": true, "text": "ok"}
    version:
      description: Running version; empty if unknown.
      type: str
      returned: success
    version_wanted:
      description: Expected version; empty if any version is accepted.
      type: str
      returned: success
    outdated:
      description: Why the process does not match the files on disk; empty if it does.
      type: str
      returned: success
    healthy:
      description: Whether this component has no problems.
      type: bool
      returned: success
certificates:
  description: One entry for each certificate; a file can contain several.
  returned: success
  type: list
  elements: dict
  sample: [{"path": "/etc/kubernetes/pki/ca.crt", "subject": "plainkube-ca", "issuer": "plainkube-ca",
            "not_after": "2036-11-20T17:38:00Z", "days_left": 3649, "error": ""}]
pki:
  description: The host's copies of the CAs, the names of its keys, and the fingerprints of its encryption keys.
  returned: when O(authorities) is given
  type: dict
  sample: {"public": {"ca.crt": "-----BEGIN CERTIFICATE-----\n…"}, "secret": ["sa.key"], "encryption": ["key-1 0f3c…"]}
artifacts:
  description: Where each installed file comes from, and what verified it, as role C(artifacts) recorded it.
  returned: when O(artifacts) is given
  type: list
  elements: dict
  sample: [{"component": "etcd", "version": "3.7.3", "name": "etcd", "sha256": "0f3c…", "source": "https://github.com/etcd-io/etcd/…", "source_sha256": "5d1a…",
            "verified_by": "https://github.com/etcd-io/etcd/releases/download/v3.7.3/SHA256SUMS"}]
etcd:
  description: Members, leader, alarms, unexpected users with their roles and unexpected roles, and the version and database size of each checked member.
  returned: when O(etcd) is given
  type: dict
  sample: {"endpoints": ["https://127.0.0.1:2379"], "leader": "cp1", "alarms": [], "error": "", "expected": ["cp1"],
           "foreign_users": {"backup": ["root"]}, "foreign_roles": [],
           "members": [{"id": "8e9e05c52164694d", "name": "cp1", "leader": true, "learner": false, "version": "3.7.3",
                        "db_size": 5353472, "db_size_in_use": 1675264, "db_size_quota": 2147483648, "errors": [],
                        "peer_urls": ["https://192.0.2.11:2380"], "client_urls": ["https://192.0.2.11:2379"]}]}
deployments:
  description: The requested Deployments.
  returned: with O(workloads)
  type: list
  elements: dict
  contains:
    name:
      description: C(NAMESPACE/NAME).
      type: str
      returned: success
    wanted:
      description: Number of desired replicas.
      type: int
      returned: success
    available:
      description: Number of available replicas.
      type: int
      returned: success
    error:
      description: Why it could not be read; empty otherwise.
      type: str
      returned: success
node:
  description: Summary of the Node object.
  returned: when O(node) is given
  type: dict
  sample: {"name": "n1", "ready": true, "schedulable": true, "version": "1.37.2", "runtime": "containerd 1.7.24", "error": "",
           "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"}]}
"""

import concurrent.futures
import datetime
import glob
import json
import os
import re
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.plainkube.cluster.plugins.module_utils import (
    _artifacts,
    _bridge,
    _command,
    _files,
    _nft,
    _pki,
    _probe,
    _run,
    _stamp,
    _status,
    _systemd,
)
from ansible_collections.plainkube.cluster.plugins.module_utils._etcdctl import SHORT_TIMEOUTS, Etcdctl, EtcdError
from ansible_collections.plainkube.cluster.plugins.module_utils._sockets import listeners, program, socket_inodes
from ansible_collections.plainkube.cluster.plugins.module_utils._wait import poll

_OBJECT_LIMIT = 1 << 20
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class Look(t.NamedTuple):
    """The findings of one inspection of the host."""

    components: list[dict]
    etcd: dict | None
    node: dict | None
    deployments: list[dict] | None
    problems: list[_status.Problem]


# Processes


def outdated(state: dict, pid: int, stamped: str | None) -> str:
    """Why the process is not what its unit and files on disk would start; stamped is the file that carries the stamp."""
    binary = _status.program_of(state.get("ExecStart", ""))
    # A unit that starts its program through a shell says nothing about the file that runs.
    same_name = os.path.basename(binary) == os.path.basename(program(pid).partition(" (deleted)")[0])
    return _stamp.mismatch(_files.read(stamped or state["FragmentPath"]) or "", pid, binary if same_name else "")


# Components


def health(component: dict) -> dict:
    answer = _probe.get(component["health_url"], component["health_ca"])
    return {
        "url": component["health_url"],
        "status": answer.status,
        "ok": answer.ok,
        "text": _status.beginning(answer.text),
    }


def version(module: AnsibleModule, component: dict, pid: int) -> str:
    if not component["version_command"]:
        return _status.version_of(program(pid), os.path.realpath(_status.RELEASES))
    try:
        code, out, dummy = _command.run(module, component["version_command"], handle_exceptions=False)
    except OSError:
        return ""
    return _status.find_version(out) if code == 0 else ""


def inspect(module: AnsibleModule, component: dict, state: dict, sockets: list[_status.Listener]) -> dict:
    """What there is to know of one component."""
    active, pid = state.get("ActiveState", ""), int(state.get("MainPID") or 0)
    up = active == "active" and pid > 0
    since = _status.parse_timestamp(state.get("ActiveEnterTimestamp" if up else "InactiveEnterTimestamp", ""))
    inodes = socket_inodes(pid) if up else set()
    stale = outdated(state, pid, component["stamped"]) if up and component["managed"] else ""
    if not stale and state.get("NeedDaemonReload") == "yes":
        stale = "its unit was changed on disk and systemd has not read it"
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
        "outdated": stale,
    }


# etcd and the Node


def foreign(etcdctl: Etcdctl, kind: str, expected: list[str]) -> dict[str, list[str]]:
    """Users or roles that nobody expects, and the roles that a user has."""
    if not expected:
        return {}
    names = [name for name in etcdctl.call(kind, "list").get(f"{kind}s") or [] if name not in expected]
    return {name: (etcdctl.call(kind, "get", name).get("roles") or []) if kind == "user" else [] for name in names}


def inspect_etcd(module: AnsibleModule) -> dict:
    params = module.params["etcd"]
    etcd = {"endpoints": params["endpoints"], "members": [], "leader": "", "alarms": [], "error": "", "expected": []}
    etcd.update(foreign_users={}, foreign_roles=[])
    etcdctl = Etcdctl(module, {**params, "wait": 0})
    etcdctl.environment.update(SHORT_TIMEOUTS)
    try:
        with concurrent.futures.ThreadPoolExecutor(max_workers=3) as pool:
            listed = pool.submit(etcdctl.call, "member", "list")
            strange = {kind: pool.submit(foreign, etcdctl, kind, params[f"{kind}s"]) for kind in ("user", "role")}
            answers = etcdctl.call("endpoint", "status")
        members = _status.etcd_members(listed.result(), answers)
        foreign_users, foreign_roles = strange["user"].result(), [*strange["role"].result()]
    except EtcdError as error:
        return {**etcd, "error": str(error)}
    leader = next((member["name"] for member in members if member["leader"]), "")
    found = {"members": members, "leader": leader, "alarms": _status.etcd_alarms(members)}
    found.update(foreign_users=foreign_users, foreign_roles=foreign_roles)
    return {**etcd, **found, "expected": params["members"]}


def ask_api(kubeconfig: str, path: str, missing: str) -> tuple[dict, str]:
    """The object at a path of the API, and why there is none (empty where there is; missing where the API knows none)."""
    access = _status.parse_kubeconfig(_files.read(kubeconfig) or "", os.path.dirname(kubeconfig))
    if access is None:
        return (
            {},
            f"{kubeconfig} on this host does not exist, or does not name a server and certificates by path; run plainkube.cluster.site",
        )
    url = f"{access.server}{path}"
    answer = _probe.get(url, access.ca, client=(access.cert, access.key), limit=_OBJECT_LIMIT)
    if answer.ok:
        return json.loads(answer.text), ""
    if answer.status == 404:
        return {}, missing
    return {}, f"{url} says {answer.status or 'no answer'}: {_status.beginning(answer.text)}"


def inspect_node(module: AnsibleModule) -> dict:
    name = module.params["node"]["name"]
    missing = "the API server knows no such node; read `journalctl --unit kubelet`"
    answer, error = ask_api(module.params["node"]["kubeconfig"], f"/api/v1/nodes/{name}", missing)
    return _status.node_unknown(name, error) if error else _status.node_state(name, answer)


def inspect_bridge(module: AnsibleModule) -> list[_status.Problem]:
    """What is wrong with the pods' bridge. A lease that was lost while Docker ran leaves docker0 on a subnet of another host."""
    path = module.params["subnet_file"]
    if not path:
        return []
    dummy, out, _err = _command.run(module, ["ip", "-json", "-4", "address", "show"])
    name = module.params["bridge"]
    address = _bridge.parse_addresses(out).get(name, ("", 0))[0]
    return _status.bridge_problems(name, address, _files.read(path))


def inspect_firewall(module: AnsibleModule) -> list[_status.Problem]:
    why = _nft.drift(module) if module.params["firewall"] else ""
    return [_status.Problem(f"the firewall of this host {why}; run plainkube.cluster.site")] if why else []


def inspect_deployment(module: AnsibleModule, name: str) -> dict:
    namespace, dummy, short = name.partition("/")
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{short}"
    missing = "the API server knows no such deployment; run plainkube.cluster.site"
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
    """All certificates in a file: of two CAs while one takes the other's place, and what a server's is sent with."""
    unknown = {"path": path, "subject": "", "issuer": "", "not_after": "", "days_left": 0, "error": ""}
    try:
        with open(path, "rb") as stream:
            texts = _CERTIFICATE.findall(stream.read())
        if not texts:
            raise ValueError("there is no certificate in it")
        return [inspect_certificate(unknown, x509.load_pem_x509_certificate(text), x509, now) for text in texts]
    except (OSError, ValueError) as error:
        return [{**unknown, "error": getattr(error, "strerror", None) or str(error)}]


def inspect_certificate(certificate: dict, parsed: t.Any, x509: t.Any, now: datetime.datetime) -> dict:
    # not_valid_after_utc came with cryptography 42; Debian 12 has 38.
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
    """What every manifest of role artifacts says."""
    paths = sorted(
        glob.glob(os.path.join(root, "*", _artifacts.MANIFEST))
        + glob.glob(os.path.join(root, "*", "*", _artifacts.MANIFEST))
    )
    return [one for path in paths for one in _artifacts.provenance(path, _files.read(path) or "")]


# All together


def look(module: AnsibleModule) -> Look:
    """One look at everything that may change while one waits; what takes a request or a command, side by side."""
    params = module.params
    wanted = params["components"]
    states = (
        _systemd.show_all(module, [f"{one['name']}.service" for one in wanted], *_status.PROPERTIES) if wanted else []
    )
    sockets = listeners()
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(wanted) + 2) as pool:
        asked = [pool.submit(inspect, module, one, state, sockets) for one, state in zip(wanted, states)]
        etcd = pool.submit(inspect_etcd, module) if params["etcd"] else None
        node = pool.submit(inspect_node, module) if params["node"] else None
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
        problems += _status.node_problems(node.result())
    problems += inspect_bridge(module)
    for deployment in deployments:
        problems += _status.deployment_problems(deployment)
    return Look(
        components, etcd.result() if etcd else None, node.result() if node else None, deployments or None, problems
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
                    "managed": {"type": "bool", "default": True},
                    "stamped": {"type": "path"},
                    "grace": {"type": "int", "default": 0},
                },
            },
            "certificates": {"type": "list", "elements": "path", "default": []},
            "certificate_warning_days": {"type": "int", "default": 30},
            "authorities": {"type": "path"},
            "etcd": {
                "type": "dict",
                "options": {
                    "endpoints": {"type": "list", "elements": "str", "required": True},
                    "ca": {"type": "path", "required": True},
                    "cert": {"type": "path", "required": True},
                    # A path, no secret.
                    "key": {"type": "path", "required": True, "no_log": False},
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
                },
            },
            "workloads": {
                "type": "dict",
                "options": {
                    "deployments": {"type": "list", "elements": "str", "required": True},
                    "kubeconfig": {"type": "path", "required": True},
                },
            },
            "artifacts": {"type": "path"},
            "subnet_file": {"type": "path"},
            "bridge": {"type": "str", "default": "docker0"},
            "firewall": {"type": "bool", "default": False},
            "release": {"type": "bool", "default": True},
            "wait": {"type": "int", "default": 0},
            "poll": {"type": "float", "default": 0.5},
        },
        supports_check_mode=True,
    )
    params = module.params
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        certificates_read = pool.submit(inspect_certificates, module)
        seen = poll(
            lambda: look(module),
            lambda seen: not any(problem.passing for problem in seen.problems),
            params["wait"],
            params["poll"],
        )
    certificates = certificates_read.result()
    problems = list(seen.problems)
    for certificate in certificates:
        problems += _status.certificate_problems(certificate, params["certificate_warning_days"])
    problems += inspect_firewall(module)
    result = {"components": seen.components, "certificates": certificates, "etcd": seen.etcd, "node": seen.node}
    result["deployments"] = seen.deployments
    result["artifacts"] = installed_artifacts(params["artifacts"]) if params["artifacts"] else None
    result["pki"] = _pki.look(params["authorities"], _pki.FILES) if params["authorities"] else None
    if params["release"]:
        _run.end(module)
    else:
        _run.renew(module)
    module.exit_json(
        changed=False,
        healthy=not problems,
        problems=[problem.text for problem in problems],
        **{key: value for key, value in result.items() if value is not None},
    )


if __name__ == "__main__":
    main()
