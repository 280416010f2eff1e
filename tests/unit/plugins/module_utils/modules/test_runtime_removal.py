# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json
import os

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _state
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import runtime_removal
from ansible_collections.plainkube.cluster.plugins.module_utils.removal import _containerd_parts

PAUSE = "registry.k8s.io/pause:3.10.2"
POD = {"Id": "p", "Names": ["/k8s_POD"], "Labels": {"io.kubernetes.pod.name": "x"}, "State": "running", "ImageID": "i2"}
MINE = {"Id": "m", "Names": ["/mine"], "Labels": {}, "State": "running", "ImageID": "i3"}
RULES = (
    "*nat\n:CNI-HOSTPORT-DNAT - [0:0]\n:MINE - [0:0]\n-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n"
    "-A PREROUTING -j MINE\n-A CNI-HOSTPORT-DNAT -j MINE\nCOMMIT\n"
)
BOTH = {"runtime": "containerd", "bridge": "docker0", "docker": True}
ALONE = {"runtime": "containerd", "bridge": "cni0", "docker": False}
DOCKER = {"runtime": "docker", "bridge": "docker0", "docker": True}
THEIRS = {
    "/etc/docker/daemon.json": '{\n  "debug": true\n}\n',
    "/etc/cni/net.d/99-mine.conflist": "{}",
    "/proc/1/status": "CapBnd:\tffffffffffffffff\n",
    "/proc/self/mountinfo": "",
    "/usr/local/bin/mine": "x",
}


def with_docker(node):
    """A node with Docker and cri-dockerd."""
    node.unit("kubelet")
    node.unit("cri-dockerd")
    node.states["cri-dockerd"] = "active"
    node.enabled.add("cri-dockerd")
    node.docker_on_flannel()
    node.write("/var/lib/cri-dockerd/x")
    node.write("/opt/plainkube/cri-dockerd/1/cri-dockerd")
    node.link("/usr/local/bin/cri-dockerd", "/opt/plainkube/cri-dockerd/1/cri-dockerd")
    node.containers = [POD]
    node.images = [
        {"Id": "i1", "RepoTags": [PAUSE]},
        {"Id": "i2", "RepoTags": ["pulled:1"]},
        {"Id": "i3", "RepoTags": ["mine:1"]},
    ]


def with_containerd(node, bridge):
    """A node with our containerd."""
    files = ["/etc/containerd/plainkube.toml", "/etc/kubernetes/plainkube-cni", "/etc/kubernetes/plainkube-cni.json"]
    files += ["/etc/systemd/system/plainkube-cni.path", "/etc/crictl.yaml"]
    for path in [*files, "/run/netns/cni-1"]:
        node.write(path)
    node.unit("kubelet")
    node.unit("containerd", *files)
    node.states["plainkube-cni.path"] = "active"
    plugins = [{"type": "bridge", "bridge": bridge}]
    node.write("/etc/cni/net.d/10-plainkube.conflist", json.dumps({"plugins": plugins}))
    node.write("/var/lib/cni/networks/plainkube/10.244.5.130")
    node.write("/var/lib/cni/results/cni-loopback-p-lo")
    node.write("/run/containerd/io.containerd.grpc.v1.cri/sandboxes/p/x")
    node.write(
        "/proc/self/mountinfo",
        "1 2 0:1 / /run/containerd/io.containerd.grpc.v1.cri/sandboxes/p/shm rw - tmpfs tmpfs rw\n",
    )
    if bridge == "cni0":
        node.write("/sys/class/net/cni0/mtu")
        node.states["docker"] = "inactive"
        node.enabled.discard("docker")
    else:
        node.docker_on_flannel()
    node.pods, node.pod_images, node.rules = ["p"], [PAUSE, "pulled:1"], RULES


@pytest.fixture
def node(fake_host):
    return fake_host(
        THEIRS, ["kubelet", "containerd", "docker"], "*nat\n:MINE - [0:0]\n-A PREROUTING -j MINE\nCOMMIT\n"
    )


