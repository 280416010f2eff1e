# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import os
import pwd
import types

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _state
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import host_reset

PAUSE = "registry.k8s.io/pause:3.10.2"
POD = {"Id": "p", "Names": ["/k8s_POD"], "Labels": {"io.kubernetes.pod.name": "x"}, "State": "running", "ImageID": "i1"}
MINE = {"Id": "m", "Names": ["/mine"], "Labels": {}, "State": "running", "ImageID": "i2"}
OPTIONS = {
    "certificates": ["origin", "ca.crt", "etcd/flannel.key"],
    "images": [PAUSE],
    "wait": 0,
}
UNITS = {
    "kubelet": [
        *("/etc/kubernetes/kubelet.yaml", "/etc/network-environment", "/etc/sysctl.d/zz-plainkube-kubelet.conf"),
        *("/usr/local/bin/kubelet", "/etc/systemd/system/kubelet.service.d/10-mine.conf"),
    ],
    "flanneld": ["/etc/sysctl.d/zz-plainkube.conf", "/etc/modules-load.d/plainkube.conf", "/run/xtables.lock"],
    "etcd": [],
    "kube-apiserver": [],
}
RULES = "*nat\n:FLANNEL-POSTRTG - [0:0]\n-A POSTROUTING -j FLANNEL-POSTRTG\n-A POSTROUTING -j MINE\nCOMMIT\n"
OURS = {
    "/etc/kubernetes/kubelet.yaml": "x",
    "/etc/kubernetes/pki/origin": "x",
    "/etc/kubernetes/pki/ca.crt": "x",
    "/etc/kubernetes/pki/etcd/flannel.key": "x",
    "/etc/kubernetes/.plainkube-abc": "x",
    "/etc/crictl.yaml": "runtime-endpoint: unix:///run/cri-dockerd.sock\n",
    "/etc/network-environment": "HOST_ADDRESS=192.0.2.21\n",
    "/etc/sysctl.d/zz-plainkube-kubelet.conf": "# Written by plainkube.cluster.\n",
    "/etc/sysctl.d/zz-plainkube.conf": "# Written by plainkube.cluster.\n",
    "/etc/systemd/logind.conf.d/zz-plainkube.conf": "# Written by plainkube.cluster.\n",
    "/etc/systemd/logind.conf.d/99-kubelet.conf": "[Login]\n",
    "/etc/modules-load.d/plainkube.conf": "br_netfilter\n",
    "/etc/modules-load.d/.plainkube-abc": "br_net",
    "/etc/sysusers.d/plainkube-etcd.conf": "u",
    "/opt/plainkube/kubernetes/1/kubelet": "x",
    "/var/lib/etcd/data/db": "x",
    "/var/lib/flannel/subnet.env": "FLANNEL_NETWORK=10.244.0.0/16\n",
    "/var/lib/kubelet/pods/p/token": "x",
    "/var/log/kube-apiserver/audit.log": "x",
    "/run/cri-dockerd.sock": "",
    "/etc/systemd/system/haproxy.service.d/plainkube.conf": "[Unit]\n",
    "/etc/systemd/system/keepalived.service.d/plainkube.conf": "[Unit]\n",
    "/sys/class/net/flannel.1/mtu": "1450",
}
THEIRS = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "/etc/docker/daemon.json": '{"debug": true}\n',
    "/etc/systemd/system/mine.service": "[Service]\n",
    "/etc/systemd/system/kubelet.service.d/10-mine.conf": "[Service]\n",
    "/etc/systemd/system/keepalived.service.d/10-mine.conf": "[Service]\n",
    "/usr/local/bin/mine": "x",
    "/run/xtables.lock": "",
    "/proc/1/status": "CapBnd:\tffffffffffffffff\n",
    "/proc/self/mountinfo": "",
}


