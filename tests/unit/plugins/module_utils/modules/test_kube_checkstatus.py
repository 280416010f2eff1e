# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import base64
import contextlib
import datetime
import http.server
import json
import os
import pathlib
import socket
import threading

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.artifacts import _artifacts
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import kube_checkstatus
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _stamp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SHOW = """\
ActiveEnterTimestamp=@1732383480
ActiveState={active}
FragmentPath={fragment}
InactiveEnterTimestamp=
InvocationID=0123
LoadState={load}
MainPID={pid}
NRestarts=0
NeedDaemonReload=no
Result=success
SubState={sub}
UnitFileState=enabled
"""


class Host:
    """A host with predefined command outputs, which records the commands."""

    def __init__(self):
        self.commands = []
        self.looks = 0
        self.units = {}
        self.etcd = {}

    def unit(self, name, active="active", sub="running", load="loaded", pid=None, fragment="/dev/null"):
        pid = os.getpid() if pid is None else pid
        self.units[f"{name}.service"] = SHOW.format(active=active, sub=sub, load=load, pid=pid, fragment=fragment)

    def run_command(self, command, **kwargs):
        self.commands.append(command)
        if command[:2] == ["systemctl", "show"]:
            self.looks += 1
            units = [word for word in command if word.endswith(".service")]
            return 0, "\n".join(self.units[unit] for unit in units), ""
        if any("etcdctl" in word for word in command):
            return self.etcd["leases" if command[-1] == "--prefix" else command[-1]]
        if command == ["docker", "version"]:
            return 0, "26.1.5+dfsg1\n", ""
        raise AssertionError(f"unexpected command: {command}")


@pytest.fixture
def host(monkeypatch):
    fake = Host()
    monkeypatch.setattr(AnsibleModule, "run_command", fake.run_command)
    return fake


@pytest.fixture
def current(monkeypatch):
    """Every process is what its unit would start."""
    monkeypatch.setattr(kube_checkstatus, "outdated", lambda *dummy: "")


