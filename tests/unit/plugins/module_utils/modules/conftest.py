# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import time
import typing as t

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.etcd import _member
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _state
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.removal import _paths
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _bridge, _docker, _docker_api
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _stamp


class EtcdServer(t.NamedTuple):
    """A real etcd with TLS, and how to reach it."""

    endpoint: str
    directory: str
    process: subprocess.Popen

    def options(self, user: str = "root") -> dict[str, t.Any]:
        """The options of the etcd modules, with the certificate of this user."""
        return {
            "endpoints": [self.endpoint],
            "ca": f"{self.directory}/ca.crt",
            "cert": f"{self.directory}/{user}.crt",
            "key": f"{self.directory}/{user}.key",
            "wait": 10,
        }

    def etcdctl(self, *arguments: str, user: str = "root") -> subprocess.CompletedProcess:
        options = self.options(user)
        flags = [f"--endpoints={self.endpoint}", f"--cacert={options['ca']}"]
        flags += [f"--cert={options['cert']}", f"--key={options['key']}", "--command-timeout=5s"]
        return subprocess.run(["etcdctl", *flags, *arguments], capture_output=True, text=True, check=False)


def _openssl(directory: str, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


def _certificates(directory: str) -> None:
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    ca = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"]
    _openssl(directory, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=etcd-ca", *ca)
    for name in ("server", "root", "flanneld", "kube-apiserver"):
        extra = ["-addext", "subjectAltName=IP:127.0.0.1,IP:127.0.0.3", "-CA", "ca.crt", "-CAkey", "ca.key"]
        files = ["-keyout", f"{name}.key", "-out", f"{name}.crt"]
        _openssl(directory, "req", "-x509", *key, *files, "-subj", f"/CN={name}", *extra)


class EtcdFleet:
    """Hosts for members of etcd, each of which starts etcd as role etcd's unit does."""

    SECONDS = 60  # on a machine with better things to do

    def __init__(self, directory: pathlib.Path, reserved_port: t.Callable[[], int]) -> None:
        self.directory = directory
        self.reserved_port = reserved_port
        self.urls: dict[str, tuple[str, str]] = {}  # peers', clients'
        self.processes: dict[str, subprocess.Popen] = {}
        _certificates(str(directory))

    def host(self, name: str) -> pathlib.Path:
        """Where a host has its data, its environment file and its unit."""
        path = self.directory / name
        if name not in self.urls:
            path.mkdir()
            self.urls[name] = (f"http://127.0.0.1:{self.reserved_port()}", f"https://127.0.0.1:{self.reserved_port()}")
        return path

    def has_data(self, name: str) -> bool:
        return any((self.host(name) / "data").glob(_member.WAL))

    def options(self, name: str, *others: str) -> dict[str, t.Any]:
        """The options of module etcd_member on a host, for a cluster with these others."""
        members = []
        for one in (name, *others):
            path = self.host(one)
            first_start = path / "first-start"
            state = _member.state_of(
                self.has_data(one),
                first_start.read_text() if first_start.exists() else None,
                (path / "etcd.service").exists(),
            )
            members.append(
                {"name": one, "peer_url": self.urls[one][0], "client_url": self.urls[one][1], "state": state}
            )
        client = {kind: f"{self.directory}/{file}" for kind, file in CLIENT.items()}
        return {
            "name": name,
            "members": sorted(members, key=lambda one: one["name"]),
            **client,
            "wait": self.SECONDS,
        }

    def start(self, *names: str) -> None:
        """All at once; without waiting for any, as systemctl --no-block."""
        for name in names:
            path, (peer, client) = self.host(name), self.urls[name]
            (path / "etcd.service").write_text(f"--initial-advertise-peer-urls={peer} ")
            settings = {"ETCD_INITIAL_CLUSTER_STATE": "existing"}
            if (path / "first-start").exists():
                settings.update(line.split("=", 1) for line in (path / "first-start").read_text().splitlines())
            with open(path / "etcd.log", "a", encoding="utf-8") as log:
                self.processes[name] = subprocess.Popen(
                    ["etcd", f"--name={name}", f"--data-dir={path}/data", "--initial-cluster-token=fleet"]
                    + [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
                    + [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", "--client-cert-auth"]
                    + ["--trusted-ca-file=ca.crt", "--cert-file=server.crt", "--key-file=server.key"],
                    cwd=self.directory,
                    env={**os.environ, **settings},
                    stdout=log,
                    stderr=log,
                )

    def ready(self, *names: str) -> None:
        """Wait for them; the unit then removes the environment file."""
        for name in names:
            end = time.monotonic() + self.SECONDS
            while "ready to serve client requests" not in (self.host(name) / "etcd.log").read_text():
                assert self.processes[name].poll() is None, self.log(name)
                assert time.monotonic() < end, self.log(name)
                time.sleep(0.1)
            (self.host(name) / "first-start").unlink(missing_ok=True)

    def stop(self, *names: str) -> None:
        for name in names:
            process = self.processes.pop(name, None)
            if process:
                process.kill()
                process.wait()
            (self.host(name) / "etcd.log").unlink(missing_ok=True)

    def move(self, name: str) -> None:
        """The host has another address; etcd does not know yet."""
        peer, client = self.urls[name]
        self.urls[name] = (peer.replace("127.0.0.1", "127.0.0.3"), client.replace("127.0.0.1", "127.0.0.3"))

    def lose(self, name: str) -> None:
        """The disk is empty; the unit, on another one, is still there."""
        self.stop(name)
        shutil.rmtree(self.host(name) / "data")

    def log(self, name: str) -> str:
        return (self.host(name) / "etcd.log").read_text()

    def etcdctl(self, name: str, *arguments: str) -> t.Any:
        """etcdctl's JSON, asked of this member."""
        flags = [f"--endpoints={self.urls[name][1]}", "--write-out=json"]
        flags += [
            f"--{flag}={self.directory}/{CLIENT[kind]}"
            for flag, kind in (("cacert", "ca"), ("cert", "cert"), ("key", "key"))
        ]
        done = subprocess.run(["etcdctl", *flags, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stderr}\n{self.log(name)}"
        return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.stdout

    def serves(self, name: str) -> None:
        """Wait until there is a leader: whoever was stopped may have been it."""

        def answers() -> bool:
            try:
                return bool(self.members(name))
            except AssertionError:
                return False

        assert poll(answers, bool, self.SECONDS), self.log(name)

    def members(self, name: str) -> dict[str, bool]:
        """Who is in the cluster of this member, and who has a vote."""
        found = self.etcdctl(name, "member", "list")["members"]
        return {one.get("name", ""): not one.get("isLearner", False) for one in found}

    def peer_urls(self, name: str) -> dict[str, list[str]]:
        """Where the members reach each other, according to this one."""
        return {one["name"]: one["peerURLs"] for one in self.etcdctl(name, "member", "list")["members"]}

    def cluster(self, name: str) -> int:
        return self.etcdctl(name, "member", "list")["header"]["cluster_id"]


CLIENT = {"ca": "ca.crt", "cert": "root.crt", "key": "root.key"}


@pytest.fixture
def etcd_fleet(tmp_path, monkeypatch, etcd_binaries, reserved_port):
    monkeypatch.setenv("PATH", f"{etcd_binaries}:{os.environ['PATH']}")
    fleet = EtcdFleet(tmp_path, reserved_port)
    yield fleet
    fleet.stop(*list(fleet.processes))


@pytest.fixture
def etcd(tmp_path, monkeypatch, etcd_binaries, reserved_port):
    """A real etcd with TLS."""
    monkeypatch.setenv("PATH", f"{etcd_binaries}:{os.environ['PATH']}")
    directory = str(tmp_path)
    _certificates(directory)
    client, peer = (f"127.0.0.1:{reserved_port()}" for dummy in range(2))
    with open(f"{directory}/etcd.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            ["etcd", f"--data-dir={directory}/data", f"--listen-client-urls=https://{client}"]
            + [f"--advertise-client-urls=https://{client}", f"--listen-peer-urls=http://{peer}"]
            + [f"--initial-advertise-peer-urls=http://{peer}", f"--initial-cluster=default=http://{peer}"]
            + ["--client-cert-auth", "--trusted-ca-file=ca.crt", "--cert-file=server.crt", "--key-file=server.key"],
            cwd=directory,
            stdout=log,
            stderr=log,
        )
    yield EtcdServer(f"https://{client}", directory, process)
    process.terminate()
    process.wait(timeout=10)


class FakeHost:
    """Files below a directory, and the parts of systemd, Docker, containerd and the network that a removal uses."""

    STAMP = _stamp.Stamp("a" * 64, "1")

    class Killed(BaseException):
        """The run is killed here, as with SIGKILL."""

    def __init__(self, root: str, theirs: dict[str, str], services: t.Iterable[str], their_rules: str = "") -> None:
        self.root, self.theirs, self.services, self.their_rules = root, theirs, services, their_rules
        self.start()

    def start(self) -> None:
        """The host with nothing of ours but services that run."""
        shutil.rmtree(self.root)
        for path, text in self.theirs.items():
            self.write(path, text)
        self.states = dict.fromkeys(self.services, "active")
        self.enabled: set[str] = {*self.services}
        self.containers: list[dict[str, t.Any]] = []
        self.images: list[dict[str, t.Any]] = []
        self.pods: list[str] = []
        self.pod_images: list[str] = []
        self.rules, self.restored = self.their_rules, ""
        # Of Docker's process, and what Docker keeps of docker0.
        self.stamp, self.network = "", ""
        self.done: list[str] = []
        self.kill_at: int | None = None
        self.stuck = False

    def write(self, path: str, text: str = "") -> None:
        place = pathlib.Path(f"{self.root}{path}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")

    def read(self, path: str) -> str:
        return pathlib.Path(f"{self.root}{path}").read_text(encoding="utf-8")

    def link(self, path: str, target: str) -> None:
        os.makedirs(os.path.dirname(f"{self.root}{path}"), exist_ok=True)
        os.symlink(target, f"{self.root}{path}")

    def unit(self, name: str, *inputs: str) -> None:
        """A unit of ours; its inputs are as they are now."""
        found = self.files()
        contents = {path: found[path] for path in inputs if path in found}
        self.write(f"/etc/systemd/system/{name}.service", _stamp.append("[Service]\n", inputs, self.STAMP, contents))

    def docker_on_flannel(self, **others: t.Any) -> None:
        """docker_rebridge's drop-in and settings; others are in the host's state."""
        drop_in = _stamp.append("[Service]\n", ["/etc/docker/daemon.json"], self.STAMP)
        ours = _docker.Record("/etc/docker/daemon.json", {"live-restore": True})._asdict()
        self.write(_state.PATH, json.dumps({_state.DOCKER: ours, **others}))
        self.write("/etc/systemd/system/docker.service.d/zz-plainkube.conf", drop_in)
        self.write("/etc/docker/daemon.json", json.dumps({"debug": True, "live-restore": True}, indent=2))

    def files(self) -> dict[str, str]:
        """The text of each file; links to files have none."""
        paths = [path for path in pathlib.Path(self.root).rglob("*") if not path.is_dir()]
        return {
            str(path)[len(self.root) :]: "" if path.is_symlink() else path.read_text(encoding="utf-8") for path in paths
        }

    def act(self, what: str) -> None:
        """A change, before which a run may be killed."""
        self.done.append(what)
        if self.kill_at == len(self.done):
            raise self.Killed

    def systemctl(self, verb: str, *arguments: str) -> str:
        names = [word.removesuffix(".service") for word in arguments if not word.startswith("-")]
        if verb == "cat":
            return "[Service]\nExecStart=/usr/sbin/dockerd -H fd://\n"
        if verb == "show":
            state = self.states.get(names[0], "inactive")
            file_state = "enabled" if names[0] in self.enabled else "disabled"
            pid = 7 if state == "active" else 0
            return f"ActiveState={state}\nUnitFileState={file_state}\nMainPID={pid}\nOOMScoreAdjust=0\n"
        if verb == "stop":
            self.states.update(dict.fromkeys(names, "inactive"))
            self.stamp = "" if "docker" in names else self.stamp
        elif verb == "start":
            self.states.update(dict.fromkeys(names, "active"))
            if "docker" in names:
                self.docker_starts()
        elif verb == "disable":
            self.enabled -= {*names}
        if verb != "reset-failed":
            self.act(f"systemctl {verb} {' '.join(names)}".strip())
        return ""

    def docker_starts(self) -> None:
        drop_ins = [f"{self.root}{top}/systemd/system/docker.service.d/zz-plainkube.conf" for top in ("/etc", "/run")]
        self.stamp = str(self.STAMP) if any(map(os.path.exists, drop_ins)) else ""
        # Docker keeps docker0's network if it starts with a bridge.
        if os.path.exists(drop_ins[1]):
            self.network = ""

    def ctr(self, kind: str, verb: str, *arguments: str) -> str:
        assert self.states["containerd"] == "active"
        if verb == "list":
            return "\n".join(self.pod_images if kind == "images" else self.pods)
        if kind == "containers":
            self.pods = []
        elif kind == "images":
            self.pod_images = []
        self.act(f"ctr {kind} {verb} {' '.join(arguments)}")
        return ""

    def run_command(self, command: list[str], data: str = "", **dummy: t.Any) -> tuple[int, str, str]:
        program, *words = command
        if program == "systemctl":
            return 0, self.systemctl(*words), ""
        if program == "ctr":
            return 0, self.ctr(*words[2:]), ""
        if program == "iptables-save":
            return 0, self.rules, ""
        if program == "iptables-restore":
            self.restored, self.rules = data, self.their_rules
        elif command[:3] == ["ip", "link", "delete"]:
            shutil.rmtree(f"{self.root}/sys/class/net/{command[3]}")
        elif command[:3] == ["ip", "netns", "delete"]:
            os.unlink(f"{self.root}/run/netns/{command[3]}")
        elif program == "ip":
            address = [{"ifname": "docker0", "mtu": 1450, "addr_info": [{"local": "10.244.5.1", "prefixlen": 24}]}]
            return 0, json.dumps(address if "address" in command else []), ""
        elif program == "umount":
            if self.stuck:
                return 32, "", "umount: target is busy."
            self.write("/proc/self/mountinfo")
        elif program == "userdel":
            self.write("/etc/passwd", self.theirs["/etc/passwd"])
        else:
            return 0, "", ""
        self.act(" ".join(command))
        return 0, "", ""

    def call(self, method: str, path: str, **dummy: t.Any) -> t.Any:
        """Docker's API."""
        assert self.states["docker"] == "active", "the API's socket would start Docker"
        if path.startswith("/containers/json"):
            return self.containers
        if path == "/images/json":
            return self.images
        if path.startswith("/containers/"):
            self.containers = [one for one in self.containers if f"{_bridge.name(one)}?" not in path]
        else:
            self.images = [one for one in self.images if not path.endswith(one["RepoTags"][0])]
        self.act(f"{method} {path}")
        return None


@pytest.fixture
def fake_host(tmp_path, monkeypatch):
    """A function that creates the host on which modules then run."""

    def create(*arguments: t.Any) -> FakeHost:
        fake = FakeHost(str(tmp_path), *arguments)
        monkeypatch.setattr(_paths, "ROOT", fake.root)
        monkeypatch.setattr(_bridge, "INTERFACE", f"{fake.root}/sys/class/net/docker0")
        monkeypatch.setattr(_docker_api, "call", fake.call)
        monkeypatch.setattr(_stamp, "of_process", lambda pid: fake.stamp if pid else "")
        monkeypatch.setattr(
            AnsibleModule, "run_command", lambda self, command, **options: fake.run_command(command, **options)
        )
        return fake

    return create
