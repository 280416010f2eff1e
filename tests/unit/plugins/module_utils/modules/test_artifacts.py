# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.plainkube.cluster.plugins.module_utils.artifacts import _archive, _fetch, _sums
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import artifacts
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _proxy
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _lock

KUBELET = {
    "component": "kubernetes",
    "version": "1.37.2",
    "url": "https://dl.k8s.io/v1.37.2/kubelet",
    "sums_url": "https://dl.k8s.io/v1.37.2/kubelet.sha256",
    "binaries": {"kubelet": ""},
    "kinds": ["node"],
}
ETCD = {
    "component": "etcd",
    "version": "3.7.3",
    "url": "https://github.com/etcd.tar.gz",
    "sums_url": "https://github.com/SHA256SUMS",
    "binaries": {"etcd": "etcd-v3/etcd", "etcdctl": "etcd-v3/etcdctl"},
    "kinds": ["etcd"],
}
PAUSE = {"component": "images", "url": "images/pause.tar", "sums_url": "images/SHA256SUMS"}
NAMES = ["kubelet", "etcd", "etcdctl", "pause.tar"]


class Host:
    """A mirror, a host that installs from it, and the module."""

    def __init__(self, directory: pathlib.Path, run_module) -> None:
        self.mirror, self.root, self.bin = directory / "mirror", directory / "opt", directory / "bin"
        self.bin.mkdir()
        self._run_module = run_module
        self.publish(KUBELET, b"kubelet 1.37.2")
        members = [_archive.Entry(f"etcd-v3/{name}", name.encode()) for name in ("README", "etcd", "etcdctl")]
        self.publish(ETCD, _archive.tar_gz(members))
        self.publish(PAUSE, b"pause image")

    def publish(self, artifact: dict, content: bytes) -> None:
        """Put an artifact and its sum on the mirror."""
        path, sums = (self.mirror / artifact[key].removeprefix("https://") for key in ("url", "sums_url"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        text = sums.read_text() if sums.exists() else ""
        relative = str(sums.relative_to(self.mirror))
        sums.write_text(_sums.add(text, relative, path.name, hashlib.sha256(content).hexdigest()))

    def run(self, *wanted: dict, **options) -> dict:
        return self._run_module(
            artifacts,
            artifacts=list(wanted) or [KUBELET, ETCD, PAUSE],
            **{"mirror": str(self.mirror), "root": str(self.root), "bin_directory": str(self.bin), **options},
        )

    def files(self) -> dict[str, bytes]:
        """Every installed file, without manifests."""
        found = [path for path in self.root.rglob("*") if path.is_file() and path.name != ".plainkube.json"]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in found}

    def links(self) -> dict[str, str]:
        return {path.name: os.path.relpath(os.readlink(path), self.root) for path in self.bin.iterdir()}


@pytest.fixture
def host(tmp_path, run_module):
    return Host(tmp_path, run_module)


INSTALLED = {
    "kubernetes/1.37.2/kubelet": b"kubelet 1.37.2",
    "etcd/3.7.3/etcd": b"etcd",
    "etcd/3.7.3/etcdctl": b"etcdctl",
    "images/pause.tar": b"pause image",
}
LINKED = {"kubelet": "kubernetes/1.37.2/kubelet", "etcd": "etcd/3.7.3/etcd", "etcdctl": "etcd/3.7.3/etcdctl"}
CHANGES = [
    "kubelet absent → 1.37.2",
    "etcd absent → 3.7.3",
    "etcdctl absent → 3.7.3",
    "pause.tar absent → present",
]


def installs(result):
    """What is, or would be, installed, where there is nothing else to do."""
    assert all((verb, reason) == ("install", "") for verb, dummy, reason in result["actions"])
    return [subject for dummy, subject, dummies in result["actions"]]


def test_a_bare_host_gets_everything(host):
    check = host.run(_ansible_check_mode=True, _ansible_diff=True)
    assert host.files() == {}
    assert not host.root.exists()
    result = host.run(_ansible_diff=True)
    assert (result["changed"], installs(result)) == (True, CHANGES)
    assert result["diff"] == {"prepared": "".join(f"{line}\n" for line in CHANGES)}
    assert (check["changed"], installs(check), check["diff"]) == (True, CHANGES, result["diff"])
    assert (host.files(), host.links()) == (INSTALLED, LINKED)
    assert {path: oct(os.stat(host.root / path).st_mode)[-4:] for path in INSTALLED} == {
        path: "0644" if path.startswith("images") else "0755" for path in INSTALLED
    }
    assert not (host.root / ".incoming").exists()


def test_every_file_has_its_origin(host):
    host.run(checksums={"kubelet": hashlib.sha256(b"kubelet 1.37.2").hexdigest()})
    etcd = json.loads((host.root / "etcd/3.7.3/.plainkube.json").read_text())["files"]["etcd"]
    archive = host.mirror / "github.com/etcd.tar.gz"
    assert etcd["sha256"] == hashlib.sha256(b"etcd").hexdigest()
    assert etcd["source"] == str(archive)
    assert etcd["source_sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert etcd["verified_by"] == str(host.mirror / "github.com/SHA256SUMS")
    kubelet = json.loads((host.root / "kubernetes/1.37.2/.plainkube.json").read_text())["files"]["kubelet"]
    assert kubelet["verified_by"] == "artifacts_checksums"


def test_others_may_run_them_whatever_roots_umask(host):
    before = os.umask(0o077)
    try:
        host.run()
    finally:
        os.umask(before)
    directories = [host.root, *(path for path in host.root.rglob("*") if path.is_dir())]
    assert {oct(path.stat().st_mode)[-3:] for path in directories} == {"755"}


def test_the_second_run_needs_no_mirror_and_reads_no_file(host, monkeypatch):
    host.run()
    monkeypatch.setattr(_sums, "of_file", lambda path: pytest.fail(f"{path} was read"))
    result = host.run(mirror="http://mirror.invalid")
    assert (result["changed"], installs(result), result["missing"]) == (False, [], [])


def test_a_touched_file_is_as_good_as_before(host):
    host.run()
    os.utime(host.root / "kubernetes/1.37.2/kubelet", (1, 1))
    assert not host.run(mirror="http://mirror.invalid")["changed"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"Kubelet 1.37.2"),
        lambda path: path.write_bytes(b"kubelet"),
        lambda path: path.chmod(0o700),
        lambda path: path.with_name(".plainkube.json").write_text("{"),
    ],
)
def test_a_damaged_file_is_installed_again(host, damage):
    host.run()
    damage(host.root / "kubernetes/1.37.2/kubelet")
    assert installs(host.run()) == ["kubelet 1.37.2 (damaged) → 1.37.2"]
    assert host.files() == INSTALLED
    assert not host.run(mirror="http://mirror.invalid")["changed"]