@pytest.fixture
def server():
    """A health endpoint in this process; its response can be changed."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(self.server.code)
            self.end_headers()
            self.wfile.write(b"[-]etcd failed" if self.server.code != 200 else b"ok")

        def log_message(self, *dummy):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as one:
        one.code = 200
        threading.Thread(target=one.serve_forever, daemon=True).start()
        yield one
        one.shutdown()


@pytest.mark.usefixtures("current")
def test_a_healthy_component(host, server, run_module):
    host.unit("kubelet")
    port = server.server_port
    url = f"http://127.0.0.1:{port}/healthz"
    result = run_module(kube_checkstatus, components=[{"name": "kubelet", "ports": [port], "health_url": url}])
    assert (result["healthy"], result["problems"], result["changed"]) == (True, [], False)
    (kubelet,) = result["components"]
    assert f"127.0.0.1:{port}" in kubelet["listening"]
    assert kubelet["health"] == {"url": url, "status": 200, "ok": True, "text": "ok"}
    assert (kubelet["since"], kubelet["pid"], kubelet["invocation"]) == ("2024-11-23T17:38:00Z", os.getpid(), "0123")
    assert kubelet["seconds"] > 0
    assert "etcd" not in result
    assert "node" not in result


@pytest.mark.usefixtures("current")
def test_other_processes_ports_do_not_count(host, run_module):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        host.unit("kubelet", pid=1)
        result = run_module(kube_checkstatus, components=[{"name": "kubelet", "ports": [port]}])
    assert f"kubelet on this host does not listen on port {port}" in result["problems"][0]


@pytest.mark.usefixtures("current")
def test_all_units_are_read_by_one_command(host, run_module):
    for name in ("etcd", "kubelet", "kube-proxy"):
        host.unit(name)
    run_module(kube_checkstatus, components=[{"name": name} for name in ("etcd", "kubelet", "kube-proxy")])
    assert [command[:2] for command in host.commands] == [["systemctl", "show"]]
    assert host.commands[0][-3:] == ["etcd.service", "kubelet.service", "kube-proxy.service"]


def test_a_stopped_component(host, run_module):
    host.unit("kubelet", active="inactive", sub="dead", pid=0)
    result = run_module(
        kube_checkstatus, components=[{"name": "kubelet", "ports": [10250], "health_url": "http://127.0.0.1:1/"}]
    )
    assert result["problems"] == [
        "kubelet on this host is stopped (inactive/dead); start it with plainkube.cluster.site"
    ]
    assert (result["healthy"], result["components"][0]["healthy"], result["components"][0]["health"]) == (
        False,
        False,
        {},
    )


def test_a_unit_that_is_absent(host, run_module):
    host.unit("kubelet", active="inactive", sub="dead", load="not-found", pid=0, fragment="")
    result = run_module(kube_checkstatus, components=[{"name": "kubelet"}])
    assert "kubelet is not installed on this host" in result["problems"][0]


def test_a_process_from_an_older_configuration(host, run_module, tmp_path):
    unit, config = tmp_path / "kubelet.service", tmp_path / "config.yaml"
    config.write_text("a: 1\n")
    text = "[Service]\nExecStart=/usr/local/bin/kubelet\n"
    stamp = _stamp.Stamp(_stamp.compute(text, [str(config)]), "0")
    unit.write_text(_stamp.append(text, [str(config)], stamp))
    host.unit("kubelet", fragment=str(unit))
    result = run_module(kube_checkstatus, components=[{"name": "kubelet"}])
    assert "the process was started from an older unit" in result["problems"][0]
    config.write_text("a: 2\n")
    result = run_module(kube_checkstatus, components=[{"name": "kubelet"}])
    assert "changed on disk" in result["problems"][0]


@pytest.mark.usefixtures("current")
def test_dockers_version_is_its_own_output(host, run_module):
    host.unit("docker")
    docker = {"name": "docker", "version": "26.1.4", "version_command": ["docker", "version"]}
    result = run_module(kube_checkstatus, components=[docker])
    assert result["components"][0]["version"] == "26.1.5"
    assert result["problems"] == [
        "docker on this host runs version 26.1.5, but 26.1.4 is expected; run plainkube.cluster.site"
    ]


@pytest.mark.usefixtures("current")
def test_waits_for_transient_problems(host, server, run_module, monkeypatch):
    host.unit("kube-apiserver")
    server.code = 500
    real, looks = kube_checkstatus.inspect, []

    def inspect(module):
        looks.append(real(module))
        server.code = 200 if len(looks) == 3 else 500
        return looks[-1]

    monkeypatch.setattr(kube_checkstatus, "inspect", inspect)
    monkeypatch.setattr(kube_checkstatus, "INTERVAL", 0.01)
    url = f"http://127.0.0.1:{server.server_port}/readyz"
    component = {"name": "kube-apiserver", "health_url": url}
    result = run_module(kube_checkstatus, components=[component], wait=30)
    assert result["healthy"]
    assert len(looks) == 4


@pytest.mark.usefixtures("current")
def test_gives_up_after_wait(host, server, run_module):
    host.unit("kube-apiserver")
    server.code = 500
    url = f"http://127.0.0.1:{server.server_port}/readyz"
    component = {"name": "kube-apiserver", "health_url": url}
    result = run_module(kube_checkstatus, components=[component], wait=1)
    assert result["problems"] == [f"kube-apiserver on this host is not healthy: {url} returns 500: [-]etcd failed"]
    assert result["waited"] >= 1
    assert 2 <= host.looks <= 4


LEASES = [
    {"subnet": f"10.244.{number}.0/24", "address": f"192.0.2.{number}", "mac": f"0a:00:00:00:00:0{number}"}
    for number in (1, 2, 3)
]


@pytest.mark.parametrize(
    ("leases", "seconds", "looks"),
    [
        (LEASES, 30, 3),
        # Out of time: the caller compares, and says what is missing.
        (LEASES, 0, 1),
        # n2's lease was not in etcd yet when n1, which has the route to k1, was asked.
        (LEASES[:2], 30, 1),
        ([], 30, 1),
    ],
)
def test_waits_for_the_routes_to_the_leases_of_others(run_module, monkeypatch, leases, seconds, looks):
    k1, n1, n2 = LEASES
    paths = [{k1["subnet"]: f"{k1['address']} {k1['mac']}"}] * 2
    paths.append({**paths[0], n2["subnet"]: f"{n2['address']} {n2['mac']}"})
    seen = []
    services = {"api_error": "", "dns_error": ""}

    def inspect_network(module, flanneld):
        seen.append({**services, **n1, "paths": paths[len(seen)], "silent": []})
        return seen[-1]

    monkeypatch.setattr(kube_checkstatus, "inspect_network", inspect_network)
    monkeypatch.setattr(kube_checkstatus, "INTERVAL", 0.01)
    result = run_module(kube_checkstatus, network={"api": "10.96.0.1", "leases": leases}, wait=seconds)
    assert (len(seen), result["network"]) == (looks, seen[-1])
    assert (result["problems"], result["waited"]) == ([], 0)


def test_does_not_wait_for_permanent_problems(host, run_module):
    host.unit("kubelet", active="inactive", sub="dead", pid=0)
    run_module(kube_checkstatus, components=[{"name": "kubelet"}], wait=60)
    assert host.looks == 1


@pytest.fixture
def certificate(tmp_path):
    """Write a certificate that expires in this number of days."""

    def write(name, days):
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.timezone.utc)
        subject = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=400))
        signed = builder.not_valid_after(now + datetime.timedelta(days=days, hours=1)).sign(key, hashes.SHA256())
        path = tmp_path / "pki" / f"{name}.crt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        return str(path)

    return write


def test_certificates_in_a_directory(run_module, certificate, tmp_path):
    old, soon = certificate("old", -3), certificate("soon", 12)
    certificate("fresh", 365)
    (tmp_path / "pki" / "fresh.key").write_text("not a certificate")
    result = run_module(kube_checkstatus, certificates=[str(tmp_path / "pki"), str(tmp_path / "absent.crt")])
    days = {certificate["subject"]: certificate["days_left"] for certificate in result["certificates"]}
    assert days == {"fresh": 365, "old": -3, "soon": 12, "": 0}
    assert len(result["problems"]) == 3
    assert f"the certificate {old} on this host expired on" in result["problems"][0]
    assert f"the certificate {soon} on this host expires in 12 days" in result["problems"][1]
    assert "absent.crt on this host cannot be read: No such file or directory" in result["problems"][2]


def test_a_file_with_several_certificates(run_module, certificate, tmp_path):
    both = tmp_path / "both-current.pem"
    texts = [pathlib.Path(certificate(name, days)).read_text() for name, days in (("old", 12), ("new", 400))]
    both.write_text("-----BEGIN EC PRIVATE KEY-----\nx\n-----END EC PRIVATE KEY-----\n".join(texts))
    result = run_module(kube_checkstatus, certificates=[str(tmp_path / "*-current.pem"), str(tmp_path / "*-none.pem")])
    assert [(one["subject"], one["days_left"]) for one in result["certificates"]] == [("old", 12), ("new", 400)]
    assert [problem.rpartition("; ")[2] for problem in result["problems"]] == ["read `journalctl --unit kubelet`"]


def test_a_file_that_is_not_a_certificate(run_module, tmp_path):
    broken = tmp_path / "a.crt"
    broken.write_text("hello")
    result = run_module(kube_checkstatus, certificates=[str(broken)])
    assert "cannot be read" in result["problems"][0]


ETCD = {"endpoints": ["https://127.0.0.1:2379"], "ca": "/dev/null", "cert": "/dev/null", "key": "/dev/null"}


@pytest.fixture
def etcd_port(monkeypatch):
    """The options for an etcd with an open port; its etcdctl is the host's."""
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda self, name, *a, **k: f"/usr/local/bin/{name}")
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield {**ETCD, "endpoints": [f"https://127.0.0.1:{server.getsockname()[1]}"]}


