# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module docker_rebridge."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _kernel
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command, _files, _host, _places, _state
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import (
    _bridge,
    _docker,
    _docker_api,
    _docker_service,
    _docker_settings,
)
from ansible_collections.plainkube.cluster.plugins.module_utils.services import (
    _environment,
    _stamp,
    _systemd,
    _unit_files,
    _units,
)

NAME, SERVICE = _docker_settings.NAME, _docker_settings.SERVICE
CONTAINERD = "containerd"
STOP_SECONDS = 10
# Stands for the drop-in until Docker is installed: it extends a command that only Docker's package has.
UNKNOWN = (
    "# The command of docker.service, once it is installed, with flags that configure docker0 for flannel's subnet.\n"
)


class Plan(t.NamedTuple):
    """The desired state, and what to do for it."""

    files: list[dict[str, t.Any]]  # the ones that differ
    stale: list[str]  # files of an earlier run, to be removed
    found: dict[str, _files.Found | None]
    subnet: _bridge.Subnet | None
    mtus: dict[str, str]  # interfaces with a wrong MTU -> what is wrong
    reasons: list[str]  # to restart it
    containerd: list[str]  # reasons to restart containerd, which neither stops containers nor Docker
    runs: bool
    rebuild: bool  # of docker0
    enable: bool
    active: bool
    owned: list[str]  # IDs of Kubernetes' containers to stop
    foreign: dict[str, str]  # ID and name of other containers to stop and start


# --- inspection -------------------------------------------------------------------------------------------------------


def drop_in_path(unit: str) -> str:
    return f"{_unit_files.DIRECTORIES[0]}/{unit}.d/{_places.DOCKER_DROP_IN}"


def dockerd_version(module: AnsibleModule, program: str) -> _docker.Version:
    code, out, err = _command.run(module, [program, "--version"])
    if code != 0:
        module.fail_json(msg=f"`{program} --version` failed: {(err or out).strip()}; install Docker Engine again.")
    version = _docker.parse_version(out)
    if version < _docker.OLDEST:
        raise ValueError(f"Docker Engine is {'.'.join(map(str, version))}; 20.10 or later is needed, so upgrade it")
    return version


def live_bridge(module: AnsibleModule, active: bool) -> _bridge.Bridge:
    """docker0 according to the kernel and, if it is running, Docker."""
    out = _command.output(module, "ip", "-json", "-4", "address", "show")
    address, mtu = _bridge.parse_addresses(out).get(_places.DOCKER_BRIDGE, ("", 0))
    try:
        ports = sorted(os.listdir(f"{_bridge.INTERFACE}/brif"))
    except OSError:
        ports = []
    ends = tuple((name, interface_mtu(name)) for name in ports if name.startswith("veth"))
    described = _docker_api.call("GET", "/networks/bridge") if active else None
    network, network_mtu, addresses = _bridge.parse_network(described) if described else ("", 0, "")
    return _bridge.Bridge(
        address, mtu, len(ports), network, network_mtu, addresses, tuple(end for end in ends if end[1])
    )


def interface_mtu(name: str) -> int:
    """0: it has just disappeared."""
    return int(_files.read(f"{os.path.dirname(_bridge.INTERFACE)}/{name}/mtu") or 0)


def wanted_part(module: AnsibleModule, subnet: _bridge.Subnet) -> str:
    return _bridge.docker_part(module.params["fixed_cidr"], module.params["pod_range"], subnet)


def lease(module: AnsibleModule) -> _bridge.Subnet | None:
    """flannel's lease, once there is one; None in check mode if there is none."""
    path = module.params["subnet_file"]

    def attempt() -> _bridge.Subnet | ValueError:
        try:
            return _bridge.parse_subnet(_files.read(path), path)
        except ValueError as error:
            return error

    seconds = 0 if module.check_mode else module.params["wait"]
    found = poll(attempt, lambda found: isinstance(found, _bridge.Subnet), seconds)
    if isinstance(found, _bridge.Subnet):
        return found
    if module.check_mode:
        return None
    raise found


