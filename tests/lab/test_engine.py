# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

from lab import engine
from lab.engine import daemon_config


def test_daemon_config_keeps_the_users_settings():
    user = {"mtu": 1400, "runtimes": {"crun": {"path": "/usr/bin/crun"}}, "default-runtime": "crun"}
    assert daemon_config(user, "/w") == {
        "mtu": 1400,
        "runtimes": {"crun": {"path": "/usr/bin/crun"}, "bounded": {"path": "/w"}},
        "default-runtime": "bounded",
    }
    assert user["default-runtime"] == "crun"


def test_pid_files_of_dead_daemons_are_forgotten(tmp_path):
    processes = tmp_path / "proc"
    for number, program in (("11", "dockerd"), ("12", "bash")):
        (processes / number).mkdir(parents=True)
        (processes / number / "comm").write_text(f"{program}\n")
    files = {tmp_path / name: "dockerd" for name in ("alive", "reused", "dead", "absent")}
    for name, number in (("alive", "11\n"), ("reused", "12"), ("dead", "13")):
        (tmp_path / name).write_text(number)
    engine.forget_dead(files, processes)
    assert sorted(path.name for path in files if path.exists()) == ["alive"]
