# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json
import os
import re
import shutil

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files, _host, _state
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import docker_rebridge
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _bridge, _docker, _docker_api
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _stamp

UNIT = "[Service]\nExecStart=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS\n"
OPTIONS = {"live-restore": True, "log-driver": "json-file"}
MINE = {"Id": "m1", "Names": ["/mine"], "Labels": {}}
POD = {"Id": "p1", "Names": ["/k8s_POD"], "Labels": {"io.kubernetes.pod.name": "hello"}}


class Host:
    """A host with Docker: enough of systemd, dockerd and the kernel to restart, to fail, and to be inspected."""

    def __init__(self, directory):
        self.directory = directory
        self.units = f"{directory}/lib"
        self.etc = f"{directory}/etc"
        self.json = f"{directory}/daemon.json"
        self.state = f"{directory}/state/state.json"
        self.subnet_file = f"{directory}/subnet.env"
        self.interface = f"{directory}/docker0"
        for path in (self.units, self.etc):
            os.makedirs(path)
        self.write(f"{self.units}/docker.service", UNIT)
        self.lease("10.244.5.1/24")
        self.states = {"docker.service": "inactive", "kubelet.service": "active"}
        self.enabled = False
        self.version = "26.1.5"
        self.address, self.mtu, self.network_mtu, self.stamp = "", 0, 0, ""
        self.part = ""  # of its network that Docker gives out
        self.containers, self.live_restore = [], True
        self.commands, self.calls = [], []
        self.containerd = []  # the environment of its process
        self.nat = ["-A POSTROUTING -j FLANNEL-POSTRTG", "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER"]
        self.breaks = None  # called when Docker starts; returns why it does not

    @staticmethod
    def write(path, text):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)

    def lease(self, address, mtu=1450):
        self.write(self.subnet_file, f"FLANNEL_SUBNET={address}\nFLANNEL_MTU={mtu}\nFLANNEL_IPMASQ=true\n")

    @property
    def drop_in(self):
        return f"{self.etc}/docker.service.d/zz-plainkube.conf"

    @property
    def containerd_drop_in(self):
        return f"{self.etc}/containerd.service.d/zz-plainkube.conf"

    def files(self):
        return {path: _files.read(path) for path in (self.state, self.drop_in, self.json)}

    def start(self):
        """dockerd's start: it uses the drop-in's values, or its defaults."""
        text = _files.read(self.drop_in) or ""
        if self.breaks and self.breaks(text):
            self.states["docker.service"] = "failed"
            return
        values = dict(re.findall(r"^(FLANNEL_\w+)=(.*)$", _files.read(self.subnet_file) or "", re.MULTILINE))
        self.states["docker.service"] = "active"
        self.stamp = str(_stamp.split(text)[2] or "")
        if self.containers and self.address:
            return  # with containers alive Docker keeps its old network
        subnet = values["FLANNEL_SUBNET"].rsplit(".", 1)[0]
        halves = {half for half in ("lower", "upper") if f"the {half} half" in text}
        self.part = f"{subnet}.{'0' if 'lower' in halves else '128'}/25" if halves else ""
        ours = "--bip=${FLANNEL_SUBNET}" in text
        self.address = values["FLANNEL_SUBNET"] if ours else "172.17.0.1/16"
        self.mtu = self.network_mtu = int(values["FLANNEL_MTU"]) if ours else 1500
        os.makedirs(self.interface, exist_ok=True)

    def systemctl(self, verb, *arguments):
        names = [argument for argument in arguments if not argument.startswith("--")]
        if verb == "show":
            state = self.states.get(names[-1], "inactive")
            enabled = "enabled" if self.enabled else "disabled"
            return f"ActiveState={state}\nSubState=x\nMainPID=0\nLoadState=loaded\nUnitFileState={enabled}\n"
        if verb == "start" and "docker.service" in names:
            self.start()
        elif verb in ("start", "stop"):
            self.states.update({name: {"start": "active", "stop": "inactive"}[verb] for name in names})
        elif verb == "restart":
            assert names == ["containerd.service"]
            self.containerd = re.findall("^Environment=(.*)$", _files.read(self.containerd_drop_in) or "", re.MULTILINE)
        elif verb == "enable":
            self.enabled = True
        return ""

    def run_command(self, command, **dummy):
        program, *arguments = command
        if program == "systemctl":
            if arguments[0] not in ("show", "reset-failed", "daemon-reload"):
                self.commands.append(" ".join(command))
            return 0, self.systemctl(*arguments), ""
        if command[-1] == "--version":
            return 0, f"Docker version {self.version}, build 1", ""
        if command[:3] == ["ip", "link", "set"]:
            self.commands.append(" ".join(command))
            self.mtu = int(command[-1]) if command[4] == "docker0" else self.mtu
            self.write(f"{os.path.dirname(self.interface)}/{command[4]}/mtu", f"{command[-1]}\n")
        elif command[:2] == ["ip", "link"]:
            self.commands.append(" ".join(command))
            shutil.rmtree(self.interface)
            self.address = ""
        if command[:2] == ["ip", "-json"]:
            local, dummy2, length = self.address.partition("/")
            info = [{"local": local, "prefixlen": int(length)}] if local else []
            return 0, json.dumps([{"ifname": "docker0", "mtu": self.mtu, "addr_info": info}]), ""
        if program == "iptables" and "-D" in command:
            self.nat.remove("-A " + " ".join(command[command.index("-D") + 1 :]))
        return 0, "\n".join(self.nat) if program == "iptables" else "failed to start daemon: broken\n", ""

    def call(self, method, path, **dummy):
        """Docker's API."""
        assert self.states["docker.service"] == "active", "the API's socket would start Docker"
        if path == "/networks/bridge":
            network = self.address.rsplit(".", 1)[0] + ".0/" + self.address.partition("/")[2]
            network = "172.17.0.0/16" if self.address.startswith("172") else network
            return {
                "IPAM": {"Config": [{"Subnet": network, "IPRange": self.part}]},
                "Options": {"com.docker.network.driver.mtu": self.network_mtu},
            }
        if path == "/info":
            return {"LiveRestoreEnabled": self.live_restore}
        if path == "/containers/json":
            return self.containers
        self.calls.append(path)
        self.containers = [one for one in self.containers if f"/containers/{one['Id']}/stop?t=10" != path]
        return None


