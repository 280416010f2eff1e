# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module component."""

from __future__ import annotations

import glob
import os
import pwd
import re
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _kernel, _probe
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command, _files
from ansible_collections.plainkube.cluster.plugins.module_utils.host._places import SYSUSERS, UNITS
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action
from ansible_collections.plainkube.cluster.plugins.module_utils.services import (
    _environment,
    _flags,
    _stamp,
    _systemd,
    _unit_files,
    _units,
)

_COMMAND = re.compile(r"^ExecStart=(?:.*\\\n)*.*", re.MULTILINE)
_FLAG = re.compile(r'"?--([a-z][a-z0-9_-]*)(=|$)')

# Services that read the files in these directories only at their start and when they are told to.
_READERS = {
    "/etc/systemd/network": "systemd-networkd.service",
    "/etc/NetworkManager/conf.d": "NetworkManager.service",
}

FILE_OPTIONS = {
    **_files.FILE_OPTIONS,
    "content": {"type": "str"},
    "secret_content": {"type": "str", "no_log": True},
}


def with_flags(name: str, unit: str, flags: dict) -> str:
    """Append the operator's flags to a unit's ExecStart, and drop its own flags of the same names.

    The unit's own flags, one per line, are already in systemd's syntax (%d, ${VARIABLE})."""
    if not flags:
        return unit
    given = {_flags.normal(flag) for flag in flags}
    added = [_flags.quoted(argument) for dummy, argument in _flags.arguments(name, flags)]

    def command(found: re.Match) -> str:
        program, *own = [line.strip() for line in found[0].split("\\\n")]
        kept = [line for line in own if not ((flag := _FLAG.match(line)) and _flags.normal(flag[1]) in given)]
        return " \\\n  ".join([program, *kept, *added])

    return _COMMAND.sub(command, unit, count=1)


def settle(params: dict) -> dict:
    """The component's options, with the operator's flags in its unit, and with the same key for secret and other content of files."""
    files = []
    for file in params["files"]:
        secret = file.get("secret_content")
        files.append(file if secret is None else {**file, "content": secret, "secret": True})
    return {**params, "unit": with_flags(params["name"], params["unit"], params["flags"]), "files": files}


def owned_files(params: dict) -> list[dict]:
    """The component's configuration files, the variables of its process, and the declaration of its user."""
    files = [*params["files"], *_environment.wanted(params["name"], params["environment"])]
    if params["user"]:
        line = f'u {params["user"]} - "{params["name"]}{_units.USER_COMMENT}" -\n'
        declaration = {"path": f"{SYSUSERS}/plainkube-{params['user']}.conf", "content": line, "secret": False}
        files.append({**declaration, "owner": "root", "group": "root", "mode": "0644"})
    return files


def replaced(module: AnsibleModule) -> dict[str, _stamp.Pending]:
    """The files that a real run would have replaced by now."""
    return {path: _stamp.Pending() for path in module.params["replaced"]} if module.check_mode else {}


def make_plan(module: AnsibleModule, params: dict) -> dict:
    """The current state, the desired state, and the resulting actions."""
    files = owned_files(params)
    contents = {file["path"]: file["content"] for file in params["files"]}
    found = {wanted["path"]: _files.inspect(wanted["path"]) for wanted in files}
    repaired = [
        path for path, content in contents.items() if (there := found[path]) is None or there.content != content
    ]
    repaired += _environment.differs(params["name"], params["environment"])

    unit_path = f"{UNITS}/{params['name']}.service"
    unit_found = _files.inspect(unit_path)
    on_disk = unit_found.content if unit_found else None
    inputs = [*params["inputs"], params["binary"], *contents, *_unit_files.drop_ins(params["name"])]
    known = {**replaced(module), **contents}
    text = _stamp.wanted_unit(params["unit"], inputs, known, on_disk, repaired)
    unit = {"path": unit_path, "content": text, "owner": "root", "group": "root", "mode": "0600"}

    stale = stale_files(params) + _environment.left_over(params["name"], params["environment"])
    state = _systemd.show(module, f"{params['name']}.service")
    process = _stamp.Process.of(state, params["binary"])
    found[unit_path] = unit_found
    different = [wanted for wanted in [unit, *files] if not _files.matches(found[wanted["path"]], wanted)]
    return {
        "different": different,
        "diff": [_files.diff(found[wanted["path"]], wanted) for wanted in different] + _files.removal_diff(stale),
        "stale": stale,
        "reasons": _stamp.restart_reasons(text, on_disk, known, repaired, process, module.params["replaced"])
        or kernel_faults(module, params, process),
        "running": process.runs,
        "user": bool(params["user"]) and not user_exists(params["user"]),
        "reload": unit in different or state.get("NeedDaemonReload") == "yes",
        "unread": unit not in different and state.get("NeedDaemonReload") == "yes",
        "enable": state.get("UnitFileState") != "enabled",
        "stamp": str(_stamp.split(text)[2]),
        "state": state,
    }


