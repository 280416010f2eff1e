# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _certificates, _encryption, _pki
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import host_facts
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _resolver
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _docker, _docker_api


@pytest.fixture(autouse=True)
def no_docker(monkeypatch, tmp_path):
    """Whether this machine runs Docker does not matter."""
    monkeypatch.setattr(host_facts, "_DOCKER_PID", str(tmp_path / "docker.pid"))


def test_facts_agree_with_other_witnesses(run_module):
    result = run_module(host_facts)
    facts = result["found"]
    assert result["changed"] is False
    assert facts["hostname"] == os.uname().nodename
    assert facts["architecture"] == subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
    assert facts["memory_mb"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    assert facts["systemd"] is os.path.isdir("/run/systemd/system")


def test_names_that_the_host_does_not_know(run_module, monkeypatch):
    def resolve(name, *dummy):
        if name != "api.example.org":
            raise socket.gaierror("Name or service not known")
        return [(2, 1, 6, "", ("192.0.2.7", 0))]

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    names = ["api.example.org", "nowhere.example.org", "a" * 64]
    assert run_module(host_facts, resolve=names)["found"]["unresolved"] == names[1:]
    assert run_module(host_facts)["found"]["unresolved"] == []


def test_an_old_nft_means_no_nftables_mode(run_module, monkeypatch):
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda self, name, **dummy: f"/usr/sbin/{name}")
    said = {
        "nft": "nftables v0.9.8 (E.D.S.)\n",
        "ip": "[]",
        "/usr/bin/containerd": "containerd github.com/containerd/containerd 1.7.24~ds1\n",
    }
    monkeypatch.setattr(AnsibleModule, "run_command", lambda self, command, **dummy: (0, said[command[0]], ""))
    facts = run_module(host_facts, containerd=True)["found"]
    assert (facts["nftables"], facts["containerd"]) == (False, "1.7.24")


def test_containerd_is_asked_only_where_its_version_matters(run_module, monkeypatch):
    asked = []
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda self, name, **dummy: f"/usr/sbin/{name}")
    monkeypatch.setattr(
        AnsibleModule, "run_command", lambda self, command, **dummy: asked.append(command[0]) or (0, "[]", "")
    )
    assert run_module(host_facts)["found"]["containerd"] == ""
    assert "containerd" not in asked


