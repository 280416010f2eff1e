# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module firewall."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _sockets
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command, _files
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _firewall, _nft
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _systemd

TABLE = f"nftables table {_firewall.TABLE}"
# The previous table, and the timer that restores it unless it is stopped. Both disappear with a reboot, like unconfirmed rules.
FORMER = "/run/plainkube-firewall.former"
REVERT = "plainkube-firewall-revert"
LEAST_PROBATION = 5
_PRIVATE = {"owner": "root", "group": "root", "mode": "0600"}
TIMER = f"{REVERT}.timer"
_SERVICE = _firewall.UNIT.removesuffix(".service")


class Plan(t.NamedTuple):
    """The current state, the desired state, and the resulting actions."""

    rules: str  # the file's text
    live: str  # our table, as nft lists it now
    wanted: str  # and as nft would list it
    files: list[dict[str, t.Any]]  # those that differ
    diff: list[dict[str, str]]
    enable: bool
    start: bool
    unconfirmed: bool  # a killed run left unconfirmed rules, which will be rolled back

    @property
    def load(self) -> bool:
        return self.live != self.wanted

    @property
    def actions(self) -> list[Action]:
        """If the rules change, their service is enabled and started with them."""
        found = _actions.written(self.files)
        found += [Action("apply", TABLE)] if self.load else []
        if found:
            return found
        reasons = ["it is not running"] if self.start else []
        return _actions.starts(_SERVICE, reasons, running=False, enable=self.enable)


def owned_files(rules: str) -> list[dict[str, t.Any]]:
    # The unit comes last: it identifies the firewall as ours.
    return [
        {"path": _firewall.RULES, "content": rules, **_PRIVATE},
        {"path": _nft.UNIT_PATH, "content": _firewall.unit(rules), **_PRIVATE},
    ]


def make_plan(module: AnsibleModule) -> Plan:
    rules = _firewall.render(module.params, _sockets.ssh_ports(module))
    files = owned_files(rules)
    found = {file["path"]: _files.inspect(file["path"]) for file in files}
    different = [file for file in files if not _files.matches(found[file["path"]], file)]
    unit, timer = _systemd.show_all(module, [_firewall.UNIT, TIMER])
    unconfirmed = timer.get("ActiveState") == "active"
    # nft validates the rules here, before anything changes. In check mode, this run may be the one that installs nft.
    there = _nft.installed(module)
    wanted = _nft.canonical(module, rules) if there else rules
    if not module.check_mode:
        end_probation(module, take_back=unconfirmed and not module.params["confirm"])
    live = _nft.live(module) if there else ""
    diff = [_files.diff(found[file["path"]], file) for file in different]
    if live != wanted:
        headers = dict.fromkeys(("before_header", "after_header"), TABLE)
        diff.append({**headers, "before": live, "after": wanted})
    return Plan(
        rules=rules,
        live=live,
        wanted=wanted,
        files=different,
        diff=diff,
        enable=unit.get("UnitFileState") != "enabled",
        start=unit.get("ActiveState") != "active",
        unconfirmed=unconfirmed,
    )


def end_probation(module: AnsibleModule, take_back: bool) -> None:
    """Stop the pending rollback before the current table is inspected; with `take_back`, roll back now."""
    if module.params["confirm"] or take_back:
        _systemd.systemctl(module, "stop", TIMER, f"{REVERT}.service", check=False)
    former = _files.read(FORMER) if take_back else None
    if former:
        _nft.load(module, former)


# --- changes ---------------------------------------------------------------------------------------------------------


def apply(module: AnsibleModule, plan: Plan) -> None:
    """Load the rules on probation: they are not on disk, and the previous ones are restored automatically."""
    former = _firewall.REPLACE + _nft.live(module, stateless=False)
    _files.write(module, {"path": FORMER, "content": former, **_PRIVATE})
    command = [
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit={REVERT}",
        f"--on-active={module.params['revert_after']}",
    ]
    command += ["--timer-property=AccuracySec=100ms", _nft.program(module) or "nft", "-f", FORMER]
    code, dummy, err = _command.run(module, command)
    if code != 0:
        raise _command.Failed(f"the timer that would restore the previous rules could not be set: {err.strip()}")
    try:
        _nft.load(module, plan.rules)
    except _command.Failed:
        _systemd.systemctl(module, "stop", TIMER)
        raise