class Wanted(t.NamedTuple):
    """Docker's desired configuration."""

    program: str
    drop_in: str
    json_path: str
    json_before: str | None
    json_text: str | None  # None: there is no daemon.json, and none is needed
    state: _state.State  # of the host, with what is ours in daemon.json
    containerd: str | None  # None: needs no drop-in
    renews_containerd: bool  # whether it may restart
    environment: dict[str, str]

    @property
    def contents(self) -> dict[str, str]:
        """daemon.json by its path, if it should exist."""
        return {} if self.json_text is None else {self.json_path: self.json_text}

    @property
    def repaired(self) -> list[str]:
        changed = [self.json_path] if self.json_text != self.json_before else []
        return changed + _environment.differs(NAME, self.environment)

    @property
    def live_restore(self) -> bool:
        return _docker.parse_daemon_json(self.json_text).get("live-restore", True) is True

    def files(self) -> list[dict[str, t.Any]]:
        """The state first: without it, our settings in daemon.json would look like the administrator's. Then the drop-in: it has the stamp, which
        no process can have before its restart."""
        wanted = {drop_in_path(SERVICE): self.drop_in, **self.contents}
        if self.containerd is not None:
            wanted[drop_in_path(f"{CONTAINERD}.service")] = self.containerd
        entries = [file_entry(path, content) for path, content in wanted.items()]
        return [_state.file(self.state), *entries, *_environment.wanted(NAME, self.environment)]


def file_entry(path: str, content: str) -> dict[str, t.Any]:
    """A file to write; daemon.json keeps its owner and mode. Its proxies may contain passwords."""
    ours = path.endswith(_places.DOCKER_DROP_IN)
    found = None if ours else _files.inspect(path)
    owner, group, mode = found[1:] if found else ("root", "root", "0600" if ours else "0644")
    secret = not ours and int(mode, 8) & 0o004 == 0
    return {"path": path, "content": content, "owner": owner, "group": group, "mode": mode, "secret": secret}


def make_wanted(module: AnsibleModule) -> Wanted:
    params = module.params
    found = _docker_settings.read(params["subnet_file"])
    if not found.command and not module.check_mode:
        raise ValueError(
            "docker.service is not on this host; install Docker Engine first (package docker.io or docker-ce)"
        )
    # In check mode, this run may be the one that installs Docker.
    program = _docker.binary(found.command) if found.command else ""
    version = dockerd_version(module, program) if program else _docker.OLDEST
    json_path, before, current = found.json_path, found.json_text, found.current
    on_disk = _files.read(drop_in_path(SERVICE))
    options = params["docker_options"]
    state = _state.read()
    recorded = _docker.recorded(state).settings
    settings = found.settings(recorded, options)
    problems = _docker_settings.problems(settings, options, not params["pod_range"])
    if problems:
        raise ValueError(problems[0])
    merged, ours = _docker.merge(current, recorded, options, found.flags, version)

    bounded = not _host.has_capability(_files.read("/proc/1/status") or "", _host.CAP_SYS_RESOURCE)
    variables_file = _environment.path(NAME) if params["environment"] else ""
    body = _docker.drop_in(found.command, version, bounded, params["subnet_file"], params["fixed_cidr"], variables_file)
    body = body if program else UNKNOWN
    containerd_units = _docker_settings.read_all(_docker_settings.unit_paths(CONTAINERD))
    containerd = _docker.containerd_drop_in(containerd_units, bounded, _docker.limits_files(settings))
    renews = _docker.survives_restart(containerd_units)
    after = _docker.render_daemon_json(before, current, merged)
    state = _state.changed(state, _state.DOCKER, _docker.Record(json_path, ours)._asdict())
    wanted = Wanted(program, body, json_path, before, after, state, containerd, renews, params["environment"])
    text = _stamp.wanted_unit(body, [json_path, *found.inputs], wanted.contents, on_disk, wanted.repaired)
    return wanted._replace(drop_in=text)