def kernel_faults(module: AnsibleModule, params: dict, process: _stamp.Process) -> list[str]:
    """What the component should have in the kernel and has not, although its process is the desired one. A restart writes it again."""
    if process.active_state != "active":
        return []
    faults = _kernel.faults(module, params["kernel"], process.pid)
    for file in params["files"]:
        if os.path.dirname(file["path"]) == _kernel.SYSCTL_FILES:
            faults += _kernel.sysctl_faults(file["path"], file["content"])
    return faults


def stale_files(params: dict) -> list[str]:
    """The component's obsolete files."""
    wanted = {file["path"] for file in params["files"]}
    return sorted({path for pattern in params["stale"] for path in glob.glob(pattern)} - wanted)


def flag_problem(module: AnsibleModule, params: dict) -> str:
    """The program's own complaint about the operator's flags; empty if it accepts them, or is not installed yet.

    With --help after them, it parses them, prints its help and exits. Checked before anything is written: otherwise, hosts that change in parallel
    would all lose the component because of an unknown flag.
    """
    binary, name = params["binary"], params["name"]
    pending = module.check_mode and binary in module.params["replaced"]
    if not params["flags"] or pending or not os.access(binary, os.X_OK):
        return ""
    given = [argument for dummy, argument in _flags.arguments(name, params["flags"])]
    code, out, err = _command.run(module, [binary, *given, "--help"])
    complaint = _flags.complaint(code, f"{err}\n{out}")
    return (
        complaint
        and f"{name} refuses its flags ({_flags.VARIABLES.get(name, 'flags')}): {complaint}; nothing was changed."
    )


def user_diff(params: dict, plan: dict) -> list[dict]:
    """The user's part of the diff."""
    if not plan["user"]:
        return []
    header = f"user {params['user']}"
    return [{"before_header": header, "after_header": header, "before": "", "after": "present\n"}]


def whole_diff(params: dict, plan: dict) -> list[dict]:
    service = _units.service_diff(f"{params['name']}.service", plan["state"], plan["enable"], plan["reasons"])
    return [*user_diff(params, plan), *plan["diff"], *service]


def user_exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def ensure_user(module: AnsibleModule, user: str | None) -> None:
    if user and not user_exists(user):
        code, dummy, err = _command.run(module, ["systemd-sysusers", f"{SYSUSERS}/plainkube-{user}.conf"])
        if code != 0:
            module.fail_json(msg=f"systemd-sysusers could not create the user {user}: {err.strip()}")


def write(module: AnsibleModule, user: str | None, different: list[dict]) -> None:
    """The user's declaration and the user come first, because files may belong to the user; then in the order of the plan."""
    declarations = [wanted for wanted in different if wanted["path"].startswith(f"{SYSUSERS}/")]
    for wanted in declarations:
        _files.write(module, wanted)
    ensure_user(module, user)
    for wanted in different:
        if wanted not in declarations:
            _files.write(module, wanted)