def test_a_missing_file_is_installed_again(host):
    host.run()
    (host.root / "etcd/3.7.3/etcd").unlink()
    assert installs(host.run()) == ["etcd 3.7.3 (file is missing) → 3.7.3"]
    assert host.files() == INSTALLED


def test_another_version_is_flipped_to_and_back_without_a_download(host):
    host.run()
    newer = {**KUBELET, "version": "1.38.0", "url": "https://dl.k8s.io/v1.38.0/kubelet"}
    newer["sums_url"] = f"{newer['url']}.sha256"
    host.publish(newer, b"kubelet 1.38.0")
    assert installs(host.run(newer)) == ["kubelet 1.37.2 → 1.38.0"]
    assert host.links()["kubelet"] == "kubernetes/1.38.0/kubelet"
    back = host.run(KUBELET, mirror="http://mirror.invalid")
    assert (installs(back), back["missing"]) == (["kubelet 1.38.0 → 1.37.2"], [])
    assert host.links() == LINKED


def test_a_wrong_sum_replaces_nothing(host):
    host.run(KUBELET)
    newer = {**KUBELET, "version": "1.38.0", "url": "https://dl.k8s.io/v1.38.0/kubelet"}
    newer["sums_url"] = f"{newer['url']}.sha256"
    host.publish(newer, b"kubelet 1.38.0")
    (host.mirror / "images/pause.tar").write_bytes(b"tampered")
    result = host.run(newer, ETCD, PAUSE)
    found, published = (hashlib.sha256(text).hexdigest() for text in (b"tampered", b"pause image"))
    assert result["failed"]
    assert f"pause.tar has the SHA-256 {found}, but {host.mirror}/images/SHA256SUMS says {published}" in result["msg"]
    assert host.files() == {"kubernetes/1.37.2/kubelet": b"kubelet 1.37.2"}
    assert host.links() == {"kubelet": "kubernetes/1.37.2/kubelet"}