def install(host, runtime="cri-dockerd"):
    """The result of site.yml. The unit of the runtime names /etc/crictl.yaml."""
    for path, text in OURS.items():
        host.write(path, text)
    for name, inputs in UNITS.items():
        host.unit(name, *inputs)
    host.unit(runtime, "/etc/crictl.yaml")
    host.states[runtime] = "active"
    host.enabled.add(runtime)
    host.docker_on_flannel(**{_state.RUNTIME_CHANGE: {"to": "docker"}})
    host.write("/etc/passwd", THEIRS["/etc/passwd"] + "etcd:x:995:995:etcd, run by plainkube.cluster:/:/x\n")
    host.write("/proc/self/mountinfo", "1 2 0:1 / /var/lib/kubelet/pods/p/v rw - tmpfs tmpfs rw\n")
    host.link("/usr/local/bin/kubelet", "/opt/plainkube/kubernetes/1/kubelet")
    host.link("/opt/cni/bin/bridge", "/opt/plainkube/cni-plugins/1/bridge")
    host.stamp, host.network = str(host.STAMP), "10.244.5.0/24"
    host.containers, host.images = [POD], [{"Id": "i1", "RepoTags": [PAUSE]}]
    host.rules = RULES


@pytest.fixture
def host(fake_host, monkeypatch):
    user, known = types.SimpleNamespace(pw_uid=54321, pw_gid=54321), pwd.getpwnam
    monkeypatch.setattr(pwd, "getpwnam", lambda name: user if name == "etcd" else known(name))
    return fake_host(THEIRS, [*UNITS, "docker"])


@pytest.fixture
def run(host, run_module):
    def run_it(**arguments):
        host.done.clear()
        return run_module(host_reset, **{**OPTIONS, **arguments})

    return run_it


def test_a_bare_host_has_nothing_to_remove(host, run):
    host.write("/var/lib/kubelet/mine", "x")
    result = run()
    assert result == {
        "changed": False,
        "actions": [],
        "removed": {},
        "kept": [],
        "diff": {**result["diff"], "before": "", "after": ""},
    }
    assert host.done == []
    assert host.files() == {**THEIRS, "/var/lib/kubelet/mine": "x"}


def test_everything_of_ours_is_removed_and_nothing_else(host, run):
    install(host)
    before = host.files()
    told = run(_ansible_check_mode=True)
    assert host.done == []
    assert host.files() == before
    result = run()
    assert result == told
    assert result["changed"]
    assert "service kubelet\n" in result["diff"]["before"]
    assert ("stop", "kubelet", "") in result["actions"]
    others = [("remove", f"{kind} {name}", "") for kind, names in result["removed"].items() for name in names]
    others = [action for action in others if not action[1].startswith("service ")]
    assert [action for action in result["actions"] if action[0] != "stop"] == others
    assert host.files() == {**THEIRS, "/etc/docker/daemon.json": '{\n  "debug": true\n}\n'}
    gone = ("/etc/kubernetes", "/opt/plainkube", "/opt/cni", "/var/lib/etcd", "/etc/systemd/system/haproxy.service.d")
    assert [one for one in gone if os.path.exists(f"{host.root}{one}")] == []
    assert host.restored == "*nat\n-D POSTROUTING -j FLANNEL-POSTRTG\n-F FLANNEL-POSTRTG\n-X FLANNEL-POSTRTG\nCOMMIT\n"
    assert (host.containers, host.images, host.stamp, host.states["docker"]) == ([], [], "", "active")
    assert not run()["changed"]
    assert host.done == []


def test_the_kubelet_is_stopped_before_its_containers_are_removed(host, run):
    install(host)
    run()
    removed = next(number for number, what in enumerate(host.done) if what.startswith("DELETE /containers"))
    assert host.done[0] == "systemctl stop kubelet"
    assert removed < host.done.index("umount /var/lib/kubelet/pods/p/v")