@pytest.fixture
def host(tmp_path, monkeypatch):
    fake = Host(str(tmp_path))
    monkeypatch.setattr(docker_rebridge._unit_files, "DIRECTORIES", (fake.etc, fake.units))
    monkeypatch.setattr(_bridge, "INTERFACE", fake.interface)
    monkeypatch.setattr(_docker, "DAEMON_JSON", fake.json)
    monkeypatch.setattr(_state, "PATH", fake.state)
    monkeypatch.setattr(_host, "has_capability", lambda status, capability: True)
    monkeypatch.setattr(_docker_api, "call", fake.call)
    monkeypatch.setattr(_stamp, "of_process", lambda pid: fake.stamp)
    monkeypatch.setattr(_stamp, "environment", lambda pid: "\0".join(fake.containerd).encode())
    monkeypatch.setattr(AnsibleModule, "run_command", lambda self, command, **options: fake.run_command(command))
    # A process without a PID is not running.
    show = docker_rebridge._systemd.show
    monkeypatch.setattr(
        docker_rebridge._systemd,
        "show",
        lambda module, unit: {**show(module, unit), "MainPID": "7" if fake.states.get(unit) == "active" else "0"},
    )
    return fake


@pytest.fixture
def run(host, run_module):
    def run_it(**arguments):
        defaults = {"subnet_file": host.subnet_file, "docker_options": OPTIONS, "wait": 0}
        host.commands.clear()
        host.calls.clear()
        return run_module(docker_rebridge, **{**defaults, **arguments})

    return run_it


RESTART = ["systemctl stop docker.socket docker.service", "systemctl start --no-block docker.service"]
REBUILD = [RESTART[0], "ip link delete docker0", RESTART[1]]


def starts(result):
    """verb -> the reasons to restart Docker."""
    found = [action for action in result["actions"] if action[0] in ("start", "restart")]
    assert all(subject == "docker" for dummy, subject, dummies in found)
    return {verb: reason for verb, dummy, reason in found}