def test_a_pin_overrides_the_published_sum(host):
    host.run(KUBELET)
    other = hashlib.sha256(b"other").hexdigest()
    result = host.run(KUBELET, checksums={"kubelet": other})
    assert "artifacts_checksums says" in result["msg"]
    (host.mirror / "dl.k8s.io/v1.37.2/kubelet").write_bytes(b"other")
    pinned = host.run(KUBELET, checksums={"v1.37.2/kubelet": other.upper()})
    assert installs(pinned) == ["kubelet 1.37.2 (differs from the pinned SHA-256) → 1.37.2"]
    assert pinned["missing"] == ["dl.k8s.io/v1.37.2/kubelet"]
    assert host.files() == {"kubernetes/1.37.2/kubelet": b"other"}
    assert not host.run(KUBELET, checksums={"kubelet": other})["changed"]


@pytest.mark.parametrize("check", [True, False])
def test_a_download_without_a_pin_is_refused_where_one_is_required(host, check):
    sums = {"kubelet": hashlib.sha256(b"kubelet 1.37.2").hexdigest()}
    options = {"require_pins": True, "state": "staged", "_ansible_check_mode": check}
    result = host.run(known_checksums=sums, **options)
    assert result["failed"]
    assert result["msg"] == (
        "artifacts_require_pins is true, and artifacts_checksums has no SHA-256 for 2 downloads, the first https://github.com/etcd.tar.gz: add "
        "them, from a source that you trust, or set artifacts_require_pins to false."
    )
    assert host.files() == {}
    assert not host.run(KUBELET, known_checksums=sums, **options).get("failed")


def test_what_is_installed_needs_no_pin(host):
    host.run()
    assert not host.run(require_pins=True)["changed"]


def test_a_known_sum_overrides_the_published_one_and_a_pin_overrides_that(host):
    right, wrong = (hashlib.sha256(text).hexdigest() for text in (b"kubelet 1.37.2", b"other"))
    result = host.run(KUBELET, known_checksums={"dl.k8s.io/v1.37.2/kubelet": wrong})
    assert f"but plainkube.cluster says {wrong}" in result["msg"]
    assert host.run(KUBELET, known_checksums={"kubelet": wrong}, checksums={"kubelet": right})["changed"]
    manifest = json.loads((host.root / "kubernetes/1.37.2/.plainkube.json").read_text())["files"]["kubelet"]
    assert manifest["verified_by"] == "artifacts_checksums"


@pytest.mark.parametrize(
    ("mirror", "checksums", "state", "warned"),
    [
        ("http://ann:secret@mirror.example", {}, "staged", True),
        ("https://mirror.example", {}, "staged", False),
        ("http://mirror.example", {"kubelet": "0" * 64}, "staged", False),
        ("http://mirror.example", {}, "planned", False),
    ],
)
def test_a_mirror_without_https_is_warned_of(host, monkeypatch, mirror, checksums, state, warned):
    said = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda module, text: said.append(text))
    monkeypatch.setattr(artifacts, "act", lambda *dummy, **more: None)
    host.run(KUBELET, mirror=mirror, checksums=checksums, state=state)
    assert len(said) == warned
    assert not warned or said[0].startswith("artifacts_mirror is http://")
    assert "secret" not in str(said)