@pytest.fixture
def run(node, run_module):
    def run_it(wanted, **arguments):
        node.done.clear()
        return run_module(runtime_removal, **{**wanted, "images": [PAUSE], "wait": 0, **arguments})

    return run_it


def there_and_nothing_again(node, run, wanted):
    """Check, do, check again, do again; returns what was done."""
    before = node.files()
    told = run(wanted, _ansible_check_mode=True)
    assert node.done == []
    assert node.files() == before
    result = run(wanted)
    assert result == told
    assert result["changed"]
    assert node.done[0] == "systemctl stop kubelet"
    assert result["actions"][0] == ("stop", "kubelet", "")
    parts = [f"{'service' if verb == 'stop' else ''} {name}".lstrip() for verb, name, dummy in result["actions"]]
    assert "".join(f"{part}\n" for part in parts) == result["diff"]["before"]
    done = [*node.done]
    assert not run(wanted, _ansible_check_mode=True)["changed"]
    assert not run(wanted)["changed"]
    assert node.done == []
    return done


def test_from_docker_to_containerd_and_docker(node, run):
    with_docker(node)
    node.containers.append(MINE)
    there_and_nothing_again(node, run, BOTH)
    assert (node.containers, node.images) == ([MINE], [{"Id": "i3", "RepoTags": ["mine:1"]}])
    assert node.states["docker"] == "active"
    assert {*node.files()} == {
        *THEIRS,
        "/etc/systemd/system/kubelet.service",
        "/etc/systemd/system/docker.service.d/zz-plainkube.conf",
        _state.PATH,
    }


def test_from_docker_to_containerd_alone(node, run):
    with_docker(node)
    done = there_and_nothing_again(node, run, ALONE)
    assert (node.containers, node.images) == ([], [{"Id": "i3", "RepoTags": ["mine:1"]}])
    assert node.states["docker"] == node.states["docker.socket"] == "inactive"
    assert "docker" not in node.enabled
    # Once without a bridge, to forget its address.
    assert "systemctl start docker" in done
    assert {*node.files()} == {*THEIRS, "/etc/systemd/system/kubelet.service"}
    assert json.loads(node.read("/etc/docker/daemon.json")) == {"debug": True}


def test_a_missing_kubelet_is_not_stopped(node, run):
    """systemctl would fail."""
    with_docker(node)
    os.unlink(f"{node.root}/etc/systemd/system/kubelet.service")
    del node.states["kubelet"]
    result = run(BOTH)
    assert ("stop", "cri-dockerd", "") in result["actions"]
    assert "kubelet" not in str(result["actions"]) + str(node.done)


@pytest.mark.parametrize("check", [False, True])
def test_foreign_files_behind_a_link_are_reported_before_any_change(node, run, check):
    with_docker(node)
    os.rename(f"{node.root}/var/lib/cri-dockerd", f"{node.root}/data")
    os.symlink(f"{node.root}/data", f"{node.root}/var/lib/cri-dockerd")
    before = node.files()
    assert run(BOTH, _ansible_check_mode=check)["msg"] == (
        "Nothing was removed: /var/lib/cri-dockerd is a link to /data, which also contains x, which does not belong to the cluster: "
        "move it to another directory, and run plainkube.cluster.site again."
    )
    assert node.done == []
    assert node.files() == before
    # Parts that stay on the node are not inspected.
    assert "msg" not in run(DOCKER, _ansible_check_mode=True)


def test_links_stay_and_their_content_is_removed(node, run):
    with_docker(node)
    os.rename(f"{node.root}/var/lib/cri-dockerd/x", f"{node.root}/var/lib/cri-dockerd/sandbox")
    for path, target in {"/var/lib/cri-dockerd": "/data", "/opt": "/disk"}.items():
        os.rename(f"{node.root}{path}", f"{node.root}{target}")
        os.symlink(f"{node.root}{target}", f"{node.root}{path}")
    there_and_nothing_again(node, run, BOTH)
    assert os.path.islink(f"{node.root}/var/lib/cri-dockerd")
    assert os.listdir(f"{node.root}/data") == []
    assert os.listdir(f"{node.root}/disk/plainkube") == []