def test_a_docker_that_never_ran(host, run):
    told = run(_ansible_check_mode=True)
    assert host.commands == []
    assert host.files() == dict.fromkeys([host.state, host.drop_in, host.json])
    result = run()
    assert result == told
    assert result["changed"]
    assert [action[:2] for action in result["actions"]] == [
        ("write", host.state),
        ("write", host.drop_in),
        ("write", host.json),
        ("start", "docker"),
    ]
    assert result["bridge"] == {"address": "10.244.5.1/24", "mtu": 1450}
    assert host.commands == ["systemctl enable --quiet --no-reload docker.service", *RESTART]
    assert json.loads(_files.read(host.json)) == OPTIONS
    assert host.address == "10.244.5.1/24"


def test_a_second_run_does_nothing(host, run):
    run()
    before = host.files()
    result = run()
    assert result == {**result, "changed": False, "actions": [], "diff": []}
    assert host.commands == []
    assert host.files() == before


def test_a_docker_that_would_not_start_at_boot_is_enabled(host, run):
    run()
    host.enabled = False
    told = run(_ansible_check_mode=True)
    assert told["actions"] == [("enable", "docker", "it would not start at boot")]
    assert run() == told
    assert host.commands == ["systemctl enable --quiet --no-reload docker.service"]
    assert not run()["changed"]


def test_iptables_rules_that_are_gone_are_written_again_without_stopping_containers(host, run):
    run()
    host.containers = [POD, MINE]
    rule = host.nat.pop()
    host.breaks = lambda dummy: host.nat.append(rule) or ""
    planned = run(_ansible_check_mode=True)
    assert starts(planned) == {"restart": "its iptables rules are gone, so hostPorts do not work"}
    host.commands.clear()
    assert run() == planned
    assert host.commands == RESTART
    assert host.calls == []
    assert not run()["changed"]


def test_a_docker_on_its_own_bridge(host, run):
    host.start()
    host.nat.append("-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE")
    result = run()
    assert "docker0 has 172.17.0.1/16, flannel's subnet is 10.244.5.1/24" in starts(result)["restart"]
    assert host.commands[1:] == REBUILD
    assert "MASQUERADE" not in "".join(host.nat)


def test_another_lease(host, run):
    run()
    host.lease("10.244.9.1/24", 1400)
    assert [*starts(run(_ansible_check_mode=True))] == ["restart"]
    result = run()
    assert result["bridge"] == {"address": "10.244.9.1/24", "mtu": 1400}
    assert host.commands == REBUILD
    assert not run()["changed"]


def test_an_mtu_that_somebody_changed_is_repaired_without_a_restart(host, run):
    run()
    host.mtu = 1500
    for name, mtu in (("veth1", 1500), ("veth2", 1450), ("tap1", 1500)):
        os.makedirs(f"{host.interface}/brif/{name}")
        host.write(f"{os.path.dirname(host.interface)}/{name}/mtu", f"{mtu}\n")
    host.containers = [MINE, POD]
    told = run(_ansible_check_mode=True)
    assert host.commands == []
    assert told["actions"] == [
        ("apply", "MTU of docker0", "docker0 has an MTU of 1500, flannel's is 1450"),
        ("apply", "MTU of veth1", "veth1 has an MTU of 1500, flannel's is 1450"),
    ]
    assert run() == told
    assert host.commands == ["ip link set dev docker0 mtu 1450", "ip link set dev veth1 mtu 1450"]
    assert not run()["changed"]


def test_a_changed_daemon_json_keeps_the_bridge(host, run):
    run()
    host.write(host.json, json.dumps({**OPTIONS, "debug": True}))
    result = run()
    assert starts(result) == {"restart": f"{host.json} changed"}
    assert host.commands == RESTART
    assert json.loads(_files.read(host.json))["debug"] is True


def test_a_run_that_was_killed_before_the_restart_is_completed(host, run):
    run()
    stamp = host.stamp
    run(docker_options={**OPTIONS, "debug": True})
    host.stamp = stamp
    result = run(docker_options={**OPTIONS, "debug": True})
    assert [*starts(result)] == ["restart"]
    assert host.commands == RESTART