def test_etcd(host, run_module, etcd_port):
    status = {"header": {"member_id": 10}, "version": "3.7.3", "dbSize": 20480, "leader": 10}
    host.etcd["status"] = 0, json.dumps([{"Endpoint": "x", "Status": status}]), ""
    host.etcd["list"] = 0, json.dumps({"members": [{"ID": 10, "name": "cp1"}]}), ""
    lease = {"PublicIP": "192.0.2.7", "BackendType": "vxlan", "BackendData": {"VNI": 1, "VtepMAC": "0A:00:00:00:00:05"}}
    pair = (b"/coreos.com/network/subnets/10.244.5.0-24", json.dumps(lease).encode())
    key, value = (base64.b64encode(one).decode() for one in pair)
    host.etcd["leases"] = 0, json.dumps({"kvs": [{"key": key, "value": value}]}), ""
    result = run_module(kube_checkstatus, etcd=etcd_port, _ansible_check_mode=True)
    assert (result["healthy"], result["etcd"]["leader"], result["etcd"]["members"][0]["db_size"]) == (
        True,
        "cp1",
        20480,
    )
    assert result["etcd"]["leases"] == [{"subnet": "10.244.5.0/24", "address": "192.0.2.7", "mac": "0a:00:00:00:00:05"}]


def test_an_etcd_that_does_not_respond(host, run_module, etcd_port):
    host.etcd["status"] = (
        1,
        "null\n",
        '{"level":"warn","error":"context deadline exceeded"}\nFailed to get the status\n',
    )
    result = run_module(kube_checkstatus, etcd=etcd_port)
    assert result["problems"] == [
        f"the state of etcd is unknown: `etcdctl endpoint status` failed at {etcd_port['endpoints'][0]}: context deadline exceeded"
    ]