def containerd_reasons(module: AnsibleModule, wanted: Wanted) -> list[str]:
    """Why containerd must restart. A stopped one starts with Docker."""
    if not wanted.renews_containerd or _docker.FILE_LIMIT not in (wanted.containerd or ""):
        return []
    state = _systemd.show(module, f"{CONTAINERD}.service")
    pid = int(state.get("MainPID") or 0)
    if not pid or _docker.FILE_LIMIT_MARK.encode() in _stamp.environment(pid).split(b"\0"):
        return []
    return ["its containers may open only as many files as systemd's default says, 1024"]


def live_restores() -> bool:
    """Whether live-restore is on, so that containers survive a stop of Docker."""
    return bool((_docker_api.call("GET", "/info") or {}).get("LiveRestoreEnabled"))


def wake(module: AnsibleModule, subnet: _bridge.Subnet | None, state: dict[str, str]) -> dict[str, str]:
    """Start a stopped Docker while its containers are still running on the wrong bridge.

    They survived its stop through live-restore. They must be stopped, and only Docker knows who owns them.
    """
    bridge = live_bridge(module, active=False)
    # Containers of another runtime are not Docker's.
    others = bool(module.params["pod_range"])
    if state.get("ActiveState") == "active" or others or not bridge.ports or not subnet:
        return state
    if not _bridge.reasons(subnet, bridge):
        return state
    with contextlib.suppress(_command.Failed):
        _docker_service.start(module, module.params["wait"])
    return _systemd.show(module, SERVICE)


def make_plan(module: AnsibleModule, state: dict[str, str]) -> Plan:
    subnet = lease(module)
    if not module.check_mode:
        state = wake(module, subnet, state)
    wanted = make_wanted(module)
    files = wanted.files()
    found = {file["path"]: _files.inspect(file["path"]) for file in files}
    active = state.get("ActiveState") == "active"
    bridge_reasons, part_reasons, mtus = ["flannel has no subnet yet"], [], {}
    if subnet:
        part, bridge = wanted_part(module, subnet), live_bridge(module, active)
        bridge_reasons = _bridge.reasons(subnet, bridge)
        part_reasons = _bridge.part_reasons(part, bridge)
        mtus = {} if bridge_reasons else _bridge.other_mtus(subnet, bridge)
    network_reasons = bridge_reasons or part_reasons
    process = _stamp.Process.of(state, wanted.program)
    on_disk = _files.read(drop_in_path(SERVICE)) or ("" if wanted.program else None)
    reasons = _stamp.restart_reasons(wanted.drop_in, on_disk, wanted.contents, wanted.repaired, process)
    reasons += network_reasons
    if active and not reasons:
        reasons += _kernel.docker_faults(module)
    owned: list[t.Any] = []
    foreign: list[t.Any] = []
    if reasons and active:
        containers = _docker_api.call("GET", "/containers/json") or []
        outlive = bool(containers) and wanted.live_restore and live_restores()
        owned, foreign = _bridge.to_stop(containers, bool(network_reasons), outlive)
    return Plan(
        files=[file for file in files if not _files.matches(found[file["path"]], file)],
        stale=_environment.left_over(NAME, module.params["environment"]),
        found=found,
        subnet=subnet,
        mtus=mtus,
        reasons=reasons,
        containerd=containerd_reasons(module, wanted),
        runs=process.runs,
        # Pods of another runtime are on it and would be disconnected. Docker also changes the address of an existing bridge.
        rebuild=bool(bridge_reasons) and not module.params["pod_range"],
        enable=state.get("UnitFileState") != "enabled",
        active=active,
        owned=[container["Id"] for container in owned],
        foreign={container["Id"]: _bridge.name(container) for container in foreign},
    )