@pytest.mark.parametrize("check", [False, True])
def test_foreign_containers_are_not_stopped(host, run, check):
    host.start()
    host.containers = [MINE, POD]
    result = run(_ansible_check_mode=check)
    assert "mine" in result["msg"]
    assert "k8s_POD" not in result["msg"]
    assert host.commands == []
    assert host.files() == dict.fromkeys([host.state, host.drop_in, host.json])


def test_foreign_containers_are_stopped_and_started_if_allowed(host, run):
    host.start()
    host.containers = [MINE, POD]
    result = run(foreign_containers="restart")
    assert result["containers"] == ["mine"]
    assert sorted(host.calls[:2]) == ["/containers/m1/stop?t=10", "/containers/p1/stop?t=10"]
    assert host.calls[2:] == ["/containers/m1/start"]
    assert host.commands[1] == "systemctl stop kubelet.service"
    assert host.commands[-1] == "systemctl start --no-block kubelet.service"


def test_containers_survive_a_restart_with_live_restore(host, run):
    run()
    host.containers = [MINE, POD]
    result = run(docker_options={**OPTIONS, "debug": True})
    assert result["changed"]
    assert host.calls == []
    assert host.commands == RESTART
    host.containers = [MINE]
    host.live_restore = False
    assert "mine" in run()["msg"]


def test_the_configuration_is_restored_if_docker_does_not_start(host, run):
    run()
    before, address = host.files(), host.address
    host.breaks = lambda text: '"nonsense"' in _files.read(host.json)
    host.containers = [MINE]
    host.lease("10.244.9.1/24")
    result = run(docker_options={"nonsense": 1}, foreign_containers="restart")
    assert "failed to start daemon: broken" in result["msg"]
    assert "the old configuration is restored, and Docker runs with it" in result["msg"]
    assert host.files() == before
    assert host.states["docker.service"] == "active"
    assert host.calls[-1] == "/containers/m1/start"
    assert host.address != address  # the old drop-in follows the lease as well


def test_the_rollback_does_not_start_a_stopped_docker(host, run):
    host.breaks = lambda text: True
    result = run()
    assert "Docker is stopped as before" in result["msg"]
    assert host.files() == dict.fromkeys([host.state, host.drop_in, host.json])
    assert host.states["docker.service"] == "inactive"


def test_a_bridge_that_masquerades_is_rolled_back(host, run):
    host.start()
    rule = "-A POSTROUTING -s 10.244.5.0/24 ! -o docker0 -j MASQUERADE"
    host.breaks = lambda text: bool(text) and host.nat.append(rule)
    result = run()
    assert "Docker masquerades 10.244.5.0/24" in result["msg"]
    assert host.address == "172.17.0.1/16"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{,}", "is not JSON"),
        ('{"log-driver": "journald"}', "Docker's log-driver is journald in {json}, but "),
        ('{"bridge": "br0"}', "Docker's bridge is br0 in {json}, but "),
    ],
)
def test_refused_before_anything_is_changed(host, run, text, sentence):
    host.write(host.json, text)
    result = run()
    assert sentence.format(json=host.json) in result["msg"]
    assert _files.read(host.json) == text
    assert host.commands == []


def test_a_refusal_names_the_file_of_a_flag_and_the_options(host, run):
    drop_in = f"{host.etc}/docker.service.d/10-more.conf"
    host.write(drop_in, "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd --icc=false\n")
    host.write(f"{host.etc}/docker.service.d/20-like.conf", "[Service]\nEnvironment=A=--icc-like=1\n")
    assert run()["msg"].startswith(f"Docker's icc is false in {drop_in}, but ")
    os.unlink(drop_in)
    host.write(f"{host.directory}/default", 'DOCKER_OPTS="--iptables=false"\n')
    host.write(f"{host.units}/docker.service", f"{UNIT}EnvironmentFile=-{host.directory}/default\n")
    assert run()["msg"].startswith(f"Docker's iptables is false in {host.directory}/default, but ")
    os.unlink(f"{host.directory}/default")
    assert run(docker_options={"icc": False})["msg"].startswith("Docker's icc is false in docker_options, but ")
    # What an earlier version added, this run removes.
    host.write(host.json, '{"icc": false}')
    host.write(host.state, json.dumps({"docker": {"daemon_json": host.json, "settings": {"icc": False}}}))
    assert "msg" not in run()
    assert json.loads(_files.read(host.json)) == OPTIONS
    assert host.commands[-1] == RESTART[-1]