def prepare(module: AnsibleModule, components: list[dict], plans: dict[str, dict]) -> None:
    """Write everything, then reload systemd once, because a reload takes longer than writing all the files."""
    for params in components:
        write(module, params["user"], plans[params["name"]]["different"])
    enable = [f"{name}.service" for name, plan in plans.items() if plan["enable"]]
    if enable:
        _systemd.systemctl(module, "enable", "--quiet", "--no-reload", *enable)
    if enable or any(plan["reload"] for plan in plans.values()):
        _systemd.systemctl(module, "daemon-reload")


def tidy(plans: t.Iterable[dict]) -> None:
    """Remove stale files, once nothing starts from them any more."""
    for plan in plans:
        for path in plan["stale"]:
            os.unlink(path)


def tell_readers(module: AnsibleModule, params: dict) -> None:
    """Before each start of the component, because an earlier run may have died between writing a file and this."""
    directories = {os.path.dirname(file["path"]) for file in params["files"]}
    for reader in [reader for directory, reader in _READERS.items() if directory in directories]:
        if _systemd.show(module, reader).get("ActiveState") == "active":
            _systemd.systemctl(module, "reload-or-restart", reader)


def start(module: AnsibleModule, params: dict, plan: dict) -> None:
    """Start or restart a component if necessary, and check in any case that it is ready."""
    if plan["reasons"]:
        tell_readers(module, params)
        _kernel.prepare(module, params["kernel"])
        _systemd.systemctl(module, "restart", "--no-block", f"{params['name']}.service")
    wait_until_ready(module, params, plan["stamp"])


def readiness(params: dict, state: dict[str, str], stamp: str | None) -> str:
    """Why the component, whose service has this state, is not ready yet; empty if it is. With a stamp, only a process with that stamp counts."""
    if state.get("ActiveState") != "active":
        return f"its state is {state.get('ActiveState')}/{state.get('SubState')}"
    # The restart is asynchronous: for a moment, the old process still runs and is ready.
    if stamp not in (None, _stamp.of_process(int(state.get("MainPID") or 0))):
        return "the old process is still running"
    url = params["ready_url"]
    if not url:
        return ""
    answer = _probe.get(url, params["ready_ca"])
    return "" if answer.ok else answer.said


def wait_until_ready(module: AnsibleModule, params: dict, stamp: str) -> None:
    seconds, service = params["wait"], f"{params['name']}.service"

    def attempt() -> str:
        return readiness(params, _systemd.show(module, service), stamp)

    problem = poll(attempt, lambda problem: not problem, seconds) if seconds else ""
    if problem:
        name = params["name"]
        lines = _systemd.journal(module, service)
        module.fail_json(
            msg=f"{name} is not ready after {seconds} s: {problem}. The last lines of its journal "
            f"(journalctl -u {name} has more): {lines}"
        )


COMPONENT_OPTIONS = {
    "name": {"type": "str", "required": True},
    "unit": {"type": "str", "required": True},
    "user": {"type": "str"},
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": FILE_OPTIONS,
        "required_one_of": [("content", "secret_content")],
        "mutually_exclusive": [("content", "secret_content")],
    },
    "stale": {"type": "list", "elements": "str", "default": []},
    "environment": {"type": "dict", "default": {}, "no_log": True},
    "inputs": {"type": "list", "elements": "path", "default": []},
    "binary": {"type": "path", "required": True},
    "flags": {"type": "dict", "default": {}},
    "ready_url": {"type": "str"},
    "ready_ca": {"type": "path"},
    "kernel": {"type": "dict", "options": _kernel.OPTIONS},
    "wait": {"type": "int", "default": 90},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


SPEC = {
    "components": {"type": "list", "elements": "dict", "required": True, "options": COMPONENT_OPTIONS},
    "replaced": {"type": "list", "elements": "path", "default": []},
}


def pending(name: str, plan: dict, unready: str) -> list[Action]:
    """What a run would do without changing anything: reload systemd, and wait for a component that is not ready, for this reason."""
    reasons = ["systemd has not loaded the current unit"] if plan["unread"] else []
    reasons += [f"it is not ready: {unready}"] if unready and not plan["reasons"] else []
    return [Action("wait", name, reason) for reason in reasons]