def refuse(module: AnsibleModule, plan: Plan) -> None:
    """Fail if foreign containers would be stopped without permission."""
    if plan.foreign and module.params["foreign_containers"] == "refuse":
        module.fail_json(
            msg=f"Docker must be restarted ({'; '.join(plan.reasons)}), which would stop containers that Kubernetes does "
            f"not own: {', '.join(sorted(plan.foreign.values()))}; stop them, or set foreign_containers=restart."
        )


# --- changes ---------------------------------------------------------------------------------------------------------


def stop_containers(ids: t.Sequence[str]) -> None:
    def stop(identifier: str) -> None:
        _docker_api.call("POST", f"/containers/{identifier}/stop?t={STOP_SECONDS}", timeout=STOP_SECONDS + 20)

    try:
        _docker_api.for_each(ids, stop)
    except OSError as error:
        raise _command.Failed(f"a container could not be stopped: {error}") from None


def problem_with(module: AnsibleModule, subnet: _bridge.Subnet) -> str:
    """The first remaining difference, as text; empty if there is none."""
    bridge = live_bridge(module, active=True)
    if not bridge.address:
        return f"there is no {_places.DOCKER_BRIDGE}"
    wrong = _bridge.reasons(subnet, bridge) or _bridge.part_reasons(wanted_part(module, subnet), bridge)
    wrong = wrong or [*_bridge.other_mtus(subnet, bridge).values()]
    if wrong:
        return wrong[0]
    rules = _command.output(module, "iptables", "-w", "-t", "nat", "-S")
    tables = "" if "FLANNEL-POSTRTG" in rules else _command.output(module, "nft", "list", "tables")
    return _bridge.masquerade_problem(subnet, rules, tables)


def verify(module: AnsibleModule, subnet: _bridge.Subnet) -> None:
    def attempt() -> str:
        try:
            return problem_with(module, subnet)
        except OSError as error:
            return str(error)

    problem = poll(attempt, lambda problem: not problem, min(15, module.params["wait"]), interval=0.3)
    if problem:
        raise _command.Failed(problem)


def write(module: AnsibleModule, files: t.Sequence[dict[str, t.Any]]) -> None:
    for file in files:
        _files.write(module, file)


def restore(module: AnsibleModule, plan: Plan) -> str:
    """Restore the old configuration and start Docker again; returns the outcome as text."""
    try:
        _docker_service.stop(module, plan.rebuild)
        for file in plan.files:
            found = plan.found[file["path"]]
            if found is None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(file["path"])
            else:
                _files.write(module, {**file, **found._asdict()})
        _command.check(module, "systemctl", "daemon-reload")
        if not plan.active:
            return "the old configuration is restored, and Docker is stopped as before"
        _docker_service.start(module, module.params["wait"])
    except (_command.Failed, OSError) as error:
        return f"the old configuration could not be restored either ({error})"
    return "the old configuration is restored, and Docker runs with it"


def start_again(module: AnsibleModule, foreign: dict[str, str]) -> None:
    """Start the containers that this module stopped."""
    for identifier, name in foreign.items():
        try:
            _docker_api.call("POST", f"/containers/{identifier}/start", timeout=30)
        except OSError as error:
            module.warn(f"Container {name} was stopped and could not be started again: {error}")


def restart_containerd(module: AnsibleModule, plan: Plan) -> None:
    if plan.containerd:
        _command.check(module, "systemctl", "restart", f"{CONTAINERD}.service")


def restart(module: AnsibleModule, plan: Plan) -> None:
    """From the old bridge to the new one, or back."""
    try:
        write(module, plan.files)
        _command.check(module, "systemctl", "daemon-reload")
        _docker_service.stop(module, plan.rebuild)
        restart_containerd(module, plan)
        _docker_service.start(module, module.params["wait"])
        verify(module, t.cast(_bridge.Subnet, plan.subnet))
    except (_command.Failed, OSError) as error:
        raise _command.Failed(f"{str(error).rstrip('.;')}; {restore(module, plan)}") from None