@pytest.mark.parametrize("runtime", ["cri-dockerd", "containerd"])
def test_a_run_killed_anywhere_is_finished_by_the_next(host, run, runtime):
    install(host, runtime)
    run()
    steps, left = len(host.done), host.files()
    assert steps > 12
    for step in range(1, steps + 1):
        host.start()
        install(host, runtime)
        host.kill_at = step
        with pytest.raises(host.Killed):
            run()
        host.kill_at = None
        run()
        assert host.files() == left, step
        assert (host.containers, host.images, host.stamp, host.network) == ([], [], "", ""), step
        assert (host.states["docker"], host.rules) == ("active", ""), step
        assert not run()["changed"], step


def test_parts_of_foreign_units_stay(host, run):
    host.write("/etc/systemd/system/kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet\n")
    for path in (
        "/var/lib/kubelet/pods/x",
        "/etc/kubernetes/pki/ca.crt",
        "/etc/kubernetes/kubelet.yaml",
        "/etc/network-environment",
    ):
        host.write(path, "theirs")
    host.containers, host.images, host.rules = [POD], [{"Id": "i1", "RepoTags": [PAUSE]}], RULES
    before = host.files()
    assert not run()["changed"]
    assert host.done == []
    assert host.files() == before


def test_foreign_files_keep_their_directory(host, run):
    install(host)
    host.write("/etc/kubernetes/pki/mine.crt", "x")
    run()
    assert [path for path in host.files() if path.startswith("/etc/kubernetes")] == ["/etc/kubernetes/pki/mine.crt"]


def test_a_file_that_another_has_written_since_stays(host, run):
    install(host)
    host.write("/etc/crictl.yaml", "# Written by plainkube.cluster.\nruntime-endpoint: unix:///run/mine.sock\n")
    run()
    assert "/etc/crictl.yaml" in host.files()
    assert "/etc/network-environment" not in host.files()


def test_a_file_with_our_name_goes_even_if_its_unit_is_gone(host, run):
    install(host)
    names = ("/etc/sysctl.d/zz-plainkube.conf", "/etc/modules-load.d/plainkube.conf")
    mine = "/etc/sysctl.d/99-tuning-for-plainkube.conf"
    host.write(mine, "vm.swappiness = 1\n")
    os.unlink(f"{host.root}/etc/systemd/system/flanneld.service")
    run()
    assert [name for name in (*names, mine) if name in host.files()] == [mine]


def test_docker_does_not_change_and_masquerades_while_foreign_containers_run(host, run):
    install(host)
    host.containers = [POD, MINE]
    result = run()
    assert "would stop mine: run plainkube.cluster.reset again" in result["kept"][0]
    assert host.containers == [MINE]
    assert "systemctl stop docker.socket docker" not in host.done
    assert "-A POSTROUTING -s 10.244.5.0/24 ! -o docker0 -j MASQUERADE\nCOMMIT" in host.restored
    assert not run()["changed"]
    host.containers = [{**MINE, "State": "exited"}]
    assert run()["removed"] == {"Docker's process": ["restarted, to restore its default bridge"]}
    assert host.done == [
        "systemctl stop docker.socket docker",
        "systemctl daemon-reload",
        "systemctl start docker",
        "systemctl stop docker.socket docker",
        "systemctl daemon-reload",
        "systemctl start docker",
    ]
    assert (host.stamp, host.network) == ("", "")


def test_an_image_in_use_by_a_foreign_container_stays(host, run):
    install(host)
    host.containers = [{**MINE, "State": "exited", "ImageID": "i1"}]
    result = run()
    assert result["kept"] == [f"Images in use by foreign containers stay: {PAUSE}."]
    assert host.images


def test_a_damaged_state_is_reported_before_any_change(host, run):
    install(host)
    host.write(_state.PATH, "{")
    before = host.files()
    for check in (True, False):
        assert run(_ansible_check_mode=check)["msg"] == (
            f"{_state.PATH} is damaged, so the changes of earlier runs on this host are unknown; remove it. Fix that, and run the reset "
            "again: it resumes here."
        )
    assert (host.done, host.files()) == ([], before)


