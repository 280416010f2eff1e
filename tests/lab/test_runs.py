# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import os
import pathlib
import time

import pytest

from lab import runs

SLEEPER = """
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Sleep
      ansible.builtin.command: sleep {seconds}
    - name: Not reached
      ansible.builtin.command: sleep {seconds}
"""


# A duration of sleep that is unique to this test run: a failed run may have left processes behind.
LONG = f"400.{os.getpid()}"


def sleepers(seconds):
    """The remaining processes of a run: PID and command line of all with this number."""
    found = {}
    for directory in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if f"sleep {seconds}" in command:
            found[directory.name] = command
    return found


def sleeping(tmp_path, seconds, **options):
    (tmp_path / "sleep.yml").write_text(SLEEPER.format(seconds=seconds), encoding="utf-8")
    return runs.Playbook(str(tmp_path / "sleep"), "-i", "localhost,", "-c", "local", **options)


def wait_for(condition):
    for _attempt in range(100):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("waited 10 s in vain")


def test_a_killed_run_leaves_no_worker_and_no_module(tmp_path):
    running = sleeping(tmp_path, LONG)
    wait_for(lambda: sleepers(LONG))
    running.kill()
    ended = running.wait()
    assert ended.code == -9
    assert [event["event"] for event in ended.events] == ["start"]
    wait_for(lambda: not sleepers(LONG))


def test_a_run_that_takes_too_long_is_killed(tmp_path):
    ended = sleeping(tmp_path, LONG).wait(4)
    assert ended.code == -9
    wait_for(lambda: not sleepers(LONG))


def test_who_waits_is_interrupted(tmp_path, monkeypatch):
    running = sleeping(tmp_path, LONG)
    wait_for(lambda: sleepers(LONG))

    def interrupt(dummy):
        raise KeyboardInterrupt

    monkeypatch.setattr(running._process, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        running.wait()
    wait_for(lambda: not sleepers(LONG))
    assert not running._record.exists()


def test_a_run_is_killed_before_the_task_that_was_asked_for(tmp_path):
    ended = sleeping(tmp_path, 0.25, kill_at=2).wait()
    assert ended.code == -9
    assert [(event["event"], event["task"]) for event in ended.events] == [
        ("start", "Sleep"),
        ("ok", "Sleep"),
        ("start", "Not reached"),
    ]