def test_a_swarm_is_found_in_the_data_root(host, run):
    host.write(host.json, json.dumps({"data-root": f"{host.directory}/link"}))
    os.makedirs(f"{host.directory}/data")
    os.symlink(f"{host.directory}/data", f"{host.directory}/link")
    host.write(f"{host.directory}/data/swarm/docker-state.json", "{}")
    assert "Docker is part of a swarm" in run()["msg"]
    assert host.commands == []
    assert "msg" not in run(docker_options={})


def test_our_settings_are_in_the_state_and_changed_ones_are_not(host, run):
    run(docker_options={**OPTIONS, "debug": False})
    host.write(host.json, json.dumps({**OPTIONS, "debug": True}))
    run(docker_options={**OPTIONS, "debug": False})
    assert json.loads(_files.read(host.json))["debug"] is True
    assert json.loads(_files.read(host.state)) == {"docker": {"daemon_json": host.json, "settings": OPTIONS}}
    assert os.stat(host.state).st_mode & 0o777 == 0o600
    # A new option, and a removed one.
    run(docker_options={"live-restore": True, "max-concurrent-downloads": 2})
    assert json.loads(_files.read(host.json)) == {"live-restore": True, "debug": True, "max-concurrent-downloads": 2}


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("text", ["{,}", "[]", '{"docker": 1}'])
def test_a_damaged_state_is_reported_before_any_change(host, run, installed, text):
    if not installed:
        os.unlink(f"{host.units}/docker.service")
    host.write(host.state, text)
    result = run(_ansible_check_mode=not installed)
    assert (
        result["msg"] == f"{host.state} is damaged, so the changes of earlier runs on this host are unknown; remove it."
    )
    assert host.commands == []
    assert host.files() == {host.state: text, host.drop_in: None, host.json: None}


def test_without_the_state_nothing_in_daemon_json_is_ours(host, run):
    run()
    os.unlink(host.state)
    result = run()
    assert result["actions"] == [("write", host.state, "")]
    assert host.commands == []
    run(docker_options={})
    assert json.loads(_files.read(host.json)) == OPTIONS


def test_a_masked_docker_is_refused(host, run):
    os.symlink("/dev/null", f"{host.etc}/docker.service")
    assert "docker.service is masked" in run()["msg"]
    assert host.commands == []


def test_an_old_docker_is_refused(host, run):
    host.version = "19.03.15"
    assert "19.3.15; 20.10 or later" in run()["msg"]


def test_no_lease(host, run):
    os.unlink(host.subnet_file)
    result = run(_ansible_check_mode=True)
    assert result["changed"]
    assert result["bridge"] == {}
    assert "flannel has no subnet yet" in starts(result)["start"]
    assert host.subnet_file in run()["msg"]


def test_no_docker(host, run):
    os.unlink(f"{host.units}/docker.service")
    result = run(_ansible_check_mode=True)
    assert result["changed"]
    assert result["actions"] == [
        ("write", host.state, ""),
        ("write", host.drop_in, ""),
        ("write", host.json, ""),
        ("start", "docker", "it is not installed yet"),
    ]
    assert "The command of docker.service, once it is installed" in result["diff"][1]["after"]
    assert "install Docker Engine" in run()["msg"]


def test_foreign_drop_ins_are_part_of_the_command(host, run):
    host.write(f"{host.units}/docker.service.d/10-vendor.conf", "[Service]\nLimitNOFILE=1\n")
    host.write(
        f"{host.etc}/docker.service.d/override.conf", "[Service]\nExecStart=\nExecStart=/opt/dockerd --bip=1.1.1.1/8\n"
    )
    run()
    assert "ExecStart=/opt/dockerd --bip=${FLANNEL_SUBNET}" in _files.read(host.drop_in)
    host.write(f"{host.etc}/docker.service.d/10-vendor.conf", "[Service]\nLimitNOFILE=2\n")
    assert [*starts(run())] == ["restart"]