def test_without_a_state_dockers_settings_stay(host, run):
    install(host)
    os.unlink(f"{host.root}{_state.PATH}")
    text = host.files()["/etc/docker/daemon.json"]
    run()
    assert host.files() == {**THEIRS, "/etc/docker/daemon.json": text}


def test_nothing_is_deleted_below_a_mount_that_stays(host, run):
    install(host)
    host.stuck = True
    result = run()
    assert "`umount /var/lib/kubelet/pods/p/v` failed: umount: target is busy" in result["msg"]
    assert "/var/lib/kubelet/pods/p/token" in host.files()


def link(host, path, target):
    """Move a path to another directory, and replace it with a link."""
    os.makedirs(os.path.dirname(f"{host.root}{target}"), exist_ok=True)
    os.rename(f"{host.root}{path}", f"{host.root}{target}")
    os.symlink(f"{host.root}{target}", f"{host.root}{path}")


def test_a_link_above_is_followed_to_mounts_and_data(host, run):
    install(host)
    link(host, "/var/lib", "/data/lib")
    host.write("/proc/self/mountinfo", "1 2 0:1 / /data/lib/kubelet/pods/p/v rw - tmpfs tmpfs rw\n")
    told = run(_ansible_check_mode=True)
    assert told["removed"]["mount"] == ["/data/lib/kubelet/pods/p/v"]
    result = run()
    assert "umount /data/lib/kubelet/pods/p/v" in host.done
    assert result == told
    assert host.files() == {**THEIRS, "/etc/docker/daemon.json": '{\n  "debug": true\n}\n'}
    assert os.listdir(f"{host.root}/data/lib") == []
    assert os.path.islink(f"{host.root}/var/lib")
    assert not run()["changed"]


@pytest.mark.parametrize("only", [None, "/var/lib/kubelet", "/etc/kubernetes"])
def test_links_and_their_targets_stay(host, run, only):
    install(host)
    links = {
        path: f"/data/{number}"
        for number, path in enumerate(
            [
                *("/var/lib/kubelet", "/var/lib/etcd", "/var/lib/flannel", "/var/log/kube-apiserver", "/opt/plainkube"),
                *("/etc/kubernetes/pki", "/etc/kubernetes", "/opt/cni"),
            ]
        )
        if only in (None, path)
    }
    # Only what the kubelet itself wrote.
    for path, text in (
        ("/var/lib/kubelet/pods/0a1b2c3d-0000-0000-0000-000000000000/x", "x"),
        ("/var/lib/etcd/data/member/x", "x"),
    ):
        host.write(path, text)
    os.unlink(f"{host.root}/var/lib/kubelet/pods/p/token")
    os.rmdir(f"{host.root}/var/lib/kubelet/pods/p")
    for path, target in links.items():
        link(host, path, target)
    place = links.get("/var/lib/kubelet", "/var/lib/kubelet")
    host.write(
        "/proc/self/mountinfo", f"1 2 0:1 / {place}/pods/0a1b2c3d-0000-0000-0000-000000000000/v rw - tmpfs tmpfs rw\n"
    )
    told = run(_ansible_check_mode=True)
    result = run()
    assert result == told
    assert ("/var/lib/kubelet/" in result["removed"]["data"]) == ("/var/lib/kubelet" in links)
    assert any(step.startswith(f"umount {place}/pods/") for step in host.done)
    assert host.files() == {**THEIRS, "/etc/docker/daemon.json": '{\n  "debug": true\n}\n'}
    for path, target in links.items():
        if path != "/etc/kubernetes/pki":  # went to where /etc/kubernetes is
            assert os.path.islink(f"{host.root}{path}"), path
            assert [name for name in os.listdir(f"{host.root}{target}") if name not in ("pki", "bin")] == [], path
    assert not run()["changed"]
    assert host.done == []


