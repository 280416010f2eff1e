# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A running Docker Engine: the existing one, or one started here."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import typing as t

import docker
from docker.errors import DockerException

from lab import machine
from lab.base import FILES, LabError, cache, lock, run, step
from plugins.module_utils.host._wait import poll

RUNTIME = "bounded"
USER_CONFIG = pathlib.Path("/etc/docker/daemon.json")
PID_FILES = {
    pathlib.Path("/var/run/docker.pid"): "dockerd",
    pathlib.Path("/var/run/docker/containerd/containerd.pid"): "containerd",
}


def connect() -> docker.DockerClient | None:
    """The engine at DOCKER_HOST or the default socket, if it responds."""
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except DockerException:
        return None
    return client


def daemon_config(user: dict[str, t.Any], wrapper: str) -> dict[str, t.Any]:
    """The user's daemon.json with the runtime added that does without CAP_SYS_RESOURCE."""
    runtimes = {**user.get("runtimes", {}), RUNTIME: {"path": wrapper}}
    return {**user, "runtimes": runtimes, "default-runtime": RUNTIME}


def ensure() -> docker.DockerClient:
    """Connect to the engine; install and start one if none responds."""
    client = connect()
    if client is None:
        with lock():
            client = connect() or _start()
    if machine.lacks_sys_resource() and client.info().get("DefaultRuntime") != RUNTIME:
        raise LabError(
            "this machine lacks CAP_SYS_RESOURCE and its running Docker Engine is not made for that: "
            "stop it, and `python -m lab engine` starts one that is."
        )
    machine.raise_inotify()
    return client


def _start() -> docker.DockerClient:
    if not shutil.which("dockerd"):
        machine.install("docker.io", "iptables")
    elif not shutil.which("iptables"):
        machine.install("iptables")
    with step("Docker Engine: starting"):
        if machine.runs_systemd() and not machine.lacks_sys_resource():
            run("systemctl", "start", "docker.service")
            log = "journalctl -u docker"
        else:
            log = str(_start_detached())
        client = poll(connect, lambda answer: answer is not None, seconds=60, interval=0.3)
    if client is None:
        raise LabError(f"the Docker Engine does not respond after 60 s: see {log}.")
    return client


def forget_dead(pid_files: t.Mapping[pathlib.Path, str], processes: pathlib.Path = pathlib.Path("/proc")) -> None:
    """Remove the pid files of killed daemons: a new daemon refuses to start if another process has their PID now."""
    for path, program in pid_files.items():
        try:
            running = (
                (processes / path.read_text(encoding="utf-8").strip() / "comm").read_text(encoding="utf-8").strip()
            )
        except (FileNotFoundError, NotADirectoryError):
            running = ""
        if running != program:
            path.unlink(missing_ok=True)


def _start_detached() -> pathlib.Path:
    """Run dockerd in its own session, with our configuration; return the path of its log."""
    forget_dead(PID_FILES)
    log, options = cache("engine", "dockerd.log"), []
    if machine.lacks_sys_resource():
        wrapper, config = cache("engine", "runc-bounded"), cache("engine", "daemon.json")
        shutil.copy(FILES / "runc-bounded", wrapper)
        user = json.loads(USER_CONFIG.read_text(encoding="utf-8")) if USER_CONFIG.exists() else {}
        config.write_text(json.dumps(daemon_config(user, str(wrapper)), indent=2), encoding="utf-8")
        options = ["--config-file", str(config)]
    with open(log, "w", encoding="utf-8") as stream:
        subprocess.Popen(
            ["dockerd", *options],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            cwd="/",
        )
    return log