def test_unexpected_users_and_roles(etcd, run_module):
    for arguments in (["role", "add", "flannel"], ["role", "add", "spy"], ["user", "add", "mallory", "--no-password"]):
        assert etcd.etcdctl(*arguments).returncode == 0
    assert etcd.etcdctl("user", "grant-role", "mallory", "spy").returncode == 0
    assert etcd.etcdctl("user", "add", "flanneld", "--no-password").returncode == 0
    options = {name: value for name, value in etcd.options().items() if name != "wait"}
    remedy = "add it to etcd_foreign_users if it is yours, or find out who created it, and remove it with `etcdctl"
    result = run_module(kube_checkstatus, etcd={**options, "users": ["flanneld"], "roles": ["flannel"]}, wait=10)
    assert result["problems"] == [
        f"etcd has the user mallory (spy), which plainkube.cluster did not create: {remedy} user delete mallory`",
        f"etcd has the role spy, which plainkube.cluster did not create: {remedy} role delete spy`",
    ]
    assert result["etcd"]["foreign_users"] == {"mallory": ["spy"]}
    known = {**options, "users": ["flanneld", "mallory"], "roles": ["flannel", "spy"]}
    assert run_module(kube_checkstatus, etcd=known, wait=10)["problems"] == []


def test_artifacts_have_their_origin(host, run_module, tmp_path):
    origin = {"sha256": "a", "source": "http://mirror/etcd", "source_sha256": "b", "verified_by": "SHA256SUMS"}
    for directory, name in (("etcd/3.7.3", "etcd"), ("images", "pause.tar"), ("kubernetes/1.37.2", "kubelet")):
        (tmp_path / directory).mkdir(parents=True)
        text = _artifacts.render_manifest({name: {**origin, "size": 1}} if name != "kubelet" else {name: {}})
        (tmp_path / directory / _artifacts.MANIFEST).write_text(text)
    (tmp_path / "other").mkdir()
    found = run_module(kube_checkstatus, artifacts=str(tmp_path))["artifacts"]
    assert found == [
        {"component": "etcd", "version": "3.7.3", "name": "etcd", **origin},
        {"component": "images", "version": "", "name": "pause.tar", **origin},
        {"component": "kubernetes", "version": "1.37.2", "name": "kubelet", **dict.fromkeys(origin, "")},
    ]
    assert "artifacts" not in run_module(kube_checkstatus)


def test_a_real_etcd(etcd, run_module):
    options = {name: value for name, value in etcd.options().items() if name != "wait"}
    result = run_module(kube_checkstatus, etcd=options, wait=10)
    assert result["problems"] == []
    (member,) = result["etcd"]["members"]
    assert (result["etcd"]["leader"], member["name"], member["leader"]) == ("default", "default", True)
    assert member["db_size"] > 0