def test_docker_does_not_stop_while_foreign_containers_run(node, run):
    with_docker(node)
    node.containers.append(MINE)
    for check in (True, False):
        message = run(ALONE, _ansible_check_mode=check)["msg"]
        assert message.endswith(
            "runs containers that Kubernetes does not own: mine; stop them, or set docker_enabled to true."
        )
        assert node.done == []


def test_a_docker_that_was_never_ours_does_not_change(node, run):
    node.containers.append(MINE)
    assert not run(ALONE)["changed"]
    assert node.states["docker"] == "active"


@pytest.mark.parametrize("bridge", ["cni0", "docker0"])
def test_from_containerd_to_docker(node, run, bridge):
    with_containerd(node, bridge)
    there_and_nothing_again(node, run, DOCKER)
    assert (node.pods, node.pod_images) == ([], [])
    assert "CNI-" not in node.rules
    assert node.restored.splitlines()[1] == "-D PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT"
    kept = {"/etc/systemd/system/kubelet.service", "/etc/crictl.yaml"}
    kept |= {"/etc/systemd/system/docker.service.d/zz-plainkube.conf", _state.PATH} if bridge == "docker0" else set()
    assert {*node.files()} == {*THEIRS, *kept}
    # Docker continues with its package's containerd.
    assert node.states["containerd"] == ("active" if bridge == "docker0" else "inactive")


def test_from_one_bridge_to_the_other(node, run):
    with_containerd(node, "cni0")
    there_and_nothing_again(node, run, BOTH)
    assert (node.pods, node.pod_images) == ([], [PAUSE, "pulled:1"])
    assert {"/etc/systemd/system/containerd.service", "/etc/containerd/plainkube.toml"} <= {*node.files()}
    assert not {"/sys/class/net/cni0/mtu", "/etc/cni/net.d/10-plainkube.conflist", "/run/netns/cni-1"} & {*node.files()}


def with_upstreams_binaries(node):
    node.write("/opt/plainkube/containerd/2/containerd-shim-runc-v2")
    node.link("/usr/local/bin/containerd-shim-runc-v2", "/opt/plainkube/containerd/2/containerd-shim-runc-v2")


@pytest.mark.parametrize(("bridge", "wanted"), [("cni0", ALONE), ("docker0", BOTH)])
@pytest.mark.parametrize("packaged", [False, True])
def test_to_another_major_version_of_containerd(node, run, bridge, wanted, packaged):
    """On the same bridge: the pods go with their sandboxes, and their images stay. A package's containerd would find upstream's shim."""
    with_containerd(node, bridge)
    with_upstreams_binaries(node)
    assert not run(wanted)["changed"]
    done = there_and_nothing_again(node, run, {**wanted, "replaced": True, "packaged": packaged})
    assert (node.pods, node.pod_images) == ([], [PAUSE, "pulled:1"])
    assert "systemctl stop containerd" in done
    files = {*node.files()}
    assert {"/etc/systemd/system/containerd.service", "/etc/containerd/plainkube.toml"} <= files
    assert not {"/run/netns/cni-1", "/var/lib/cni/networks/plainkube/10.244.5.130"} & files
    assert ("/opt/plainkube/containerd/2/containerd-shim-runc-v2" in files) is not packaged
    assert os.path.islink(f"{node.root}/usr/local/bin/containerd-shim-runc-v2") is not packaged
    assert node.states["docker"] == ("active" if bridge == "docker0" else "inactive")


def test_nothing_to_do_on_the_desired_bridge(node, run):
    with_containerd(node, "docker0")
    before = node.files()
    assert not run(BOTH)["changed"]
    assert (node.pods, node.files()) == (["p"], before)


