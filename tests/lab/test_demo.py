# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest

from lab import demo
from lab.base import LabError


def test_table_adds_up():
    stages = demo.Stages()
    stages.done = [("Docker Engine", 1.25), ("cluster", 30)]
    assert stages.table().splitlines() == [
        "  Docker Engine      1.2 s",
        "  cluster           30.0 s",
        "  in all            31.2 s",
    ]


def test_a_stage_that_failed_is_not_in_the_table():
    stages = demo.Stages()
    with pytest.raises(LabError), stages.stage("hosts"):
        raise LabError("no")
    assert stages.done == []


class FakeLab:
    """A running lab."""

    def __init__(self, name, client):
        self.client = client

    def up(self):
        pass

    def inventory(self):
        return "[all]\n"

    def hosts(self):
        return {"k1": None}

    def ssh_command(self, name):
        return f"ssh {name}"

    def fetch(self, name, path, target):
        pass

    def journals(self):
        return "==== k1: failed units"


@pytest.fixture
def plays(monkeypatch, tmp_path):
    """The playbooks that the demo runs; the one in `fails` fails."""
    ran = []

    def playbook(name, *arguments):
        ran.append(name)
        if name == playbook.fails:
            raise LabError(f"playbooks/{name} failed, see above.")

    playbook.fails = None
    monkeypatch.setattr(demo, "playbook", playbook)
    monkeypatch.setattr(demo, "Lab", FakeLab)
    monkeypatch.setattr(demo, "INVENTORY", tmp_path / "inventory.ini")
    for module in (demo.engine, demo.image, demo.artifacts):
        monkeypatch.setattr(module, "ensure", lambda *arguments: None)
    playbook.ran = ran
    return playbook


def test_demo(plays, capsys):
    demo.main(None)
    assert plays.ran == ["site.yml", "verify.yml", "kubeconfig.yml", "status.yml"]
    assert demo.INVENTORY.read_text() == "[all]\n"
    said = capsys.readouterr().out
    assert "The cluster is up." in said
    assert "ssh k1\n" in said


def test_demo_that_fails_shows_journals_and_how_to_go_on(plays, capsys):
    plays.fails = "verify.yml"
    with pytest.raises(LabError, match=r"verify\.yml failed"):
        demo.main(None)
    said = capsys.readouterr().out
    assert plays.ran == ["site.yml", "verify.yml"]
    assert "==== k1: failed units" in said
    assert "`make demo` resumes here." in said
    assert "The cluster is up." not in said