def test_a_host_without_etcdctl(run_module, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    result = run_module(kube_checkstatus, etcd=ETCD)
    assert "etcdctl" in result["problems"][0]


@pytest.mark.parametrize(
    ("first", "objects", "problem"),
    [
        (200, {"conditions": [{"type": "Ready", "status": "True"}]}, None),
        (200, None, "the API server does not have the node; read `journalctl --unit kubelet`"),
        (403, None, "{url}/api/v1/nodes/n1 returns 403: problem 403"),
    ],
)
def test_node(run_module, api_server, kubeconfig, first, objects, problem):
    if objects:
        api_server.add("/api/v1/nodes/n1", status=objects)
    api_server.first = [first]
    result = run_module(kube_checkstatus, node={"name": "n1", "kubeconfig": str(kubeconfig)})
    found = f"the state of node n1 is unknown: {problem.format(url=api_server.url)}" if problem else None
    assert result["problems"] == ([found] if found else [])


def test_deployments(run_module, api_server, kubeconfig):
    path = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
    api_server.add(path, spec={"replicas": 2}, status={"availableReplicas": 1})
    workloads = {"deployments": ["kube-system/coredns"], "kubeconfig": str(kubeconfig)}
    (problem,) = run_module(kube_checkstatus, workloads=workloads)["problems"]
    assert problem.startswith("deployment kube-system/coredns has 1 of 2 replicas available")
    api_server.add(path, spec={"replicas": 2}, status={"availableReplicas": 2})
    assert run_module(kube_checkstatus, workloads=workloads)["problems"] == []


@pytest.mark.parametrize("why", ["", "was changed manually"])
def test_a_firewall(run_module, monkeypatch, why):
    monkeypatch.setattr(kube_checkstatus._nft, "drift", lambda module: why)
    expected = [f"the firewall of this host {why}; run plainkube.cluster.site"] if why else []
    assert run_module(kube_checkstatus, firewall=True)["problems"] == expected
    assert run_module(kube_checkstatus)["problems"] == []


def test_node_without_kubeconfig(run_module):
    result = run_module(kube_checkstatus, node={"name": "n1", "kubeconfig": "/nonexistent"})
    assert "/nonexistent on this host does not exist" in result["problems"][0]


GONE = (
    "the image registry.k8s.io/pause:3.10.2 is not on this host, and every new pod needs it; run plainkube.cluster.site"
)


def node_with_pause(runtime):
    node = {"name": "n1", "kubeconfig": "/nonexistent", "pause_image": "registry.k8s.io/pause:3.10.2"}
    return {**node, "runtime": runtime, "directories": ["/", "/proc", "/nonexistent"]}


@pytest.mark.parametrize(
    ("status", "active", "problems"),
    [
        (200, "active", []),
        (404, "active", [GONE]),
        (500, "active", []),
        # It is not asked, because a request would start it.
        (404, "inactive", []),
    ],
)
def test_the_pause_image_of_docker(host, run_module, monkeypatch, status, active, problems):
    host.unit("docker", active=active)
    asked = []

    def call(method, path, timeout):
        asked.append((method, path))
        if status != 200:
            raise kube_checkstatus._docker_api.RefusedError("refused", status)

    monkeypatch.setattr(kube_checkstatus, "ask_api", lambda *dummy: ({}, "no API"))
    monkeypatch.setattr(kube_checkstatus._docker_api, "call", call)
    result = run_module(kube_checkstatus, node=node_with_pause("docker"), components=[{"name": "docker"}])
    assert [problem for problem in result["problems"] if "the image" in problem] == problems
    assert asked == [("GET", "/images/registry.k8s.io/pause:3.10.2/json")] * (active == "active")
    assert [disk["path"] for disk in result["node"]["disks"]] == ["/", "/proc"]


@pytest.mark.parametrize(
    ("answer", "problems"),
    [
        ((0, "registry.k8s.io/pause:3.10.2\n", ""), []),
        ((0, "registry.k8s.io/pause:3.10\n", ""), [GONE]),
        ((1, "", "connection refused"), []),
    ],
)
def test_the_pause_image_of_containerd(host, run_module, monkeypatch, answer, problems):
    host.unit("containerd")
    run = host.run_command
    monkeypatch.setattr(kube_checkstatus, "ask_api", lambda *dummy: ({}, "no API"))
    monkeypatch.setattr(
        AnsibleModule,
        "run_command",
        lambda self, command, **options: answer if command[0] == "ctr" else run(command, **options),
    )
    result = run_module(kube_checkstatus, node=node_with_pause("containerd"), components=[{"name": "containerd"}])
    assert [problem for problem in result["problems"] if "the image" in problem] == problems
