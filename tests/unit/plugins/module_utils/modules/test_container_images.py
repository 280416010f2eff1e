# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import container_images

PAUSE, HELLO = "registry.k8s.io/pause:3.10.2", "docker.io/library/hello:1"


class Engine:
    """A Docker Engine of which only the command line is seen."""

    def __init__(self) -> None:
        self.images: set[str] = set()
        self.archives = {"/pause.tar": PAUSE}
        self.down = False
        self.active = True
        self.refusals = 0
        self.commands: list[list[str]] = []

    def run(self, command, check_rc=False, handle_exceptions=True, **options):
        if command[0] == "systemctl":
            return 0, f"ActiveState={'active' if self.active else 'inactive'}\n", ""
        if self.down:
            return 1, "", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."
        if command[1:3] == ["image", "inspect"]:
            wanted = [name.removeprefix("docker.io/library/") for name in command[5:]]
            found = [name for name in wanted if name in self.images]
            return int(found != wanted), "\n\n".join(found), "Error: No such image: x" if found != wanted else ""
        self.commands.append(command[1:])
        self.environment = options.get("environ_update")
        return getattr(self, command[1])(*command[2:])

    def load(self, dummy_quiet, dummy_input, archive):
        self.images.add(self.archives.get(archive, "other:1"))
        return 0, "", ""

    def pull(self, dummy_quiet, name):
        if self.refusals:
            self.refusals -= 1
            return 1, "", "manifest unknown"
        self.images.add(name.removeprefix("docker.io/library/"))
        return 0, "", ""

    def tag(self, dummy_source, name):
        self.images.add(name.removeprefix("docker.io/library/"))
        return 0, "", ""


@pytest.fixture
def engine(monkeypatch):
    engine = Engine()
    monkeypatch.setattr(AnsibleModule, "run_command", engine.run)
    monkeypatch.setattr(container_images.time, "sleep", lambda seconds: None)
    return engine


def run(run_module, **options):
    images = options.pop("images", [{"name": PAUSE, "archive": "/pause.tar"}, {"name": HELLO}])
    return run_module(container_images, images=images, **options)


def test_missing_images_are_loaded_and_pulled(engine, run_module):
    check = run(run_module, _ansible_check_mode=True, _ansible_diff=True)
    assert engine.commands == []
    result = run(run_module, _ansible_diff=True)
    assert engine.commands == [["load", "--quiet", "--input", "/pause.tar"], ["pull", "--quiet", HELLO]]
    assert result["actions"] == [
        ("install", f"{PAUSE} absent → loaded from /pause.tar", ""),
        ("install", f"{HELLO} absent → pulled as {HELLO}", ""),
    ]
    assert all(check[key] == result[key] for key in ("changed", "actions", "diff"))
    assert result["changed"] is True


def test_what_is_there_is_left_alone(engine, run_module):
    engine.images = {PAUSE, "hello:1"}
    assert run(run_module)["changed"] is False
    engine.images = {PAUSE}
    assert run(run_module)["actions"] == [("install", f"{HELLO} absent → pulled as {HELLO}", "")]
    assert engine.commands == [["pull", "--quiet", HELLO]]


def test_from_a_registry_of_ones_own_by_digest(engine, run_module):
    run(run_module, images=[{"name": PAUSE, "digest": "sha256:1"}], registry="r.example.com/k8s")
    source = "r.example.com/k8s/pause@sha256:1"
    assert engine.commands == [["pull", "--quiet", source], ["tag", source, PAUSE]]


def test_a_pull_is_tried_three_times(engine, run_module):
    engine.refusals = 2
    assert run(run_module, images=[{"name": HELLO}])["changed"] is True
    engine.images, engine.refusals = set(), 3
    said = run(run_module, images=[{"name": HELLO}])["msg"]
    assert said.startswith(f"{HELLO} cannot be pulled (manifest unknown): ")
    assert "artifacts_image_registry" in said


def test_a_pull_goes_through_the_proxies_of_the_service_and_names_no_password(
    engine, run_module, monkeypatch, tmp_path
):
    """containerd's client pulls by itself."""
    proxy = "http://user:Geheim@proxy:3128"
    monkeypatch.setattr(container_images._environment, "DIRECTORY", str(tmp_path))
    path = tmp_path / "plainkube-docker.env"
    path.write_text(container_images._environment.render("docker", {"HTTPS_PROXY": proxy}), encoding="utf-8")
    monkeypatch.setattr(engine, "pull", lambda *dummy: (1, "", f"invalid proxy address {proxy}"))
    said = run(run_module, images=[{"name": HELLO}])["msg"]
    assert said.startswith(f"{HELLO} cannot be pulled (invalid proxy address http://***@proxy:3128): ")
    assert engine.environment == {"HTTPS_PROXY": proxy}


def test_an_archive_without_the_image(engine, run_module):
    said = run(run_module, images=[{"name": PAUSE, "archive": "/other.tar"}])["msg"]
    assert said == f"{PAUSE} is still absent after it was loaded from /other.tar: check what that contains."


def test_an_engine_that_is_down(engine, run_module):
    engine.down = True
    assert "Cannot connect to the Docker daemon" in run(run_module)["msg"]
    assert run(run_module, _ansible_check_mode=True)["changed"] is True


def test_no_images(engine, run_module):
    assert run(run_module, images=[])["changed"] is False


def test_check_mode_does_not_start_a_docker_that_is_stopped(engine, run_module, monkeypatch):
    engine.images = {PAUSE, "hello:1"}
    assert run(run_module, _ansible_check_mode=True)["changed"] is False
    engine.active = False
    asked = []
    monkeypatch.setattr(
        AnsibleModule, "run_command", lambda self, command, **dummy: asked.append(command) or engine.run(command)
    )
    assert run(run_module, _ansible_check_mode=True)["changed"] is True
    assert [command[0] for command in asked] == ["systemctl"]


class Containerd:
    """containerd, of which only its client is seen: names are in full, and all are listed."""

    def __init__(self):
        self.images = {"registry.k8s.io/other:1"}
        self.commands = []

    def run(self, command, **dummy):
        if command[0] == "systemctl":
            return 0, "ActiveState=active\n", ""
        assert command[:4] == ["ctr", "--namespace", "k8s.io", "images"]
        verb, *words = command[4:]
        if verb == "list":
            return 0, "\n".join(sorted(self.images)), ""
        self.commands.append([verb, *words])
        self.images.add(PAUSE if verb == "import" else words[-1])
        return 0, "", ""


def test_containerds_images(run_module, monkeypatch):
    containerd = Containerd()
    monkeypatch.setattr(AnsibleModule, "run_command", lambda self, command, **options: containerd.run(command))
    images = [{"name": PAUSE, "archive": "/pause.tar"}, {"name": HELLO, "digest": "sha256:1"}]
    told = run(run_module, images=images, runtime="containerd", _ansible_check_mode=True)
    assert containerd.commands == []
    result = run(run_module, images=images, runtime="containerd")
    assert result == told
    assert containerd.commands == [
        ["import", "/pause.tar"],
        ["pull", "--hosts-dir", "/etc/containerd/certs.d", "docker.io/library/hello@sha256:1"],
        ["tag", "--force", "docker.io/library/hello@sha256:1", HELLO],
    ]
    for check in (True, False):
        assert not run(run_module, images=images, runtime="containerd", _ansible_check_mode=check)["changed"]
