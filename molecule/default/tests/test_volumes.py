# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The sandboxes of kubelet and cri-dockerd must not break volumes: those of every common kind, on every node, are readable in containers."""

from __future__ import annotations

import json
import time

import pytest

NAMESPACE = "volumes"
# The directory on the host; the kubelet creates it.
HOST_PATH = "/var/lib/plainkube-test-volume"
MOUNTS = {
    "/disk": {"name": "disk"},
    "/memory": {"name": "memory"},
    "/host": {"name": "host", "mountPropagation": "HostToContainer"},
    "/secret": {"name": "secret"},
    "/projected": {"name": "projected"},
    "/one": {"name": "secret", "subPath": "password"},
    "/part": {"name": "disk", "subPath": "part"},
}
TEXT = "mount-tester new file"


def pod(node, image):
    container = {
        "image": image,
        "args": ["pause"],
        "volumeMounts": [{"mountPath": path, **mount} for path, mount in MOUNTS.items()],
    }
    sources = [
        {"secret": {"name": "secret"}},
        {"serviceAccountToken": {"path": "token", "audience": "nobody", "expirationSeconds": 3600}},
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": node},
        "spec": {
            "nodeName": node,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"fsGroup": 2000},
            "containers": [{"name": "one", **container}, {"name": "two", **container}],
            "volumes": [
                {"name": "disk", "emptyDir": {}},
                {"name": "memory", "emptyDir": {"medium": "Memory"}},
                {"name": "host", "hostPath": {"path": HOST_PATH, "type": "DirectoryOrCreate"}},
                {"name": "secret", "secret": {"secretName": "secret", "defaultMode": 0o440}},
                {"name": "projected", "projected": {"sources": sources}},
            ],
        },
    }


@pytest.fixture(scope="module")
def nodes(cluster):
    """The nodes, each with a running pod with the same name."""
    admin = cluster.identity(cluster.control_planes[0], "admin")

    def create(path, body):
        answer = cluster.api(path, admin, "POST", json=body)
        assert answer.status_code == 201, answer.text

    labels = {"pod-security.kubernetes.io/enforce": "privileged"}
    create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE, "labels": labels}})
    base = f"/api/v1/namespaces/{NAMESPACE}"
    try:
        # A namespace gets its default one shortly after its creation.
        create(f"{base}/secrets", {"metadata": {"name": "secret"}, "stringData": {"password": "hidden"}})
        deadline = time.monotonic() + 20
        while cluster.api(f"{base}/serviceaccounts/default", admin).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        images = cluster.kubectl("get", "nodes", "-o", "jsonpath={.items[0].status.images[*].names[*]}").split()
        (image, *dummy) = [name for name in images if "agnhost" in name]
        for node in cluster.nodes:
            create(f"{base}/pods", pod(node, image))
        cluster.kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", "--timeout=60s", "pod", "--all")
        yield cluster.nodes
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=true")
        for node in cluster.nodes:
            with cluster.host(node).sudo():
                cluster.host(node).run(f"umount {HOST_PATH}/mounted; rm -rf {HOST_PATH}")


@pytest.fixture
def look(cluster):
    """The output of agnhost about files in a container."""

    def run(node, container, *flags):
        command = ("-n", NAMESPACE, "exec", node, "-c", container, "--", "/agnhost", "mounttest", *flags)
        return cluster.kubectl(*command)

    return run


@pytest.mark.parametrize(
    ("path", "kind"), [("/memory", "tmpfs"), ("/secret", "tmpfs"), ("/projected", "tmpfs"), ("/one", "tmpfs")]
)
def test_what_the_kubelet_mounts_is_in_the_container(nodes, look, path, kind):
    for node in nodes:
        assert f'mount type of "{path}": {kind}' in look(node, "one", f"--fs_type={path}"), node


@pytest.mark.parametrize("path", ["/disk", "/memory", "/host", "/part"])
def test_containers_share_what_they_write(nodes, look, path):
    for node in nodes:
        look(node, "one", f"--new_file_0644={path}/new")
        assert TEXT in look(node, "two", f"--file_content={path}/new"), node


def test_a_part_of_a_volume_is_that_part(nodes, look):
    for node in nodes:
        look(node, "one", "--new_file_0644=/part/inner")
        assert TEXT in look(node, "two", "--file_content=/disk/part/inner"), node


def test_secrets_and_projections_have_their_content(nodes, look):
    for node in nodes:
        for path, text in {
            "/secret/password": "hidden",
            "/one": "hidden",
            "/projected/password": "hidden",
            "/projected/name": node,
        }.items():
            assert text in look(node, "one", f"--file_content={path}"), (node, path)
        assert "ey" in look(node, "one", "--file_content=/projected/token"), node


def test_an_fs_group_is_setgid(nodes, look):
    """RestrictSUIDSGID would forbid it."""
    for node in nodes:
        assert "g" in look(node, "one", "--file_mode=/disk").rpartition(":")[2], node


def test_what_the_host_mounts_later_is_seen(nodes, look, cluster):
    for node in nodes:
        with cluster.host(node).sudo():
            cluster.host(node).check_output(f"mkdir {HOST_PATH}/mounted && mount -t tmpfs none {HOST_PATH}/mounted")
        assert 'mount type of "/host/mounted": tmpfs' in look(node, "one", "--fs_type=/host/mounted"), node


def test_nothing_stays_mounted_of_a_pod_that_is_gone(nodes, cluster):
    found = {}
    for node in nodes:
        uid = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "pod", node, "-o", "json"))["metadata"]["uid"]
        cluster.kubectl("-n", NAMESPACE, "delete", "pod", node, "--wait=true")
        deadline = time.monotonic() + 30
        while f"/{uid}/" in cluster.host(node).check_output("cat /proc/mounts") and time.monotonic() < deadline:
            time.sleep(0.5)
        found[node] = f"/{uid}/" in cluster.host(node).check_output("cat /proc/mounts")
    assert not any(found.values()), found