def test_nothing_to_download_is_nothing_to_warn_of(host, monkeypatch):
    host.run()
    monkeypatch.setattr(AnsibleModule, "warn", None)
    assert not host.run(mirror="http://mirror.example", state="staged").get("failed")


def test_a_pin_that_is_no_sum_is_refused(host):
    assert "set a SHA-256" in host.run(checksums={"kubelet": "sha256:1"})["msg"]


@pytest.mark.parametrize("foreign", ["file", "link", "directory"])
def test_what_is_not_ours_is_not_replaced(host, foreign):
    path = host.bin / "kubelet"
    {"file": path.touch, "link": lambda: path.symlink_to("/usr/bin/true"), "directory": path.mkdir}[foreign]()
    for check in (True, False):
        result = host.run(_ansible_check_mode=check)
        assert result["msg"].startswith(f"{path} was not created by this collection")
    assert host.files() == {}


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda host: (host.mirror / "dl.k8s.io/v1.37.2/kubelet").unlink(), "dl.k8s.io/v1.37.2/kubelet does not exist"),
        (
            lambda host: (host.mirror / "github.com/SHA256SUMS").write_text(""),
            "SHA256SUMS has no SHA-256 for etcd.tar.gz",
        ),
        (
            lambda host: host.publish(ETCD, _archive.tar_gz([])),
            "etcd.tar.gz does not contain etcd-v3/etcd, etcd-v3/etcdctl",
        ),
        (lambda host: host.publish(ETCD, b"no archive"), "archive is corrupt although its SHA-256 is right"),
    ],
)
def test_a_mirror_that_is_not_right_changes_nothing(host, prepare, said):
    prepare(host)
    result = host.run()
    assert said in result["msg"]
    assert (host.files(), host.links()) == ({}, {})
    assert not (host.root / ".incoming").exists()


def test_image_archives_need_a_mirror(host):
    assert host.run(PAUSE, mirror="")["msg"] == (
        "images/pause.tar is only on mirrors: set artifacts_mirror, or artifacts_images to 'pull'."
    )


def test_a_plan_names_what_to_copy_and_changes_nothing(host):
    plan = host.run(state="planned", mirror="")
    assert (plan["changed"], installs(plan)) == (False, CHANGES)
    assert plan["missing"] == [
        "dl.k8s.io/v1.37.2/kubelet",
        "dl.k8s.io/v1.37.2/kubelet.sha256",
        "github.com/SHA256SUMS",
        "github.com/etcd.tar.gz",
        "images/SHA256SUMS",
        "images/pause.tar",
    ]
    assert host.files() == {}
    host.run()
    assert host.run(state="planned", mirror="")["missing"] == []


def test_a_host_gets_what_is_for_its_kinds(host):
    assert installs(host.run(KUBELET, ETCD, PAUSE, kinds=["node"])) == [CHANGES[0], CHANGES[3]]


def test_what_a_killed_run_left_is_removed(host):
    (host.root / ".incoming").mkdir(parents=True)
    (host.root / ".incoming/0").write_bytes(b"half")
    (host.bin / ".plainkube-kubelet").symlink_to("/nowhere")
    host.run()
    assert (host.files(), host.links()) == (INSTALLED, LINKED)


# In a process of its own: forked from this one, which may have threads, it could wait for ever for a lock that one of them held.
RUN = """
import json, sys, types
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import artifacts
print("ready", flush=True)
sys.stdin.read()
artifacts.compare(types.SimpleNamespace(params=json.loads(sys.argv[1]), check_mode=False))
"""


