# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import glob
import os
import shutil
import socket
import subprocess
import typing as t

import pytest

from lab import mirror


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


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.fixture(scope="session")
def etcd_binaries(tmp_path_factory):
    """A directory with etcd and etcdctl out of the lab's mirror (`make artifacts`); None where neither it nor PATH has them."""
    archives = sorted(
        glob.glob(f"{mirror.directory()}/github.com/etcd-io/etcd/releases/download/*/etcd-*-linux-amd64.tar.gz")
    )
    if not archives:
        return os.path.dirname(shutil.which("etcdctl") or "") or None
    target = tmp_path_factory.mktemp("etcd")
    subprocess.run(
        ["tar", "--extract", f"--file={archives[-1]}", f"--directory={target}", "--strip-components=1"], check=True
    )
    return str(target)


@pytest.fixture
def etcd(tmp_path, monkeypatch, etcd_binaries):
    """A real etcd with TLS. Without its binaries the test is skipped; `make test` has them built first."""
    if etcd_binaries is None:
        pytest.skip("no etcd here; `make artifacts` builds it")
    monkeypatch.setenv("PATH", f"{etcd_binaries}:{os.environ['PATH']}")
    directory = str(tmp_path)
    _certificates(directory)
    client, peer = (f"127.0.0.1:{_free_port()}" for dummy in range(2))
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
