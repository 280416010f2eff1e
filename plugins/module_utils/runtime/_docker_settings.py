# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Docker's settings on a host: its unit with drop-ins, their environment files, and daemon.json."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files, _places
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _docker
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _unit_files

NAME = "docker"
SERVICE = f"{NAME}.service"


def unit_paths(service: str) -> list[str]:
    """The files of a service in systemd's order: its unit, then its drop-ins, except ours."""
    drop_ins = [path for path in _unit_files.drop_ins(service) if os.path.basename(path) != _places.DOCKER_DROP_IN]
    return [*_unit_files.units(service)[:1], *drop_ins]


def read_all(paths: t.Sequence[str]) -> list[str]:
    return [_files.read(path) or "" for path in paths]


def _environment_files(units: t.Sequence[str], subnet_file: str) -> list[str]:
    paths = [path.lstrip("-") for path in _docker.settings(units, "EnvironmentFile")]
    return [path for path in paths if path != subnet_file and "*" not in path]


class Found(t.NamedTuple):
    """Docker's configuration, without our drop-in."""

    command: str  # empty: Docker is not installed
    inputs: list[str]  # the files of the unit, and its environment files
    flags: dict[str, str]
    json_path: str
    json_text: str | None
    current: dict[str, t.Any]  # what daemon.json contains

    def settings(self, recorded: t.Mapping[str, t.Any], options: t.Mapping[str, t.Any]) -> dict[str, _docker.Setting]:
        """The settings that dockerd will have, in the order of precedence of `_docker.merge`."""
        theirs = _docker.unmerge(self.current, recorded)
        return {
            **{name: _docker.Setting(value, "docker_options") for name, value in options.items()},
            **{name: _docker.Setting(value, self.json_path) for name, value in theirs.items()},
            **{name: _docker.Setting(value, self.source_of(name)) for name, value in self.flags.items()},
        }

    def source_of(self, flag: str) -> str:
        """The last file with a flag."""
        pattern = rf"--{re.escape(flag)}(?![\w-])"
        found = [path for path, text in zip(self.inputs, read_all(self.inputs)) if re.search(pattern, text)]
        return found[-1] if found else SERVICE


def read(subnet_file: str = _places.SUBNET_FILE) -> Found:
    """Raises ValueError with a sentence if dockerd would not start with it."""
    paths = unit_paths(NAME)
    units = read_all(paths)
    if paths and os.path.realpath(paths[0]) == os.devnull:
        raise ValueError(f"{SERVICE} is masked ({paths[0]}): run `systemctl unmask {SERVICE}` first")
    # There may be drop-ins and a daemon.json before Docker is installed.
    command = _docker.start_command(units) if paths and paths[0].endswith(f"/{SERVICE}") else ""
    extra = _environment_files(units, subnet_file)
    variables = {name: value for text in read_all(extra) for name, value in _docker.environment(text).items()}
    flags = _docker.flag_settings(command, variables)
    json_path = os.path.realpath(flags.get("config-file", _docker.DAEMON_JSON))
    text = _files.read(json_path)
    return Found(command, [*paths, *extra], flags, json_path, text, _docker.parse_daemon_json(text, json_path))


def data_root(settings: t.Mapping[str, _docker.Setting]) -> str:
    """Where Docker keeps its data, without symbolic links."""
    setting = settings.get("data-root")
    return os.path.realpath(os.path.join("/", setting.text if setting else _docker.DATA_ROOT))


def problems(settings: t.Mapping[str, _docker.Setting], options: t.Collection[str], runs_pods: bool) -> list[str]:
    root = data_root(settings)
    return _docker.problems(settings, options, runs_pods, root, os.path.exists(f"{root}/{_docker.SWARM}"))