# --- removal of a component ---


def removal_plan(module: AnsibleModule, params: dict) -> dict:
    """The existing parts of a component: its files, its unit, its user. Nothing if the unit is not this collection's."""
    unit_path = f"{UNITS}/{params['name']}.service"
    unit = _files.inspect(unit_path)
    if unit is None or _stamp.split(unit.content or "")[2] is None:
        return {"paths": [], "user": False, "diff": []}
    secret = {_environment.path(params["name"]): True, **{file["path"]: file["secret"] for file in owned_files(params)}}
    there = [(path, found) for path in [*secret, unit_path] for found in [_files.inspect(path)] if found is not None]
    user = bool(params["user"]) and user_exists(params["user"])
    header = f"user {params['user']}"
    gone = [{"before_header": header, "after_header": "/dev/null", "before": "present\n", "after": ""}] if user else []
    for path, file in there:
        text = "# secret content\n" if secret.get(path) else file.content or ""
        gone.append({"before_header": path, "after_header": "/dev/null", "before": text, "after": ""})
    return {"paths": [path for path, dummy in there], "user": user, "diff": gone}


def remove(module: AnsibleModule, params: dict, plan: dict) -> None:
    """Stop the service and remove what belongs to it. The unit comes last, because it tells the next run that there is more to do."""
    if not plan["paths"]:
        return
    _systemd.systemctl(module, "disable", "--quiet", "--now", f"{params['name']}.service")
    if plan["user"]:
        _command.run(module, ["userdel", params["user"]], check_rc=True)
    for path in plan["paths"]:
        os.unlink(path)
    _systemd.systemctl(module, "daemon-reload")


def actions(params: dict, plan: dict) -> list[Action]:
    """The changes of a component."""
    name, paths = params["name"], [wanted["path"] for wanted in plan["different"]]
    found = [*_actions.writes(paths), *_actions.removals(plan["stale"])]
    if plan["user"] and not any(path.startswith(f"{SYSUSERS}/") for path in paths):
        found.append(Action("apply", f"user {params['user']}", "it does not exist"))
    return found + _actions.starts(name, plan["reasons"], plan["running"], plan["enable"])


def run(module: AnsibleModule) -> dict:
    wanted = [settle(params) for params in module.params["components"]]
    components = [params for params in wanted if params["state"] == "present"]
    leaving = [params for params in wanted if params["state"] == "absent"]
    plans = {params["name"]: make_plan(module, params) for params in components}
    removals = {params["name"]: removal_plan(module, params) for params in leaving}
    # A running process has accepted its flags.
    refused = (flag_problem(module, params) for params in components if plans[params["name"]]["reasons"])
    problem = next(filter(None, refused), "")
    if problem:
        module.fail_json(msg=problem)
    waiting: list[Action] = []
    unready: dict[str, str] = {}
    if module.check_mode:
        for params in components:
            name, plan = params["name"], plans[params["name"]]
            unready[name] = readiness(params, plan["state"], None if plan["reasons"] else plan["stamp"])
            waiting += pending(name, plan, unready[name] if params["wait"] else "")
    else:
        prepare(module, components, plans)
        for params in components:
            start(module, params, plans[params["name"]])
        tidy(plans.values())
        for params in leaving:
            remove(module, params, removals[params["name"]])
    done = [one for params in components for one in actions(params, plans[params["name"]])]
    done += _actions.removals(f"{name} with its unit and files" for name, plan in removals.items() if plan["paths"])
    kept = {name: {"running": plan["running"]} for name, plan in plans.items()}
    for name, problem in unready.items():
        kept[name]["ready"] = not problem
    return {
        **_actions.result([*done, *waiting]),
        "components": {**kept, **{name: {} for name in removals}},
        "diff": [entry for params in components for entry in whole_diff(params, plans[params["name"]])]
        + [entry for plan in removals.values() for entry in plan["diff"]],
    }


def main() -> None:
    _run.main(SPEC, run)
