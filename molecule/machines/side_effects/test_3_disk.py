# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A full disk under 30 pods, with eviction and image collection at their defaults. The tests build on each other."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile

import pytest

RUNTIME = os.environ.get("RUNTIME") or "docker"
UNUSED = "unused.example/unused:1"
PODS = 30
FILLER = "/var/tmp/filler"
# Less than 10 % of the disk, nodefs' threshold, and than 15 %, that of imagefs.
LEFT = 300 * 2**20
# The kubelet does not collect an image in its first two minutes, and keeps a pressure for five minutes after its end.
PATIENCE = 1800


def tar(files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def image():
    """An archive of an image that no pod uses."""
    layer = tar({"unused": b"x" * 2**20})
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [UNUSED], "Layers": ["layer.tar"]}]).encode()
    return tar({"config.json": config, "layer.tar": layer, "manifest.json": manifest})


def images(lab):
    """The names of the images on n1, according to its runtime."""
    if RUNTIME == "docker":
        return lab.demand("n1", "docker", "image", "ls", "--format={{.Repository}}:{{.Tag}}").split()
    return lab.demand("n1", "ctr", "--namespace=k8s.io", "images", "list", "--quiet").split()


def available(lab):
    """Free bytes for users of n1's disk."""
    return int(lab.demand("n1", "df", "--block-size=1", "--output=avail", "/var/lib").split()[1])


@pytest.fixture(scope="module", autouse=True)
def emptied(lab):
    yield
    lab.demand("n1", "rm", "-f", FILLER)


def test_thirty_pods_run(lab, node, workload, until):
    lab.put("n1", "/root", {"unused.tar": (image(), 0o600)})
    load = {"docker": "docker load -i", "containerd": "ctr --namespace=k8s.io images import"}[RUNTIME]
    lab.demand("n1", *load.split(), "/root/unused.tar")
    assert UNUSED in images(lab)
    workload("full", PODS)
    assert len([pod for pod in node.pods("full") if pod["status"]["phase"] == "Running"]) == PODS
    assert node.condition("DiskPressure") == "False"


def test_a_full_disk_evicts_pods(lab, node, until):
    lab.demand("n1", "fallocate", "--length", str(available(lab) - LEFT), FILLER)
    assert available(lab) < LEFT * 2
    until("DiskPressure", lambda: node.condition("DiskPressure") == "True", PATIENCE)
    evicted = until(
        "a pod is evicted",
        lambda: [pod for pod in node.pods("full") if pod["status"].get("reason") == "Evicted"],
        PATIENCE,
    )
    assert {pod["status"]["phase"] for pod in evicted} == {"Failed"}
    assert {taint["key"] for taint in node.get("node", "n1")["spec"]["taints"]} == {"node.kubernetes.io/disk-pressure"}


def test_unused_images_are_collected(lab, until):
    until("the unused image is gone", lambda: UNUSED not in images(lab), PATIENCE)


def test_status_names_the_pressure(site):
    found = site.status()
    assert not found["healthy"]
    assert any("DiskPressure" in str(problem) for problem in found["hosts"]["n1"]["problems"]), found["hosts"]["n1"]


def test_with_room_again_everything_recovers(lab, node, site, until):
    lab.demand("n1", "rm", FILLER)
    until("DiskPressure is over", lambda: node.condition("DiskPressure") == "False", PATIENCE)
    assert node.condition("Ready") == "True"
    # A collected image that no registry has returns with a run.
    run = site.run().demand()
    print(f"the run changed {run.changed}: {[one['task'] for one in run.changes]}")
    node.wait("full")
    assert len([pod for pod in node.pods("full") if pod["status"]["phase"] == "Running"]) == PODS
    found = site.status(wait=600)
    assert found["healthy"], [host["problems"] for host in found["hosts"].values()]
    assert site.run().demand().changed == 0
