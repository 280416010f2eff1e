# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The reset of a cluster whose directories are links, with volumes of users' data. The tests build on each other, and start on hosts without a cluster."""

from __future__ import annotations

import json
import re
import time

import pytest

from lab.runs import playbook

HOSTS = ("k1", "n1", "n2")
NODES = ("n1", "n2")
CONFIRMED = ("-e", "reset_confirm=plainkube")
# Host -> link -> its target. Below them, the cluster creates directories, except where there is another link. systemd does not start a service
# whose own directory, like /var/lib/etcd, is a link; a parent may be one.
LINKS = {
    "k1": {
        "/var/lib": "/disk/lib",
        "/var/log": "/disk/log",
        "/etc/kubernetes": "/disk/kubernetes",
        "/opt/plainkube": "/disk/plainkube",
    },
    "n1": {"/var/lib": "/disk/lib"},
    "n2": {
        "/var/lib/kubelet": "/disk/kubelet",
        "/disk/kubelet/pods": "/disk/pods",
        "/var/lib/docker": "/home/docker",
        "/var/lib/containerd": "/disk/containerd",
        "/var/lib/cri-dockerd": "/disk/cri-dockerd",
        "/var/log": "/disk/log",
        "/opt": "/disk/opt",
    },
}
# The directory's content moves with it, except volumes of the lab's hosts: those of Docker and containerd, which must not be on an overlay,
# are mounted at the new path, and those of kubelet and etcd, which are empty, are not mounted.
PREPARE = """
set -eu
systemctl stop docker.socket docker containerd 2>/dev/null || true
for volume in docker containerd; do
  grep -q " /var/lib/$volume " /proc/mounts || continue
  mkdir -p /volumes/$volume
  mount --bind /var/lib/$volume /volumes/$volume
  umount /var/lib/$volume
done
for volume in kubelet etcd; do
  ! grep -q " /var/lib/$volume " /proc/mounts || umount /var/lib/$volume
  rm -rf --one-file-system /var/lib/$volume
done
move() {
  mkdir -p "$2" "$(dirname "$1")"
  ! test -d "$1" || cp -a "$1/." "$2"
  rm -rf --one-file-system "$1"
  ln -s "$2" "$1"
}
"""
MOUNT_AGAIN = """
for volume in docker containerd; do
  test -d /volumes/$volume || continue
  mkdir -p /var/lib/$volume
  mount --bind /volumes/$volume /var/lib/$volume
  umount /volumes/$volume
done
rm -rf --one-file-system /volumes
test ! -e /usr/bin/dockerd || systemctl start containerd docker
"""
# The users' data, and the pods' volumes with it.
CANARIES = """
set -eu
mkdir -p /data/canary/sub /data/local
for path in /data/canary/sub/file /data/canary/file /data/local/file; do echo mine > $path; done
"""
# The users' files with their content, and the links: nothing may change them.
USERS = r"""
find /data -printf '%p %i %u:%g %m %s %T@\n' | sort
find /data -type f -exec cat {} +
find LINKS -maxdepth 0 -printf '%p %l %i\n'
"""
# The paths of our files, and all others with our names. Docker's and containerd's own data does not count.
LEFT = r"""
find /disk -mindepth 2 \( -path /disk/containerd -o -path /disk/lib/docker -o -path /disk/lib/containerd \
  -o -path '*/journal' \) -prune -o \( -iname '*kube*' -o -iname '*etcd*' -o -iname '*flannel*' -o -iname '*cri-dockerd*' -o -name cni \) -print
for directory in /disk/kubelet /disk/pods /disk/cri-dockerd /disk/kubernetes /disk/plainkube; do
  ! test -d $directory || find $directory -mindepth 1 ! -path /disk/kubelet/pods
done
cut -d' ' -f2 /proc/mounts | grep 'kubelet\|/pods/\|/volumes/'
"""


def shell(lab, host, script):
    return lab.demand(host, "sh", "-c", script).strip()


def users(lab):
    return {host: shell(lab, host, USERS.replace("LINKS", " ".join(LINKS[host]))) for host in HOSTS}


def reset(inventory, *arguments):
    return playbook("reset", inventory, *CONFIRMED, *arguments)


def plan(run):
    """What a run reports as removed: KIND NAME."""
    return sorted(re.findall(r"^-((?!-- ).+)$", run.output, re.MULTILINE))


@pytest.fixture(scope="module", autouse=True)
def linked(lab, inventory):
    """The hosts, with links before the installation."""
    for host in HOSTS:
        moves = "\n".join(f"move {path} {target}" for path, target in LINKS[host].items())
        # An interrupted run may have created some already.
        if lab.run(host, "test", "-L", [*LINKS[host]][-1])[0] != 0:
            shell(lab, host, f"{PREPARE}{moves}\n{MOUNT_AGAIN}{CANARIES}")


def test_site_works_as_on_fresh_hosts(lab, inventory):
    run = playbook("site", inventory).demand()
    assert run.changed > 0
    assert "all is well on 3 hosts" in run.output
    playbook("verify", inventory).demand()
    assert playbook("site", inventory).demand().changed == 0


def volumes(node):
    """A local volume is the user's directory; the kubelet mounts it in its own."""
    name = f"local-{node}"
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    common = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                **common,
                "capacity": {"storage": "1Mi"},
                "local": {"path": "/data/local"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name},
            "spec": {**common, "volumeName": name, "resources": {"requests": {"storage": "1Mi"}}},
        },
    ]


