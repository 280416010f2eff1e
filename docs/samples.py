# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Sample outputs for the documentation: the collection's own code prints them, for the hosts' results below."""

from __future__ import annotations

import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _stamp
from ansible_collections.plainkube.cluster.plugins.plugin_utils.tables import _plan, _status_table

CLUSTER = "plainkube"
# Debian 13's package.
DOCKER = "26.1.5"


def component(name: str, seconds: int, version: str, *listening: str) -> dict[str, t.Any]:
    """A healthy service, as kube_checkstatus returns it."""
    return {
        "name": name,
        "load": "loaded",
        "active": "active",
        "healthy": True,
        "since": "2026-12-01T06:00:00Z",
        "seconds": seconds,
        "restarts": 0,
        "version": version,
        "listening": [*listening],
        "health": {"ok": True},
    }


def certificates(count: int, first: str) -> list[dict[str, t.Any]]:
    about = {"subject": "", "issuer": "", "not_after": "", "error": ""}
    paths = (first, *(f"/etc/kubernetes/pki/{number}.crt" for number in range(1, count)))
    return [{"path": path, "days_left": 364 + (path != first), **about} for path in paths]


def control_plane(name: str, address: str, versions: t.Mapping[str, str]) -> dict[str, t.Any]:
    kubernetes, etcd = versions["cluster_version"], versions["cluster_etcd_version"]
    clients = ("127.0.0.1:2379", "127.0.0.1:2381", "127.0.0.1:2382", f"{address}:2379", f"{address}:2380")
    member = {
        "id": "8e9e05c52164694d",
        "name": name,
        "leader": True,
        "learner": False,
        "version": etcd,
        "db_size": 1 << 20,
        "db_size_in_use": 1 << 20,
    }
    return {
        "healthy": True,
        "problems": [],
        "components": [
            component("etcd", 24, etcd, *clients),
            component("kube-apiserver", 21, kubernetes, "[::]:6443"),
            component("kube-controller-manager", 19, kubernetes, "127.0.0.1:10257"),
            component("kube-scheduler", 19, kubernetes, "127.0.0.1:10259"),
            component("flanneld", 16, versions["cluster_flannel_version"], "127.0.0.1:8471"),
            {**component("kube-proxy", 15, kubernetes), "health": {"ok": False}},
        ],
        "certificates": certificates(15, "/etc/kubernetes/pki/admin.crt"),
        "etcd": {"members": [member]},
        "deployments": [{"name": "kube-system/coredns", "wanted": 1, "available": 1, "error": ""}],
    }


def node(name: str, address: str, versions: t.Mapping[str, str]) -> dict[str, t.Any]:
    kubernetes = versions["cluster_version"]
    return {
        "healthy": True,
        "problems": [],
        "components": [
            component("flanneld", 19, versions["cluster_flannel_version"], "127.0.0.1:8471"),
            component("kube-proxy", 11, kubernetes, "127.0.0.1:10249", "127.0.0.1:10256"),
            component("docker", 17, DOCKER),
            component("cri-dockerd", 12, versions["cluster_cri_dockerd_version"], "127.0.0.1:40889"),
            component("kubelet", 12, kubernetes, "127.0.0.1:10248", f"{address}:10250"),
        ],
        "certificates": certificates(6, "/etc/kubernetes/pki/etcd/flannel.crt"),
        "node": {
            "name": name,
            "ready": True,
            "schedulable": True,
            "version": kubernetes,
            "runtime": f"docker {DOCKER}",
            "error": "",
        },
    }


def status(versions: t.Mapping[str, str]) -> list[str]:
    """The status of the quick start's hosts, with these versions, right after the first run."""
    answers = {"k1": control_plane("k1", "192.0.2.11", versions), "n1": node("n1", "192.0.2.21", versions)}
    return _status_table.page(_status_table.document(CLUSTER, answers))[1:]


def plan() -> list[str]:
    """The plan for `-e etcd_auto_compaction_retention=9m`."""
    old, new = (
        _stamp.wanted_unit(f"ExecStart=etcd --auto-compaction-retention={value}\n", [], {}, None, [])
        for value in ("5m", "9m")
    )
    process = _stamp.Process("active", "running", 1, str(_stamp.split(old)[2]), "")
    reasons = _stamp.restart_reasons(new, old, {}, [], process)
    written = _actions.writes(["/etc/systemd/system/etcd.service"])
    restarted = _actions.starts("etcd", reasons, True)
    answers = {"k1": _actions.result([*written, *restarted]), "n1": _actions.result([])}
    plans = {host: _plan.lines(answer, host) for host, answer in answers.items()}
    return [*_plan.page(plans), "", _plan.verdict(CLUSTER, plans)]
