# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import cni_bridge

CHECK = "check"


class Host:
    """The script and its service, as far as they are seen from outside."""

    def __init__(self, script):
        self.script = script
        self.differences = ["cni0 lacks flannel's 10.244.5.1/24"]
        self.watched = "inactive"
        self.code, self.heals, self.started = 0, 1, 0

    def run_command(self, command, **dummy):
        if command == [self.script, CHECK]:
            return self.code, "".join(f"{line}\n" for line in self.differences), "Traceback" if self.code else ""
        if command[:2] == ["systemctl", "start"]:
            assert command[2:] == ["plainkube-cni.path", "plainkube-cni.service"]
            self.started += 1
            self.watched = "active"
            self.differences = [] if self.started >= self.heals else self.differences
            return 0, "", ""
        return 0, f"ActiveState={self.watched}\n", ""


@pytest.fixture
def host(tmp_path, monkeypatch):
    script = tmp_path / "plainkube-cni"
    script.write_text("", encoding="utf-8")
    monkeypatch.setattr(_places, "CNI_PROGRAM", str(script))
    fake = Host(str(script))
    monkeypatch.setattr(AnsibleModule, "run_command", lambda self, command, **options: fake.run_command(command))
    return fake


@pytest.fixture
def run(host, run_module):
    return lambda **options: run_module(cni_bridge, **{"wait": 0, **options})


def test_what_differs_is_mended_once(host, run):
    told = run(_ansible_check_mode=True)
    assert host.started == 0
    result = run()
    assert result == told
    assert result["actions"] == [
        ("apply", "cni0 lacks flannel's 10.244.5.1/24", ""),
        ("apply", "plainkube-cni.path is not active, so a new subnet would be missed", ""),
    ]
    for check in (True, False):
        assert not run(_ansible_check_mode=check)["changed"]
    assert host.started == 1


def test_it_is_waited_for(host, run):
    host.heals = 3
    assert "after 0 s: cni0 lacks flannel's" in run()["msg"]
    assert run(wait=5)["changed"]
    assert host.started == 3


def test_a_script_that_fails_is_told(host, run):
    host.code = 1
    assert run(_ansible_check_mode=True)["msg"] == f"`{host.script} check` failed: Traceback"


def test_a_script_that_is_not_there_yet(host, run, tmp_path):
    (tmp_path / "plainkube-cni").unlink()
    result = run(_ansible_check_mode=True)
    assert result["changed"]
    assert result["actions"] == [("apply", f"{tmp_path}/plainkube-cni does not exist yet", "")]