def test_drop_ins_for_all_services_are_part_of_the_command(host, run):
    run()
    host.write(f"{host.units}/service.d/10-all.conf", "[Service]\nLimitNOFILE=1\n")
    assert [*starts(run())] == ["restart"]
    assert not run()["changed"]


def test_a_stopped_docker_with_running_containers_is_started_to_list_them(host, run):
    run()
    host.states["docker.service"] = "inactive"
    os.makedirs(f"{host.interface}/brif/veth1")
    host.lease("10.244.9.1/24")
    host.containers = [MINE]
    assert [*starts(run(_ansible_check_mode=True))] == ["start"]
    assert host.commands == []
    assert "mine" in run()["msg"]
    assert host.commands == RESTART[1:]
    assert run(foreign_containers="restart")["containers"] == ["mine"]
    assert host.address == "10.244.9.1/24"


HALVES = {"fixed_cidr": "lower", "pod_range": "upper"}


def test_a_part_of_the_subnet(host, run):
    """The bridge stays: pods of another runtime are on it."""
    run()
    told = run(**HALVES, _ansible_check_mode=True)
    assert host.part == ""
    result = run(**HALVES)
    assert result == told
    assert "Docker assigns addresses of 10.244.5.0/24, and its range is 10.244.5.0/25" in starts(result)["restart"]
    assert host.commands == RESTART
    assert host.part == "10.244.5.0/25"
    for check in (True, False):
        assert not run(**HALVES, _ansible_check_mode=check)["changed"]
    assert "and its range is 10.244.5.0/24" in starts(run())["restart"]
    assert host.part == ""


def test_another_lease_with_pods_of_another_runtime(host, run):
    run(**HALVES)
    host.lease("10.244.9.1/24")
    assert "docker0 has 10.244.5.1/24, flannel's subnet is 10.244.9.1/24" in starts(run(**HALVES))["restart"]
    assert host.commands == RESTART
    assert (host.address, host.part) == ("10.244.9.1/24", "10.244.9.0/25")
    assert not run(**HALVES)["changed"]


def test_parts_that_overlap_are_refused(host, run):
    run()
    assert "overlaps the pods' 10.244.5.128/25" in run(pod_range="upper")["msg"]
    assert "is not inside flannel's subnet" in run(fixed_cidr="10.9.0.0/24", pod_range="upper")["msg"]
    assert host.commands == []


def test_another_part_stops_dockers_containers_or_is_refused(host, run):
    run()
    host.containers = [MINE]
    assert "which would stop containers that Kubernetes does not own: mine" in run(**HALVES)["msg"]
    assert host.commands == []
    result = run(**HALVES, foreign_containers="restart")
    assert result["containers"] == ["mine"]
    assert host.part == "10.244.5.0/25"


RESTART_CONTAINERD = "systemctl restart containerd.service"


@pytest.fixture
def containerd(host):
    """containerd 2.x, which the package's installation has started."""
    host.write(f"{host.units}/containerd.service", "[Service]\nExecStart=/usr/bin/containerd\nKillMode=process\n")
    host.states["containerd.service"] = "active"


@pytest.fixture
def containerd_later(host, request):
    return lambda: request.getfixturevalue("containerd")


def limits(result):
    return [(verb, reason) for verb, subject, reason in result["actions"] if subject == "containerd"]


@pytest.mark.usefixtures("containerd")
def test_containers_may_open_as_many_files_with_containerd_2(host, run):
    """Before the first container, so with the first start of Docker."""
    told = run(_ansible_check_mode=True)
    assert not host.commands
    result = run()
    assert result == told
    assert limits(result) == [("restart", "its containers may open only as many files as systemd's default says, 1024")]
    assert "LimitNOFILE=infinity" in _files.read(host.containerd_drop_in)
    assert host.commands[1:] == [RESTART[0], RESTART_CONTAINERD, RESTART[1]]
    for check in (True, False):
        assert not run(_ansible_check_mode=check)["changed"]


