# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The lock of the control node, with real processes."""

from __future__ import annotations

import contextlib
import getpass
import os
import pathlib
import socket
import subprocess
import sys
import time

import pytest
from ansible.errors import AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.plainkube.cluster.plugins.lookup import alone
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _alone

# A run, in a process of its own. Forked from this one, which has threads, it could wait for ever for a lock that one of them held.
RUN = """
import os, sys
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _alone
other = _alone.take(sys.argv[1], "plainkube.cluster.site", 0, print)
if "worker" not in sys.argv or os.fork():
    print(other or "taken", flush=True)
sys.stdin.read()
"""
ROOT = pathlib.Path(_alone.__file__).parents[6]


class Hosts(dict):
    """Ansible's hostvars."""

    def raw_get(self, name):
        return self[name]


@pytest.fixture
def known(tmp_path):
    """The variables of the first control plane."""
    return {"inventory_dir": str(tmp_path / "inventory"), "cluster_name": "c"}


@pytest.fixture
def take(monkeypatch, tmp_path, known):
    """A function that does what ansible-playbook does with a play's hosts."""
    monkeypatch.setattr(_alone, "_HELD", {})
    monkeypatch.setattr(_alone, "_CURRENT", [])
    monkeypatch.setattr(alone.C.config, "get_config_value", {"ANSIBLE_HOME": str(tmp_path / "home")}.__getitem__)
    monkeypatch.setattr(alone.context, "CLIARGS", {"args": ("plainkube.cluster.site",)})

    def run(needed=True, directory=None, **groups):
        if directory:
            known["certificates_directory"] = directory
        loader = DataLoader()
        made = alone.LookupModule(loader=loader, templar=Templar(loader=loader))
        made.set_options = lambda **dummy: None
        made.get_option = {"needed": needed}.__getitem__
        groups = groups or {"plainkube_hosts": ["k1"], "control_plane": ["k1"]}
        known_n1 = {name: value for name, value in known.items() if name == "cluster_control_plane_group"}
        hosts = Hosts(k1=known, n1=known_n1)
        for name, host in hosts.items():
            host.update({"inventory_hostname": name, "groups": groups})
        return made.run(["all"], {"groups": groups, "hostvars": hosts})

    return run


@pytest.fixture
def begin(tmp_path):
    """A function that begins another run, which has the lock until its standard input is closed or it is killed."""
    file = _alone.path(str(tmp_path / "home"), str(tmp_path / "inventory/pki/c"))
    with contextlib.ExitStack() as stack:

        def run(*more):
            command = [sys.executable, "-c", RUN, file, *more]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            process = stack.enter_context(
                subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, **pipes)
            )
            stack.callback(process.stdin.close)
            assert process.stdout.readline() == "taken\n"
            return process

        yield run


@pytest.fixture
def other(begin):
    return begin()


def test_one_run_takes_it_more_than_once(take):
    assert take() == ["all"]
    assert take() == ["all"]


def test_another_run_is_told_who_has_it(take, other, monkeypatch):
    monkeypatch.setattr(alone.context, "CLIARGS", {"args": ("plainkube.cluster.reset",)})
    with pytest.raises(AnsibleLookupError) as error:
        take()
    assert str(error.value).startswith(
        f"Another run changes cluster c: plainkube.cluster.site of {getpass.getuser()} on {socket.gethostname()} (pid {other.pid}), since 20"
    )
    assert "or set cluster_lock_wait to the seconds to wait" in str(error.value)


def test_a_run_that_is_killed_has_no_lock(take, other):
    other.kill()
    other.wait()
    assert take() == ["all"]


def test_a_worker_that_outlives_its_run_keeps_others_out(take, begin):
    """It may still change a host."""
    run = begin("worker")
    run.kill()
    run.wait()
    with pytest.raises(AnsibleLookupError):
        take()
    run.stdin.close()
    assert poll(take) == ["all"]


def poll(take):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            return take()
        except AnsibleLookupError:
            time.sleep(0.05)
    return None


def test_a_run_waits(take, other, known, monkeypatch):
    said = []

    def display(text):
        said.append(text)
        other.stdin.close()

    monkeypatch.setattr(alone.display, "display", display)
    known["cluster_lock_wait"] = "60"
    assert take() == ["all"]
    assert len(said) == 1
    assert said[0].startswith("Waiting up to 60 s for another run that changes cluster c: plainkube.cluster.site of ")


def test_a_run_does_not_wait_for_ever(take, other, known):
    known["cluster_lock_wait"] = 1
    before = time.monotonic()
    with pytest.raises(AnsibleLookupError):
        take()
    assert time.monotonic() - before >= 1


@pytest.mark.parametrize("arguments", [{"check": True}, {"listhosts": True}, {"syntax": True}])
def test_what_changes_nothing_needs_no_lock(take, other, monkeypatch, arguments):
    monkeypatch.setattr(alone.context, "CLIARGS", arguments)
    assert take() == ["all"]


