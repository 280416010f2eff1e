# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The clusters that are compared, each on fresh prepared hosts: by a plain script, by site.yml, by kubeadm."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
import time
import typing as t

import yaml

from lab import inventory, machine, mirror, network, runs, ssh
from lab.base import CHECKOUT, LabError, run
from lab.lab import UNITS, Lab

HERE = CHECKOUT / "benchmarks"
SETTINGS = yaml.safe_load((CHECKOUT / "roles/cluster/defaults/main.yml").read_text(encoding="utf-8"))
HELLO = f"registry.k8s.io/e2e-test-images/agnhost:{SETTINGS['cluster_hello_version']}"
# Seconds until a cluster is idle, as it is in a typical second run.
REST = 20
# What site.yml writes to hosts, except certificates and keys, which the script generates itself.
FILES = [
    *(f"etc/systemd/system/{unit}.service" for unit in UNITS if unit != "docker"),
    *("etc/systemd/system/docker.service.d", "etc/systemd/system/containerd.service.d", "etc/docker/daemon.json"),
    *(
        "etc/sysusers.d",
        "etc/sysctl.d/zz-plainkube.conf",
        "etc/sysctl.d/zz-plainkube-kubelet.conf",
        "etc/modules-load.d/plainkube.conf",
        "etc/network-environment",
    ),
    *(
        f"etc/kubernetes/{name}.yaml"
        for name in ("admission", "audit-policy", "authentication", "kubelet", "kube-proxy")
    ),
    *(f"etc/kubernetes/{name}" for name in ("etcd-stop", "kube-apiserver-stop", "kubelet-certificate-check")),
    *(f"etc/kubernetes/{name}.conf" for name in ("admin", "controller-manager", "scheduler", "kubelet", "kube-proxy")),
]


def flag(minutes: int) -> str:
    """A variable for -e that causes a restart of etcd only."""
    return f"etcd_auto_compaction_retention={minutes}m"


@contextlib.contextmanager
def lab_of(name: str) -> t.Iterator[Lab]:
    """A lab without hosts, removed afterwards."""
    lab = Lab(name)
    lab.down()
    try:
        yield lab
    finally:
        lab.down()


def renew(lab: Lab, names: t.Sequence[str]) -> None:
    """Prepared, empty hosts. The network stays, so that they get the same addresses as the previous ones."""
    for host in lab.hosts().values():
        host.remove()
    lab.up(names, prepared=True)


def kubectl(lab: Lab, *arguments: str) -> str:
    code, output = lab.run("k1", "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", *arguments)
    if code != 0:
        raise LabError(f"kubectl {' '.join(arguments)} failed: {output}")
    return output


def run_pod(lab: Lab) -> None:
    """Start a pod and wait until it runs."""
    kubectl(lab, "run", "bench", f"--image={HELLO}", "--", "pause")
    kubectl(lab, "wait", "--for=jsonpath={.status.phase}=Running", "--timeout=60s", "pod/bench")


def invocations(lab: Lab) -> dict[str, str]:
    """host/unit -> the InvocationID: another one means a restart."""
    ids = {}
    for host in lab.hosts():
        for unit in UNITS:
            ids[f"{host}/{unit}"] = lab.run(host, "systemctl", "show", "--value", "-p", "InvocationID", unit)[1].strip()
    return ids