def pod(node, image):
    mounts = {
        "/host": {"name": "canary"},
        "/sub": {"name": "canary", "subPath": "sub"},
        "/file": {"name": "canary", "subPath": "file"},
        "/local": {"name": "local"},
        "/local-file": {"name": "local", "subPath": "file"},
        "/memory": {"name": "memory"},
        "/disk": {"name": "disk", "subPath": "part"},
        "/secret": {"name": "secret"},
    }
    container = {
        "name": "one",
        "image": image,
        "args": ["pause"],
        "volumeMounts": [{"mountPath": path, **mount} for path, mount in mounts.items()],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": node},
        "spec": {
            "nodeName": node,
            "containers": [container],
            "volumes": [
                {"name": "canary", "hostPath": {"path": "/data/canary"}},
                {"name": "local", "persistentVolumeClaim": {"claimName": f"local-{node}"}},
                {"name": "memory", "emptyDir": {"medium": "Memory"}},
                {"name": "disk", "emptyDir": {}},
                {"name": "secret", "secret": {"secretName": "secret"}},
            ],
        },
    }


def test_pods_with_volumes_of_users_run(lab, cluster):
    images = cluster.kubectl("get", "nodes", "-o", "jsonpath={.items[0].status.images[*].names[*]}").split()
    image = next(name for name in images if "agnhost" in name)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "secret"},
        "stringData": {"password": "hidden"},
    }
    items = [secret, *(item for node in NODES for item in [*volumes(node), pod(node, image)])]
    namespace = {"pod-security.kubernetes.io/enforce": "privileged"}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "links", "labels": namespace}}
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": [space, *items]})
    # Not with lab.put: for that, Docker would mount the lab's volumes again, at the targets of the links.
    shell(lab, "k1", f"cat > /disk/links.json <<'END'\n{manifest}\nEND")
    deadline = time.monotonic() + 30
    # A namespace gets its service account shortly after its creation.
    while lab.run(
        "k1", "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "-n", "links", "apply", "-f", "/disk/links.json"
    )[0]:
        assert time.monotonic() < deadline
        time.sleep(1)
    cluster.kubectl("-n", "links", "wait", "--for=condition=Ready", "--timeout=90s", "pod", "--all")
    for node, place in {"n1": "/disk/lib/kubelet/pods", "n2": "/disk/pods"}.items():
        mounts = shell(lab, node, f"grep -o ' {place}/[^ ]*' /proc/self/mountinfo")
        for part in (
            "volume-subpaths/canary/one/1",
            "volume-subpaths/canary/one/2",
            "volume-subpaths/local-n",
            "~secret/secret",
            "~local-volume/local",
        ):
            assert part in mounts, (node, part)
    # Docker's data is below /home, where cri-dockerd must write the pods' resolv.conf.
    path = "$(docker inspect --format '{{.ResolvConfPath}}' $(docker ps --quiet --filter name=k8s_one_n2))"
    assert "search links.svc.cluster.local" in shell(lab, "n2", f"cat {path}")


def test_what_is_not_ours_behind_a_link_is_told_of_before_any_change(lab, inventory):
    before = users(lab)
    shell(lab, "n2", "touch /disk/kubelet/canary")
    run = reset(inventory)
    sentence = "/var/lib/kubelet is a link to /disk/kubelet, which also contains canary, which does not belong to the cluster: move it to another directory"
    assert sentence in run.output
    assert run.code > 0
    assert run.changed == 0
    shell(lab, "n2", "rm /disk/kubelet/canary && systemctl is-active kubelet")
    assert users(lab) == before


def test_a_busy_mount_is_told_with_who_uses_it(lab, cluster, inventory):
    """And the content behind the other mounts stays, now and after the next reset."""
    # n1 stays without its kubelet. A minute later, its pods would start on n2, and an earlier plan would not name their parts.
    cluster.kubectl("cordon", "n2")
    # The kubelet removes dead containers once a minute.
    shell(lab, "n2", "docker container prune --force")
    before = users(lab)
    secret = "$(find /disk/lib/kubelet/pods/*/volumes/*~secret/secret -maxdepth 0)"
    pid = shell(lab, "n1", f"cd {secret} && {{ sleep 600 >/dev/null 2>&1 & echo $!; }}")
    run = reset(inventory, "--limit", "n1")
    assert run.code > 0
    assert re.search(rf"~secret/secret cannot be unmounted, because it is used by sleep \(process {pid}\)", run.output)
    assert users(lab) == before
    shell(lab, "n1", f"kill {pid}")


def test_the_reset_removes_what_its_plan_says_and_nothing_of_users(lab, inventory):
    before = users(lab)
    told = plan(reset(inventory, "--check", "--diff").demand())
    assert users(lab) == before
    run = reset(inventory, "--diff").demand()
    assert plan(run) == told
    assert {
        "data /var/lib/kubelet/",
        "data /var/lib/kubelet/pods/",
        "data /var/lib/kubelet",
        "data /var/lib/etcd/data",
    } <= {*told}
    assert users(lab) == before


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_of_ours_is_left(lab, host):
    assert lab.run(host, "sh", "-c", LEFT)[1] == ""


def test_a_second_reset_changes_nothing(lab, inventory):
    before = users(lab)
    assert reset(inventory).demand().changed == 0
    assert users(lab) == before