def confirm(module: AnsibleModule, plan: Plan) -> None:
    """Confirm the loaded rules: the caller has connected through them."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(FORMER)
    if plan.load:
        raise _command.Failed(
            f"no connection through the new rules within {module.params['revert_after']} s, so the previous rules are restored"
        )
    settle(module, plan)


def settle(module: AnsibleModule, plan: Plan) -> None:
    """Write the loaded rules to disk, and enable them at boot."""
    for file in plan.files:
        _files.write(module, file)
    if plan.files:
        _systemd.systemctl(module, "daemon-reload")
    if plan.files or plan.enable:
        _systemd.systemctl(module, "enable", "--quiet", _firewall.UNIT)
    if plan.start:
        _systemd.systemctl(module, "start", _firewall.UNIT)


def present(module: AnsibleModule) -> dict[str, t.Any]:
    if not _nft.installed(module) and not module.check_mode:
        module.fail_json(
            msg="nft is not installed on this host: install the package nftables (role artifacts does), or set firewall_enabled=false."
        )
    if module.params["revert_after"] < LEAST_PROBATION:
        raise ValueError(
            f"revert_after is {module.params['revert_after']}: that is too short for a new connection; use {LEAST_PROBATION} seconds or more"
        )
    plan = make_plan(module)
    probation = 0
    if module.params["confirm"]:
        confirm(module, plan)
    elif plan.load and not module.check_mode:
        apply(module, plan)
        probation = module.params["revert_after"]
    elif not module.check_mode:
        settle(module, plan)
    killed = "unconfirmed rules of a killed run are active, and will be rolled back"
    pending = [Action("wait", TABLE, killed)] if plan.unconfirmed else []
    return {
        **_actions.result([*plan.actions, *pending]),
        "probation": probation,
        "diff": plan.diff,
    }


def absent(module: AnsibleModule) -> dict[str, t.Any]:
    live = _nft.live(module) if _nft.installed(module) else ""
    paths = [path for path in (_firewall.RULES, _nft.UNIT_PATH) if os.path.exists(path)]
    diff = [
        {"before_header": path, "after_header": "", "before": _files.read(path) or "", "after": ""} for path in paths
    ]
    if not module.check_mode:
        remove(module, live, paths)
    return {
        **_actions.result(_actions.removals([*([TABLE] if live else []), *paths])),
        "probation": 0,
        "diff": diff,
    }


def remove(module: AnsibleModule, live: str, paths: t.Sequence[str]) -> None:
    """The unit is removed last: until then, it identifies the firewall as ours."""
    _systemd.systemctl(module, "stop", TIMER, check=False)
    if _nft.UNIT_PATH in paths:
        _systemd.systemctl(module, "disable", "--now", "--quiet", _firewall.UNIT)
    if live:
        _nft.delete(module)
    for path in paths:
        os.unlink(path)
    if paths:
        _systemd.systemctl(module, "daemon-reload")


RULE_OPTIONS = {
    "name": {"type": "str", "required": True},
    "protocol": {"type": "str", "choices": ["tcp", "udp", "vrrp"], "default": "tcp"},
    "ports": {"type": "list", "elements": "str", "default": []},
    "sources": {"type": "list", "elements": "str", "required": True},
}

SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "accept": {"type": "list", "elements": "dict", "default": [], "options": RULE_OPTIONS},
    "groups": {"type": "dict", "default": {}},
    "ssh_ports": {"type": "list", "elements": "int", "default": []},
    "ssh_sources": {"type": "list", "elements": "str", "default": []},
    "pod_network": {"type": "str", "default": "10.244.0.0/16"},
    "node_port_sources": {"type": "list", "elements": "str", "default": ["0.0.0.0/0", "::/0"]},
    "revert_after": {"type": "int", "default": 15},
    "confirm": {"type": "bool", "default": False},
}


def run(module: AnsibleModule) -> dict[str, t.Any]:
    try:
        return present(module) if module.params["state"] == "present" else absent(module)
    except (_command.Failed, ValueError) as error:
        return module.fail_json(msg=f"The host's firewall: {error}.")


def main() -> None:
    _run.main(SPEC, run)
