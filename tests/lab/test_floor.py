# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The plain script of the benchmark provides every file that the units of site.yml read."""

from __future__ import annotations

import re

import pytest
import yaml

from benchmarks import clusters
from lab.base import CHECKOUT

UNITS = ["etcd/etcd", "flannel/flanneld", "node/cri-dockerd", "node/kubelet", "node/kube-proxy"]
UNITS += [f"control_plane/{name}" for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")]
PLACES = yaml.safe_load((CHECKOUT / "roles/cluster/vars/main/places.yml").read_text(encoding="utf-8"))
PLACES["__etcd_pki"] = "/etc/kubernetes/pki/etcd"
# The common name of a certificate and its key, which are created together.
PAIR = re.compile(r"\.(crt|key)$")

# Only if an operator has authorization webhooks (control_plane_authorization_webhooks).
OPTIONAL = {"/etc/kubernetes/authorization.yaml"}


def read_by(unit: str) -> set[str]:
    """The files under /etc and /var/lib in a unit."""
    role, dummy, name = unit.partition("/")
    text = (CHECKOUT / f"roles/{role}/templates/{name}.service.j2").read_text(encoding="utf-8")
    for variable, value in PLACES.items():
        text = text.replace(f"{{{{ {variable} }}}}", str(value))
    files = re.findall(r"/(?:etc|var/lib)/[\w./-]*(?:\.(?:crt|key|yaml|conf)|first-start|environment)\b", text)
    return {*files, *re.findall(r"^Exec\w+=[-+]*(/etc/\S+)", text, re.MULTILINE)}


@pytest.mark.parametrize("unit", UNITS)
def test_the_script_has_what_the_units_read(unit):
    script = (CHECKOUT / "benchmarks/floor.sh").read_text(encoding="utf-8")
    missing = set()
    for path in read_by(unit) - OPTIONAL:
        handed = any(f"{path}/".startswith(f"/{given}/") for given in clusters.FILES)
        made = re.escape(PAIR.sub("", path.removeprefix("/etc/kubernetes/pki/")))
        if not handed and not re.search(rf"(?<![\w-]){made}(?![\w-])", script):
            missing.add(path)
    assert missing == set()


def test_the_units_read_files():
    assert {"/etc/kubernetes/admission.yaml", "/etc/kubernetes/kube-apiserver-stop"} <= read_by(
        "control_plane/kube-apiserver"
    )
    assert "/etc/kubernetes/pki/ca-signer.crt" in read_by("control_plane/kube-controller-manager")
    assert "/etc/kubernetes/pki/etcd/server.key" in read_by("etcd/etcd")
    assert "/etc/kubernetes/etcd-first-start" in read_by("etcd/etcd")
    assert "/etc/kubernetes/etcd-stop" in read_by("etcd/etcd")
    assert {"/etc/kubernetes/kubelet.yaml", "/etc/network-environment"} <= read_by("node/kubelet")