def test_runs_at_once_install_what_each_has_verified(host):
    """Processes of their own, released together, some of which are killed. Each that ends has all in place."""
    params = {
        "artifacts": [
            {**artifact, "setting": "", "version": artifact.get("version", "")} for artifact in (KUBELET, ETCD, PAUSE)
        ],
        "kinds": [],
        "mirror": str(host.mirror),
        "checksums": {},
        "known_checksums": {},
        "require_pins": False,
        "root": str(host.root),
        "bin_directory": str(host.bin),
        "packages": [],
        **dict.fromkeys(("http_proxy", "https_proxy"), ""),
        "no_proxy": [],
    }
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(artifacts.__file__).parents[6])}
    for number in range(12):
        shutil.rmtree(host.root, ignore_errors=True)
        runs = []
        for state in ("present", "staged", "present"):
            command = [sys.executable, "-c", RUN, json.dumps({**params, "state": state})]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            runs.append(subprocess.Popen(command, env=environment, **pipes))
        for one in runs:
            assert one.stdout.readline() == b"ready\n"
        for one in runs:
            one.stdin.close()
        if number % 2:
            time.sleep(number / 1000)
            runs[2].kill()
        for one in runs:
            one.stdout.close()
        assert [one.wait() for one in runs][:2] == [0, 0]
        found = {
            path: content for path, content in host.files().items() if not path.startswith((".staged", ".incoming"))
        }
        assert (found, host.links()) == (INSTALLED, LINKED)
    assert not host.run()["changed"]


def test_a_run_that_another_one_does_not_let_in(host, monkeypatch):
    monkeypatch.setattr(artifacts, "LOCK_SECONDS", 0.2)
    host.root.mkdir()
    with _lock.held(str(host.root), 0):
        result = host.run()
        # What changes nothing needs no lock.
        assert installs(host.run(state="planned")) == CHANGES
        assert installs(host.run(_ansible_check_mode=True)) == CHANGES
    assert result["failed"]
    assert result["msg"] == (
        f"Another run has been installing under {host.root} for 0.2 seconds: wait until it ends, then run this again."
    )
    assert host.files() == {}


def test_a_run_that_another_one_overtakes_changes_nothing(host, monkeypatch):
    held = _lock.held

    @contextlib.contextmanager
    def overtaken(path, seconds):
        with monkeypatch.context() as patch:
            patch.setattr(artifacts._lock, "held", held)
            assert host.run()["changed"]
        with held(path, seconds):
            yield

    monkeypatch.setattr(artifacts._lock, "held", overtaken)
    result = host.run()
    assert (result["changed"], installs(result)) == (False, [])
    assert (host.files(), host.links()) == (INSTALLED, LINKED)


def test_packages_with_alternatives(host, monkeypatch):
    out = "docker-ce installed\niptables config-files\nnftables installed\n"
    monkeypatch.setattr(AnsibleModule, "run_command", lambda self, command, **dummy: (1, out, "no packages found"))
    result = host.run(packages=["docker.io|docker-ce", "iptables", "nftables", "socat"])
    assert result["missing_packages"] == ["iptables", "socat"]
    assert installs(result) == [*CHANGES, "packages iptables, socat"]
    again = host.run(packages=["docker.io|docker-ce", "iptables", "nftables", "socat"])
    assert (again["changed"], installs(again)) == (False, ["packages iptables, socat"])


# Staged: all hosts have what they need before anything changes on one


def staged(host):
    return {path.removeprefix(".staged/") for path in host.files()}


def test_staging_changes_nothing_that_is_in_use_and_the_rest_needs_no_mirror(host):
    result = host.run(state="staged", _ansible_diff=True)
    assert (result["changed"], installs(result), result["diff"]) == (False, CHANGES, {"prepared": ""})
    assert result["replaced"] == [*(str(host.bin / name) for name in NAMES[:3]), str(host.root / "images/pause.tar")]
    assert (staged(host), host.links()) == ({*INSTALLED}, {})
    assert all(path.startswith(".staged/") for path in host.files())
    placed = host.run(mirror="http://mirror.invalid")
    assert (placed["changed"], installs(placed), placed["replaced"]) == (True, CHANGES, result["replaced"])
    assert (host.files(), host.links()) == (INSTALLED, LINKED)
    assert not (host.root / ".staged").exists()
    again = host.run(state="staged", mirror="http://mirror.invalid")
    assert (installs(again), again["replaced"]) == ([], [])