def test_a_running_docker_is_not_restarted_for_it(host, run, containerd_later):
    run()
    containerd_later()
    host.containers = [POD, MINE]
    told = run(_ansible_check_mode=True)
    assert told["actions"][0] == ("write", host.containerd_drop_in, "")
    result = run()
    assert result == told
    assert host.commands == [RESTART_CONTAINERD]
    assert host.calls == []
    assert not run()["changed"]


@pytest.mark.usefixtures("containerd")
def test_a_run_that_ended_before_containerds_restart(host, run):
    run()
    host.containerd = []
    assert limits(run(_ansible_check_mode=True)) == limits(run())
    assert host.commands == [RESTART_CONTAINERD]
    assert not run()["changed"]


@pytest.mark.usefixtures("containerd")
def test_a_stopped_containerd_starts_with_docker(host, run):
    host.states["containerd.service"] = "inactive"
    assert limits(run()) == []
    assert RESTART_CONTAINERD not in host.commands


@pytest.mark.usefixtures("containerd")
def test_a_limit_of_the_administrator_is_kept(host, run):
    nofile = {"nofile": {"Name": "nofile", "Hard": 64000, "Soft": 64000}}
    assert limits(run(docker_options={**OPTIONS, "default-ulimits": nofile})) == []
    assert not os.path.exists(host.containerd_drop_in)
    host.write(f"{host.etc}/containerd.service.d/mine.conf", "[Service]\nLimitNOFILE=4096\n")
    assert limits(run()) == []
    assert not os.path.exists(host.containerd_drop_in)


@pytest.mark.usefixtures("containerd")
def test_a_containerd_whose_restart_would_stop_containers_is_left_alone(host, run):
    """It gets the limit at the next boot."""
    host.write(f"{host.etc}/containerd.service.d/mine.conf", "[Service]\nKillMode=control-group\n")
    assert limits(run()) == []
    assert "LimitNOFILE=infinity" in _files.read(host.containerd_drop_in)
    assert RESTART_CONTAINERD not in host.commands
    assert not run()["changed"]


PROXY = {"HTTP_PROXY": "http://user:Geheim@proxy:3128", "NO_PROXY": "localhost"}


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """The path of dockerd's variables."""
    monkeypatch.setattr(docker_rebridge._environment, "DIRECTORY", str(tmp_path / "kubernetes"))
    return tmp_path / "kubernetes" / "plainkube-docker.env"


def test_variables_restart_docker_and_only_root_reads_them(host, run, environment):
    run()
    for proxy in (PROXY, {**PROXY, "HTTP_PROXY": "http://user:Geheim2@proxy:3128"}):
        told = run(environment=proxy, _ansible_check_mode=True)
        assert host.commands == []
        assert f"{environment} changes" in starts(told)["restart"]
        result = run(environment=proxy)
        assert result == told
        assert host.commands == RESTART
        assert f'HTTP_PROXY="{proxy["HTTP_PROXY"]}"\n' in environment.read_text()
        assert environment.stat().st_mode & 0o777 == 0o600
        assert f"EnvironmentFile=-{environment}\n" in host.files()[host.drop_in]
        assert "Geheim" not in str(result) + str(host.files())
        assert run(environment=proxy)["changed"] is False
    result = run()
    assert ([*starts(result)], environment.exists()) == (["restart"], False)
    assert ("remove", str(environment), "") in result["actions"]
    assert run()["changed"] is False


def test_stale_variables_are_removed_after_the_restart(host, run, environment):
    """The remains of a run that was killed between the restart and the removal."""
    run()
    environment.parent.mkdir()
    environment.write_text("old", encoding="utf-8")
    told = run(_ansible_check_mode=True)
    assert (told["actions"], environment.exists()) == ([("remove", str(environment), "")], True)
    result = run()
    assert result == told
    assert (host.commands, environment.exists()) == ([], False)


def test_the_variables_are_restored_if_docker_does_not_start(host, run, environment):
    run(environment=PROXY)
    before, text = host.files(), environment.read_text()
    host.breaks = lambda drop_in: drop_in != before[host.drop_in]
    result = run(environment={**PROXY, "NO_PROXY": "localhost,other"})
    assert "the old configuration is restored, and Docker runs with it" in result["msg"]
    assert (host.files(), environment.read_text()) == (before, text)
    assert "Geheim" not in str(result)