def test_an_incomplete_change_is_pending(node, run):
    assert run(DOCKER)["actions"] == []
    node.write(_state.PATH, json.dumps({_state.RUNTIME_CHANGE: {"to": "docker"}}))
    result = run(DOCKER)
    assert result["actions"] == [("wait", "the change of the container runtime", "it is not complete yet")]
    assert not result["changed"]


def test_a_change_is_recorded_until_it_is_complete(node, run):
    with_docker(node)
    before = json.loads(node.read(_state.PATH))
    recorded = {**before, "runtime_change": {"to": "containerd"}}
    for state, options, after in (("prepared", BOTH, recorded), ("complete", {}, before)):
        told = run(options, state=state, _ansible_check_mode=True)
        result = run(options, state=state)
        assert result == told == {"changed": True, "actions": [("write", _state.PATH, "")]}
        assert json.loads(node.read(_state.PATH)) == after
        assert run(options, state=state) == {"changed": False, "actions": []}
    assert node.done == []


@pytest.mark.parametrize("state", ["prepared", "removed"])
def test_a_removal_needs_to_know_what_stays(node, run, state):
    assert "but all of the following are missing: bridge, docker" in run({"runtime": "docker"}, state=state)["msg"]


def test_a_refused_change_does_not_start(node, run):
    with_docker(node)
    node.containers.append(MINE)
    before = node.files()
    assert "runs containers that Kubernetes does not own: mine" in run(ALONE, state="prepared")["msg"]
    assert "runtime_change" not in node.read(_state.PATH)
    node.containers.remove(MINE)
    node.write("/etc/docker/daemon.json", "{")
    assert "/etc/docker/daemon.json is not JSON" in run(ALONE, state="prepared")["msg"]
    assert "runtime_change" not in node.read(_state.PATH)
    assert (node.done, node.files()) == ([], {**before, "/etc/docker/daemon.json": "{"})


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [("docker", BOTH), ("docker", ALONE), ("cni0", DOCKER), ("docker0", DOCKER), ("cni0", BOTH), ("docker0", ALONE)],
)
def test_a_run_killed_anywhere_is_finished_by_the_next(node, run, kind, wanted):
    def install():
        node.start()
        with_docker(node) if kind == "docker" else with_containerd(node, kind)

    install()
    run(wanted)
    steps, left = len(node.done), node.files()
    ended = (node.pods, node.containers, node.states["docker"], node.rules)
    assert steps > 5
    for step in range(1, steps + 1):
        install()
        node.kill_at = step
        with pytest.raises(node.Killed):
            run(wanted)
        node.kill_at = None
        run(wanted)
        assert node.files() == left, step
        assert (node.pods, node.containers, node.states["docker"], node.rules) == ended, step


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("/usr/local/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", "x"), True),
        (("/usr/bin/containerd-shim-runc-v2", "-namespace", "moby", "-id", "x"), False),
        (("/usr/bin/sleep", "k8s.io"), False),
        (("",), False),
    ],
)
def test_shims_of_kubernetes(words, expected):
    assert _containerd_parts.is_shim("\0".join(words)) is expected


def test_a_remaining_shim_is_killed(node, run, monkeypatch):
    """containerd 2 leaves those of sandboxes running."""
    with_containerd(node, "cni0")
    node.write("/proc/523/cmdline", "/usr/local/bin/containerd-shim-runc-v2\0-namespace\0k8s.io\0-id\0x\0")
    node.write("/proc/524/cmdline", "/usr/local/bin/containerd-shim-runc-v2\0-namespace\0moby\0-id\0y\0")
    ended = []

    def kill(pid, number):
        ended.append(pid)
        node.write(f"/proc/{pid}/cmdline", "")

    monkeypatch.setattr(_containerd_parts.os, "kill", kill)
    run(DOCKER)
    assert ended == [523]