def test_what_is_staged_is_not_fetched_again(host, monkeypatch):
    host.run(state="staged")
    fetched = []
    monkeypatch.setattr(
        artifacts,
        "fetch",
        lambda source, *more, **named: fetched.append(source) or _fetch.fetch(source, *more, **named),
    )
    host.run(state="staged")
    assert all(source.endswith(("SHA256SUMS", ".sha256")) for source in fetched)
    # Another build under the same name.
    host.publish(PAUSE, b"another pause")
    host.run(state="staged")
    assert [source for source in fetched if source.endswith("pause.tar")] == [f"{host.mirror}/images/pause.tar"]
    host.run()
    assert host.files() == {**INSTALLED, "images/pause.tar": b"another pause"}


def test_what_was_tampered_with_while_it_waited_is_fetched_again(host):
    host.run(state="staged")
    (host.root / ".staged/kubernetes/1.37.2/kubelet").write_bytes(b"tampered")
    host.run()
    assert host.files() == INSTALLED


def test_nothing_unverified_is_left(host):
    (host.mirror / "images/pause.tar").write_bytes(b"tampered")
    assert host.run(state="staged")["failed"]
    assert b"tampered" not in host.files().values()
    assert not (host.root / ".incoming").exists()


def test_what_waits_and_is_no_longer_wanted_is_removed(host):
    host.run(KUBELET)
    host.run(ETCD, state="staged")
    planned = host.run(KUBELET, state="staged", _ansible_check_mode=True)
    assert planned["actions"] == [("wait", f"{host.root}/.staged", "left by a run for other versions")]
    assert "etcd/3.7.3/etcd" in staged(host)
    host.run(KUBELET, state="staged")
    assert not (host.root / ".staged").exists()
    assert host.run(KUBELET, state="planned")["actions"] == []


def test_check_mode_tells_what_would_fail(host):
    check = {"state": "staged", "_ansible_check_mode": True}
    assert installs(host.run(**check)) == CHANGES
    assert not host.root.exists()
    (host.mirror / "dl.k8s.io/v1.37.2/kubelet").unlink()
    artifact = {**KUBELET, "setting": "cluster_version"}
    assert host.run(artifact, **check)["msg"] == (
        f"{host.mirror}/dl.k8s.io/v1.37.2/kubelet does not exist: correct cluster_version, or add it to artifacts_mirror "
        f"({host.mirror}; plainkube.cluster.build builds a mirror)."
    )
    (host.mirror / "github.com/SHA256SUMS").write_text("")
    assert "has no SHA-256 for etcd.tar.gz" in host.run(ETCD, **check)["msg"]
    assert not host.root.exists()


def test_a_download_goes_through_the_proxies_and_no_password_is_told(host, capfd, monkeypatch):
    """The answer whole, with the arguments that ansible-core 2.20 adds; the proxy is one that does not answer."""
    logged, proxy = [], "http://user:Geheim@127.0.0.1:9"
    monkeypatch.setattr(AnsibleModule, "log", lambda self, msg, log_args=None: logged.append(f"{msg} {log_args}"))
    defaults = (_proxy.Proxies(), 5.0, (), *_fetch.fetch.__defaults__[3:])
    monkeypatch.setattr(_fetch.fetch, "__defaults__", defaults)
    arguments = {
        "artifacts": [
            {**PAUSE, "url": "http://upstream.invalid/pause.tar", "sums_url": "http://upstream.invalid/SUMS"}
        ],
        "root": str(host.root),
        "http_proxy": proxy,
        "https_proxy": proxy,
        "no_proxy": ["localhost"],
    }
    with patch_module_args(arguments), pytest.raises(SystemExit):
        artifacts.main()
    answer = json.loads(capfd.readouterr().out)
    assert "refused" in answer["msg"]
    told = {key: value for key, value in answer.items() if not key.startswith("_ansible_")}
    assert "Geheim" not in str(told) + "".join(logged)
    assert logged