def restarted(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [name for name, identity in after.items() if before[name] != identity]


def memory(lab: Lab) -> dict[str, dict[str, tuple[int, int]]]:
    """Component -> host -> (RSS, PSS) in KiB of its main process."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for host in lab.hosts():
        for unit in UNITS:
            pid = lab.run(host, "systemctl", "show", "--value", "-p", "MainPID", unit)[1].strip()
            if pid != "0":
                text = lab.run(host, "cat", f"/proc/{pid}/smaps_rollup")[1]
                sizes = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines() if line.endswith(" kB")}
                found.setdefault(unit, {})[host] = (sizes["Rss"], sizes["Pss"])
    return found


# The script gets the files that site.yml wrote to the hosts, so both run the same units with the same flags.


def keep_files(lab: Lab, directory: pathlib.Path) -> None:
    """HOST.tar for every host, and addons.yaml."""
    for name in lab.hosts():
        there = [path for path in FILES if lab.run(name, "test", "-e", f"/{path}")[0] == 0]
        lab.demand(name, "tar", "-C", "/", "-cf", "/var/tmp/benchmark.tar", *there)
        lab.fetch(name, "/var/tmp/benchmark.tar", directory / f"{name}.tar")
    done = runs.playbook(
        "../benchmarks/addons", lab.inventory_path(), "-e", f"benchmark_addons={directory}/addons.yaml"
    )
    done.demand()


def environment(lab: Lab, control: pathlib.Path) -> dict[str, str]:
    """The environment variables of floor.sh and kubeadm.sh."""
    options = [*ssh.OPTIONS, "-i", str(ssh.key()), "-o", "ControlMaster=auto", "-o", "ControlPersist=60s"]
    options += ["-o", f"ControlPath={control}/%C"]
    versions = {
        name.upper(): SETTINGS[f"cluster_{name}_version"] for name in ("etcd", "flannel", "cri_dockerd", "coredns")
    }
    archives = (
        "pause_{cluster_pause_version}",
        "coredns_v{cluster_coredns_version}",
        "agnhost_{cluster_hello_version}",
    )
    gateway = network.subnet_and_gateway(network.find(lab.client, lab.name))[1]
    return {
        **os.environ,
        **versions,
        "SSH": " ".join(["ssh", *options]),
        "MIRROR": mirror.url(gateway),
        "KUBERNETES": SETTINGS["cluster_version"],
        "IMAGES": " ".join(f"{archive}_amd64.tar".format(**SETTINGS) for archive in archives),
        "SERVICE_NETWORK": SETTINGS["cluster_service_network"],
        "SERVICE_ADDRESS": SETTINGS["cluster_service_network"].replace(".0/16", ".1"),
        "POD_NETWORK": SETTINGS["cluster_pod_network"],
        "DOMAIN": SETTINGS["cluster_domain"],
        "HELLO": HELLO,
    }


def script(lab: Lab, name: str, *arguments: str) -> tuple[float, str]:
    """Run a script of this directory against the hosts; returns its duration in seconds and its output."""
    where = [f"{host}={lab.address(host)}" for host in lab.hosts()]
    with tempfile.TemporaryDirectory(prefix="pk-") as control:
        started = time.monotonic()
        output = run("bash", str(HERE / name), *arguments, *where, env=environment(lab, pathlib.Path(control)))
        took = time.monotonic() - started
        for path in pathlib.Path(control).iterdir():
            subprocess.run(["ssh", "-O", "exit", "-S", str(path), "host"], capture_output=True, check=False)
    return took, output


def floor(lab: Lab, directory: pathlib.Path) -> tuple[float, str]:
    """The plain script; its cluster must pass verify.yml like ours."""
    seconds, output = script(lab, "floor.sh", str(directory))
    runs.playbook("verify", lab.inventory_path()).demand()
    return seconds, output


def kubeadm(lab: Lab, directory: pathlib.Path) -> float:
    """kubeadm init and parallel joins, up to the first pod; preparations do not count."""
    settings = inventory.kubelet_config(machine.cgroup_version())
    head = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "cgroupDriver": "cgroupfs"}
    gates = {"featureGates": {"ExtendWebSocketsToKubelet": False}}
    (directory / "kubelet.json").write_text(json.dumps({**head, **gates, **settings}), encoding="utf-8")
    script(lab, "kubeadm.sh", "prepare", str(directory))
    return script(lab, "kubeadm.sh", "measure", str(directory))[0]
