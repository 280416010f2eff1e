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
from ansible_collections.plainkube.cluster.plugins.module_utils.etcd import _member
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll


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
        extra = ["-addext", "subjectAltName=IP:127.0.0.1", "-CA", "ca.crt", "-CAkey", "ca.key"]
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
            (path / "etcd.service").touch()
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