def restart_around_containers(module: AnsibleModule, plan: Plan) -> None:
    """Restart Docker while the affected containers are stopped.

    The kubelet is stopped as well, or it would recreate its containers on the old bridge.
    """
    kubelet = bool(plan.owned) and _systemd.show(module, "kubelet.service").get("ActiveState") == "active"
    try:
        if kubelet:
            _command.check(module, "systemctl", "stop", "kubelet.service")
        stop_containers([*plan.owned, *plan.foreign])
        restart(module, plan)
    finally:
        start_again(module, plan.foreign)
        if kubelet:
            _command.check(module, "systemctl", "start", "--no-block", "kubelet.service")


def apply(module: AnsibleModule, plan: Plan) -> None:
    if plan.enable:
        _systemd.systemctl(module, "enable", "--quiet", "--no-reload", SERVICE)
    # No restart is needed for that, and if another one is, it would not change it.
    for name in plan.mtus:
        if not os.path.isdir(f"{os.path.dirname(_bridge.INTERFACE)}/{name}"):
            continue  # the container has just ended
        _command.check(module, "ip", "link", "set", "dev", name, "mtu", str(t.cast(_bridge.Subnet, plan.subnet).mtu))
    if plan.reasons:
        restart_around_containers(module, plan)
    elif plan.files or plan.enable or plan.containerd:
        write(module, plan.files)
        _systemd.systemctl(module, "daemon-reload")
        restart_containerd(module, plan)
    for path in plan.stale:
        os.unlink(path)


# --- results -------------------------------------------------------------------------------------------------------


def plan_actions(plan: Plan) -> list[Action]:
    found = [*_actions.written(plan.files), *_actions.removals(plan.stale)]
    found += [Action("apply", f"MTU of {name}", reason) for name, reason in plan.mtus.items()]
    found += _actions.starts(CONTAINERD, plan.containerd, running=True)
    return found + _actions.starts(NAME, plan.reasons, plan.runs, plan.enable)


def plan_diff(plan: Plan, state: dict[str, str]) -> list[dict[str, str]]:
    diff = [_files.diff(plan.found[file["path"]], file) for file in plan.files] + _files.removal_diff(plan.stale)
    diff += [{"prepared": f"{reason}\n"} for reason in plan.mtus.values()]
    diff += [{"prepared": f"{CONTAINERD}.service restarted: {reason}\n"} for reason in plan.containerd]
    more = [f"container {name}: stopped, and started again" for name in sorted(plan.foreign.values())]
    if plan.owned:
        more.append(f"containers of Kubernetes stopped, which the kubelet recreates: {len(plan.owned)}")
    return diff + _units.service_diff(SERVICE, state, plan.enable, plan.reasons, more)


SPEC = {
    "subnet_file": {"type": "path", "default": _places.SUBNET_FILE},
    "docker_options": {"type": "dict", "default": {}},
    "foreign_containers": {"type": "str", "choices": ["refuse", "restart"], "default": "refuse"},
    "fixed_cidr": {"type": "str", "default": ""},
    "pod_range": {"type": "str", "default": ""},
    "environment": {"type": "dict", "default": {}, "no_log": True},
    "wait": {"type": "int", "default": 60},
}


def run(module: AnsibleModule) -> dict:
    state = _systemd.show(module, SERVICE)
    try:
        plan = make_plan(module, state)
    except (ValueError, OSError) as error:
        module.fail_json(msg=f"{error}.")
    refuse(module, plan)
    try:
        if not module.check_mode:
            apply(module, plan)
    except _command.Failed as error:
        module.fail_json(msg=f"{error}.")
    bridge = {"address": plan.subnet.address, "mtu": plan.subnet.mtu} if plan.subnet else {}
    return {
        **_actions.result(plan_actions(plan)),
        "bridge": bridge,
        "containers": sorted(plan.foreign.values()),
        "diff": plan_diff(plan, state),
    }


def main() -> None:
    _run.main(SPEC, run)