def test_a_play_that_changes_nothing_needs_no_lock(take, other):
    assert take(needed=False) == ["all"]
    assert take(bastion=["n1"]) == ["all"]


@pytest.mark.parametrize(
    ("changes", "excludes"),
    [
        ({"cluster_name": "d"}, False),
        ({"certificates_directory": "{top}/elsewhere"}, False),
        ({"certificates_directory": "{top}/inventory/pki/../pki/c"}, True),
    ],
)
def test_clusters_are_told_apart_by_their_directory(take, other, known, tmp_path, changes, excludes):
    known.update({name: value.format(top=tmp_path) for name, value in changes.items()})
    if excludes:
        with pytest.raises(AnsibleLookupError):
            take()
    else:
        assert take() == ["all"]


def test_only_its_user_reads_it(take, tmp_path):
    take()
    files = [path for path in (tmp_path / "home/plainkube").rglob("*") if path.is_file()]
    assert len(files) == 2
    for file in files:
        assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_home_that_cannot_be_written(take, tmp_path):
    (tmp_path / "home").write_text("a file")
    with pytest.raises(AnsibleLookupError) as error:
        take()
    assert f"The lock {tmp_path}/home/plainkube cannot be taken (Not a directory)" in str(error.value)
    assert "set ANSIBLE_HOME to a directory that this user can write to." in str(error.value)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"pid": 1, "other": 2}'])
def test_a_lock_whose_note_cannot_be_read(tmp_path, text):
    (tmp_path / "a.lock").write_text(text)
    assert _alone.holder(str(tmp_path / "a.lock")) == "another one"


# --- the name of the run, for the locks of hosts -------------------------------------------------------------------


def end():
    """What the kernel does when ansible-playbook ends."""
    for lock in _alone._HELD.values():
        lock.close()
    _alone._HELD.clear()


def test_a_run_has_a_name_of_its_own_and_knows_those_that_have_ended(take):
    assert _alone.current() is None
    names = []
    for number in range(3):
        take()
        run = _alone.current()
        assert {*run.dead} == {*names}
        assert run.who.startswith(f"plainkube.cluster.site of {getpass.getuser()} on {socket.gethostname()} (pid ")
        names.append(run.run)
        end()
        assert len({*names}) == number + 1


def test_a_run_of_another_cluster_is_alive(take, begin, tmp_path):
    """As long as its process is, or a worker."""
    run = begin("worker")
    assert take(directory=str(tmp_path / "other")) == ["all"]
    assert [*_alone.current().dead] == []
    end()
    run.kill()
    run.wait()
    take(directory=str(tmp_path / "other"))
    assert len(_alone.current().dead) == 1
    end()
    run.stdin.close()
    run.stdout.read()
    take(directory=str(tmp_path / "other"))
    assert len(_alone.current().dead) == 3


def test_old_runs_are_forgotten(take, tmp_path, monkeypatch):
    monkeypatch.setattr(_alone, "_MOST", 3)
    for _run in range(6):
        take()
        end()
    runs = tmp_path / "home/plainkube/runs"
    assert len([*runs.iterdir()]) == 4
    for path in runs.iterdir():
        os.utime(path, (0, 0))
    take()
    assert [*_alone.current().dead] == []
    assert [path.name.rpartition("-")[2] for path in runs.iterdir()] == [_alone.current().run]


def test_it_waits_for_a_time_in_total(take, known, monkeypatch):
    known["cluster_lock_wait"] = 60
    take()
    assert 55 < _alone.patience() <= 60


def test_limit_leaves_no_run_without_a_lock(take):
    """The groups of the run have no control plane then."""
    take(control_plane=["k1"], plainkube_hosts=["n1"])
    assert _alone.current()


def test_a_group_with_a_name_of_its_own(take, known):
    known["cluster_control_plane_group"] = "masters"
    take(masters=["k1"], plainkube_hosts=["n1"])
    assert _alone.current()


def test_another_machine_with_the_same_home(take, monkeypatch):
    take()
    end()
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    take()
    assert [*_alone.current().dead] == []


def test_a_file_of_somebody_else_is_left_alone(take, monkeypatch):
    take()
    end()
    real = _alone._try

    def refuse(file, seconds):
        if not os.path.basename(file).startswith(".") and "/runs/" in file:
            raise PermissionError(13, "Permission denied", file)
        return real(file, seconds)

    monkeypatch.setattr(_alone, "_try", refuse)
    take()
    assert [*_alone.current().dead] == []


def test_what_changes_nothing_has_no_name(take, monkeypatch):
    monkeypatch.setattr(alone.context, "CLIARGS", {"check": True})
    take()
    assert _alone.current() is None