def test_what_listens_on_a_port_that_is_needed(run_module, reserved_port):
    port = reserved_port()
    with socket.create_server(("127.0.0.1", port)):
        found = run_module(host_facts, components=[{"name": "a", "ports": [port]}])["found"]["foreign_listeners"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", port))
            both = run_module(host_facts, components=[{"name": "a", "ports": [port], "udp_ports": [port]}])["found"][
                "foreign_listeners"
            ]
    assert [(one["port"], one["pid"]) for one in found] == [(port, os.getpid())]
    assert [(one["protocol"], one["pid"]) for one in both] == [("tcp", os.getpid()), ("udp", os.getpid())]


def test_free_disk_is_that_of_the_nearest_directory(run_module, tmp_path):
    missing = f"{tmp_path}/not/there"
    free = run_module(host_facts, directories=[missing])["found"]["free_mb"]
    assert abs(free[missing] - (shutil.disk_usage(tmp_path).free >> 20)) < 500


def test_what_waits_to_be_installed_is_not_installed(run_module, monkeypatch, tmp_path):
    def installed():
        return run_module(host_facts)["found"]["installed"]

    monkeypatch.setattr(host_facts._places, "RELEASES", str(tmp_path / "opt"))
    assert installed() is False
    (tmp_path / "opt/.staged").mkdir(parents=True)
    assert installed() is False
    (tmp_path / "opt/etcd").mkdir()
    assert installed() is True


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A host without Docker, and the path of its daemon.json."""
    monkeypatch.setattr(host_facts._unit_files, "DIRECTORIES", (str(tmp_path / "units"),))
    monkeypatch.setattr(_docker, "DAEMON_JSON", str(tmp_path / "daemon.json"))
    monkeypatch.setattr(_docker, "DATA_ROOT", str(tmp_path / "docker"))
    monkeypatch.setattr(host_facts._state, "PATH", str(tmp_path / "state.json"))
    return tmp_path / "daemon.json"


def test_docker_settings_are_checked_before_docker_is_installed(run_module, docker, tmp_path):
    docker.write_text(
        '{"icc": false, "iptables": false, "default-address-pools": [{"base": "10.0.0.0/8", "size": 24}]}'
    )
    # A drop-in for the unit of a package that is not there yet.
    (tmp_path / "units/docker.service.d").mkdir(parents=True)
    (tmp_path / "units/docker.service.d/proxy.conf").write_text("[Service]\nEnvironment=A=1\n")
    found = run_module(host_facts, docker={"runs_pods": True})["found"]
    assert [problem.split(", but")[0] for problem in found["docker_problems"]] == [
        f"Docker's icc is false in {docker}",
        f"Docker's iptables is false in {docker}",
    ]
    assert {"name": f"default-address-pools in {docker}", "network": "10.0.0.0/8"} in found["networks"]
    assert len(run_module(host_facts, docker={"runs_pods": False})["found"]["docker_problems"]) == 1
    assert run_module(host_facts)["found"]["docker_problems"] == []
    docker.write_text("{,}")
    assert "is not JSON" in run_module(host_facts, docker={})["found"]["docker_problems"][0]
    assert run_module(host_facts)["found"]["docker_problems"] == []


def test_what_an_earlier_run_added_to_daemon_json_follows_the_options(run_module, docker, tmp_path):
    docker.write_text('{"icc": false}')
    (tmp_path / "state.json").write_text('{"docker": {"settings": {"icc": false}}}')
    assert run_module(host_facts, docker={})["found"]["docker_problems"] == []
    problems = run_module(host_facts, docker={"options": {"icc": False}})["found"]["docker_problems"]
    assert problems[0].startswith("Docker's icc is false in docker_options, ")


def test_dockers_data_root(run_module, docker, tmp_path):
    def root(**options):
        found = run_module(host_facts, docker={"options": options}, directories=[_docker.DATA_ROOT, "/opt"])["found"]
        assert [*found["free_mb"]] == [found["docker_root"], "/opt"]
        return found["docker_root"]

    (tmp_path / "docker").symlink_to("home/docker")
    assert root() == f"{tmp_path}/home/docker"
    assert root(**{"data-root": "/data/docker"}) == "/data/docker"
    docker.write_text('{"data-root": "/srv/docker"}')
    assert root(**{"data-root": "/data/docker"}) == "/srv/docker"
    docker.write_text('{"data-root": "/srv//docker/"}')
    assert root() == "/srv/docker"
    docker.write_text('{"data-root": "/my docker"}')
    found = run_module(host_facts, docker={})["found"]
    assert found["docker_root"] == _docker.DATA_ROOT
    assert "data root is '/my docker'" in found["docker_problems"][0]


def test_a_host_with_a_firewall_of_ours(run_module, monkeypatch, tmp_path):
    unit = tmp_path / "plainkube-firewall.service"
    monkeypatch.setattr(host_facts._nft, "UNIT_PATH", str(unit))
    assert run_module(host_facts)["found"]["firewall"] is False
    unit.touch()
    assert run_module(host_facts)["found"]["firewall"] is True


def test_encryption_keys_are_told_apart_to_who_may_read_them(run_module, tmp_path, monkeypatch):
    key = _encryption.new_key(3)
    (tmp_path / "encryption.yaml").write_text(_encryption.render([key]))
    monkeypatch.setattr(_pki, "DIRECTORY", str(tmp_path))
    found = run_module(host_facts)["found"]["pki"]
    assert found["secret"] == ["encryption.yaml"]
    assert [one.split()[0] for one in found["encryption"]] == ["key-3"]
    assert key.secret not in str(found)

    def refuse(path):
        raise PermissionError(path)

    monkeypatch.setattr(host_facts._files, "read", refuse)
    assert _pki.encryption_keys(str(tmp_path / "encryption.yaml")) == []


def test_authorities_are_told_and_keys_only_named(run_module, tmp_path, monkeypatch):
    monkeypatch.setattr(_pki, "DIRECTORY", str(tmp_path))
    for name in ("ca.crt", "sa.key", "origin"):
        (tmp_path / name).write_text(f"content of {name}")
    result = run_module(host_facts)
    assert result["found"]["pki"] == {
        "public": {"ca.crt": "content of ca.crt", "origin": "content of origin"},
        "secret": ["sa.key"],
        "encryption": [],
    }
    assert {f"{stem}.crt" for stem in _certificates.AUTHORITIES.values()} < {*_pki.FILES}


def test_networks_of_interfaces_agree_with_the_kernels_routes(run_module):
    found = run_module(host_facts)["found"]["networks"]
    routes = subprocess.check_output(["ip", "-4", "route", "show", "scope", "link", "proto", "kernel"], text=True)
    kernels = {line.split()[0] for line in routes.splitlines() if "docker0" not in line}
    assert kernels <= {one["network"] for one in found}


def test_docker_is_asked_only_while_it_runs(run_module, monkeypatch, tmp_path):
    answer = [{"Name": "backend", "Id": "0" * 64, "Options": {}, "IPAM": {"Config": [{"Subnet": "10.9.0.0/24"}]}}]
    monkeypatch.setattr(_docker_api, "call", lambda *dummy, **more: answer)

    def names():
        return [one["name"] for one in run_module(host_facts)["found"]["networks"]]

    assert "the Docker network backend" not in names()
    # A pid that another process has by now.
    (tmp_path / "docker.pid").write_text(str(os.getpid()))
    assert "the Docker network backend" not in names()
    monkeypatch.setattr(host_facts._sockets, "name", lambda pid: "dockerd")
    assert "the Docker network backend" in names()

    def silent(*dummy, **more):
        raise OSError("timed out")

    warned = []
    monkeypatch.setattr(_docker_api, "call", silent)
    monkeypatch.setattr(AnsibleModule, "warn", lambda self, text, **dummy: warned.append(text))
    result = run_module(host_facts)
    assert [entry["name"] for entry in result["found"]["networks"]] == names()
    assert warned == ["Docker does not respond (timed out): its networks are known only from their interfaces."] * 2


def test_the_hosts_time_is_told(run_module):
    before = time.time()
    assert before <= run_module(host_facts)["time"] <= time.time()


def test_services_and_settings_are_those_on_disk(run_module, monkeypatch, tmp_path):
    monkeypatch.setattr(host_facts._places, "UNITS", str(tmp_path))
    monkeypatch.setattr(host_facts._places, "SUBNET_FILE", str(tmp_path / "subnet.env"))

    def found():
        facts = run_module(host_facts)["found"]
        return facts["services"], facts["settled"]

    assert found() == ([], {})
    for name in ("plainkube-load-balancer.service", "kubelet.service", "plainkube-other.timer"):
        (tmp_path / name).write_text("")
    (tmp_path / "kube-apiserver.service").write_text("  --service-cluster-ip-range=10.96.0.0/16 \\\n")
    assert found() == (["plainkube-load-balancer"], {"cluster_service_network": "10.96.0.0/16"})


def test_a_change_of_the_runtime_is_in_the_hosts_state(run_module, monkeypatch, tmp_path):
    state = tmp_path / "state.json"
    monkeypatch.setattr(host_facts._state, "PATH", str(state))
    assert run_module(host_facts)["found"]["runtime_change"] is False
    state.write_text('{"docker": {}, "runtime_change": {"to": "docker"}}', encoding="utf-8")
    assert run_module(host_facts)["found"]["runtime_change"] is True
    state.write_text("{", encoding="utf-8")
    assert run_module(host_facts)["msg"].startswith(f"{state} is damaged, so")
    assert run_module(host_facts)["msg"].endswith("; remove it.")


def test_an_etcd_of_others_is_no_member_that_lost_its_data(run_module, monkeypatch, tmp_path):
    monkeypatch.setattr(host_facts._places, "UNITS", str(tmp_path))
    monkeypatch.setattr(host_facts._unit_files, "DIRECTORIES", (str(tmp_path),))
    (tmp_path / "etcd.service").write_text("[Service]\nExecStart=/usr/bin/etcd\n")
    found = run_module(host_facts, components=[{"name": "etcd"}, {"name": "kubelet"}])["found"]
    assert found["etcd_state"] == "none"
    assert found["foreign_units"] == {"etcd": str(tmp_path / "etcd.service")}
    packaged = run_module(host_facts, components=[{"name": "etcd", "own_unit": False}])["found"]
    assert packaged["foreign_units"] == {}
    stamp = host_facts._unit_files._stamp
    (tmp_path / "etcd.service").write_text(stamp.append("[Service]\n", [], stamp.Stamp("0" * 64, "1")))
    found = run_module(host_facts, components=[{"name": "etcd"}, {"name": "kubelet"}])["found"]
    assert (found["etcd_state"], found["foreign_units"]) == ("lost", {})


def test_what_other_clusters_left_matters_only_where_nothing_is_installed(run_module, monkeypatch, tmp_path):
    chains = "table ip nat {\n\tchain KUBE-SERVICES {\n\t}\n}\n"
    output = host_facts._command.output

    def said(module, *command):
        return chains if command[:2] == ("nft", "list") else output(module, *command)

    monkeypatch.setattr(host_facts._command, "output", said)
    monkeypatch.setattr(host_facts._places, "RELEASES", str(tmp_path / "opt"))
    assert "the chains KUBE-*" in run_module(host_facts, components=[{"name": "kubelet"}])["found"]["leftovers"]
    # Only read from a host that becomes part of the cluster.
    assert run_module(host_facts)["found"]["leftovers"] == []
    (tmp_path / "opt/etcd").mkdir(parents=True)
    assert run_module(host_facts, components=[{"name": "kubelet"}])["found"]["leftovers"] == []


def test_firewalls_that_are_enabled(run_module, monkeypatch, tmp_path):
    def found():
        return run_module(host_facts)["found"]["firewalls"]

    ufw = tmp_path / "ufw.conf"
    monkeypatch.setattr(host_facts, "_UFW", str(ufw))
    link, cgroup = tmp_path / "firewalld.service", tmp_path / "cgroup"
    monkeypatch.setattr(host_facts, "_FIREWALLD", (str(link), str(cgroup)))
    assert found() == []
    ufw.write_text("# ENABLED=yes\nENABLED=no\n")
    assert found() == []
    ufw.write_text("ENABLED=yes\nLOGLEVEL=low\n")
    cgroup.mkdir()
    assert found() == ["ufw", "firewalld"]
    # Enabled, and stopped.
    cgroup.rmdir()
    link.symlink_to("/nowhere")
    assert found() == ["ufw", "firewalld"]


def test_the_name_servers_of_pods(run_module, monkeypatch, tmp_path):
    (tmp_path / "etc").write_text("nameserver 192.0.2.53\n")
    monkeypatch.setattr(_resolver, "OWN", str(tmp_path / "etc"))
    found = run_module(host_facts)["found"]
    assert (found["resolv_conf"], found["name_servers"]) == (str(tmp_path / "etc"), ["192.0.2.53"])


@pytest.fixture
def node(monkeypatch, tmp_path):
    """A node with containerd in these units and programs."""

    def make(program, runtime="containerd/containerd.sock"):
        for name in ("UNITS", "RELEASES", "BINARIES"):
            (tmp_path / name).mkdir(exist_ok=True)
            monkeypatch.setattr(host_facts._places, name, str(tmp_path / name))
        monkeypatch.setattr(host_facts._places, "KUBELET_YAML", str(tmp_path / "kubelet.yaml"))
        monkeypatch.setattr(host_facts._places, "PACKAGED_CONTAINERD", str(tmp_path / "usr" / "containerd"))
        (tmp_path / "kubelet.yaml").write_text(f"containerRuntimeEndpoint: unix:///run/{runtime}\n")
        (tmp_path / "UNITS" / "containerd.service").write_text(f"ExecStart={tmp_path / program} --config=/x\n")
        upstream = tmp_path / "RELEASES" / "containerd" / "2.2.9"
        for directory, text in (
            (upstream, "exit 1"),
            (tmp_path / "usr", "echo containerd github.com/x/y 1.7.24~ds1 1.7"),
        ):
            directory.mkdir(parents=True, exist_ok=True)
            (directory / "containerd").write_text(f"#!/bin/sh\n{text}\n")
            (directory / "containerd").chmod(0o755)
        link = tmp_path / "BINARIES" / "containerd"
        link.unlink(missing_ok=True)
        link.symlink_to(upstream / "containerd")

    return make


@pytest.mark.parametrize(
    ("program", "version"), [("BINARIES/containerd", "2.2.9"), ("usr/containerd", "1.7.24"), ("none/containerd", "")]
)
@pytest.mark.parametrize(("asked", "packaged"), [(False, ""), (True, "1.7.24")])
def test_the_version_of_a_nodes_containerd_and_of_the_distributions(
    run_module, node, program, version, asked, packaged
):
    node(program)
    found = run_module(host_facts, containerd=asked)["found"]
    assert (found["runtime_version"], found["containerd"]) == (version, packaged)
    node(program, runtime="cri-dockerd.sock")
    assert run_module(host_facts, containerd=asked)["found"]["runtime_version"] == ""


def test_links_where_systemd_makes_a_directory(run_module, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "etcd").symlink_to(tmp_path / "data")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    paths = [str(tmp_path / name) for name in ("etcd", "broken", "data", "none")]
    found = run_module(host_facts, components=[{"name": "etcd", "directories": paths}])["found"]["linked"]
    assert found == {paths[0]: paths[2], paths[1]: str(tmp_path / "nowhere")}


def test_versions_are_those_in_place(run_module, monkeypatch, tmp_path):
    monkeypatch.setattr(host_facts._places, "BINARIES", str(tmp_path))

    def found():
        return run_module(host_facts)["found"]["installed_versions"]

    assert found() == {}
    (tmp_path / "kubelet").symlink_to("/opt/plainkube/kubelet/v1.36.2/kubelet")
    (tmp_path / "etcd").symlink_to("/usr/bin/etcd")
    assert found() == {"kubelet": "1.36.2"}


def test_a_file_that_only_root_may_read_tells_nothing(monkeypatch):
    def denied(path):
        raise PermissionError(path)

    monkeypatch.setattr(host_facts._files, "read", denied)
    assert host_facts._files.readable("/etc/systemd/system/etcd.service") == ""


def test_interfaces_and_addresses_agree_with_the_kernel(run_module):
    facts = run_module(host_facts)["found"]
    assert "lo" in facts["interfaces"]
    assert {one["interface"] for one in facts["addresses"]} <= {*facts["interfaces"]}