@pytest.mark.parametrize("check", [False, True])
def test_a_link_to_a_directory_with_foreign_files_is_refused_before_any_change(host, run, check):
    install(host)
    host.write("/data/canary", "mine")
    for name in os.listdir(f"{host.root}/var/lib/kubelet"):
        os.rename(f"{host.root}/var/lib/kubelet/{name}", f"{host.root}/data/{name}")
    os.rmdir(f"{host.root}/var/lib/kubelet")
    os.symlink(f"{host.root}/data", f"{host.root}/var/lib/kubelet")
    before = host.files()
    assert run(_ansible_check_mode=check)["msg"] == (
        "Nothing was removed: /var/lib/kubelet is a link to /data, which also contains canary, which does not belong to the cluster: "
        "move it to another directory, and run the reset again."
    )
    assert host.done == []
    assert host.files() == before


def test_a_mount_point_with_foreign_files_is_refused_too(host, run):
    install(host)
    host.write("/proc/self/mountinfo", "1 2 8:1 /data /var/lib/flannel rw - ext4 /dev/sda1 rw\n")
    host.write("/var/lib/flannel/canary", "mine")
    assert "/var/lib/flannel is a mount point, and also contains canary" in run()["msg"]
    assert host.done == []
    os.unlink(f"{host.root}/var/lib/flannel/canary")
    assert "/var/lib/flannel/" in run()["removed"]["data"]
    assert os.listdir(f"{host.root}/var/lib/flannel") == []


def test_a_link_inside_one_of_our_directories_is_refused(host, run):
    install(host)
    host.write("/data/plugins/canary", "mine")
    os.symlink(f"{host.root}/data/plugins", f"{host.root}/var/lib/kubelet/plugins")
    assert (
        "/var/lib/kubelet/plugins is a link to /data/plugins, and its content may not belong to the cluster"
        in run()["msg"]
    )
    assert host.done == []


def test_the_pods_directory_may_be_a_link(host, run):
    install(host)
    uid = "0a1b2c3d-0000-0000-0000-000000000000"
    os.rename(f"{host.root}/var/lib/kubelet/pods/p", f"{host.root}/var/lib/kubelet/pods/{uid}")
    host.write("/var/lib/kubelet/pki/x", "x")
    link(host, "/var/lib/kubelet/pods", "/data/pods")
    host.write("/proc/self/mountinfo", f"1 2 0:1 / /data/pods/{uid}/v rw - tmpfs tmpfs rw\n")
    result = run()
    assert result["removed"]["mount"] == [f"/data/pods/{uid}/v"]
    assert {"/var/lib/kubelet/pods/", "/var/lib/kubelet/"} <= {*result["removed"]["data"]}
    assert os.listdir(f"{host.root}/data/pods") == []
    assert os.path.islink(f"{host.root}/var/lib/kubelet/pods")
    assert not run()["changed"]


def test_a_docker_that_cannot_start_without_our_drop_in_is_reported(host, run, monkeypatch):
    install(host)
    host.write("/proc/1/status", "CapBnd:\t0000000000000000\n")
    show = host.systemctl
    monkeypatch.setattr(
        host, "systemctl", lambda *words: show(*words).replace("OOMScoreAdjust=0", "OOMScoreAdjust=-500")
    )
    assert "Docker is stopped: its unit asks for a negative OOMScoreAdjust" in run()["kept"][-1]
    assert host.states["docker"] == "inactive"


def test_a_held_service_does_not_start_at_boot_either(host, run):
    install(host)
    host.enabled |= {"haproxy", "keepalived"}
    assert run()["removed"]["hold on"] == ["haproxy.service", "keepalived.service"]
    assert not {"haproxy", "keepalived"} & host.enabled
    # Without our drop-in, it belongs to the administrator.
    host.enabled.add("haproxy")
    assert not run()["changed"]
    assert "haproxy" in host.enabled
