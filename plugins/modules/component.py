#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: component
short_description: Systemd services, their files, and the processes that run with them
version_added: 1.0.0
description:
  - Writes the unit and its configuration files atomically, starts and enables the service, and waits until it is ready.
  - Restarts the service exactly when the running process was started from something else than what is now on disk - unit,
    drop-ins, configuration, certificates, binary.
  - It learns that from the process and not from what changed in this run. The unit puts a digest of all its inputs into the
    process's environment, and the module reads it back from C(/proc). So a run that was killed between writing
    and restarting is healed by the next one, and a process that somebody started from a file edited by hand is found.
  - In check mode it answers with the same diff, and with RV(components.restart) and RV(components.reasons).
extends_documentation_fragment:
  - plainkube.cluster.attributes
author:
  - The plainkube authors (@plainkube)
options:
  components:
    description:
      - The components, in the order in which they are started. Each is ready before the next one is started.
      - Several in one task cost a host a fraction of a second less each.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the service, without C(.service).
        type: str
        required: true
      unit:
        description: Content of the unit file in C(/etc/systemd/system). A trailer with the digest is added to it.
        type: str
        required: true
      user:
        description: System user (and group) that the service runs as; created through sysusers.d(5) where it does not exist.
        type: str
      directories:
        description: Directories that the service needs.
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: Absolute path.
            type: path
            required: true
          owner:
            description: Name of the owner.
            type: str
            default: root
          group:
            description: Name of the group.
            type: str
            default: root
          mode:
            description: Permissions, octal.
            type: str
            default: "0755"
      files:
        description: Configuration files that the process reads when it starts. Another content means a restart.
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: Absolute path.
            type: path
            required: true
          content:
            description: The whole content.
            type: str
            required: true
          owner:
            description: Name of the owner.
            type: str
            default: root
          group:
            description: Name of the group.
            type: str
            default: root
          mode:
            description: Permissions, octal.
            type: str
            default: "0644"
          secret:
            description: Whether the content is left out of the diff.
            type: bool
            default: false
      inputs:
        description: Files that others write and the process reads when it starts, such as certificates and keys.
        type: list
        elements: path
        default: []
      binary:
        description: The program that the unit starts. A process that runs another file is restarted.
        type: path
        required: true
      ready_url:
        description: URL that answers with a status of 200 to 299 when the component is ready. Asked once the unit is active.
        type: str
      ready_ca:
        description: CA certificate that the server at O(components[].ready_url) must show. Without it, the certificate is not checked.
        type: path
      wait:
        description: Seconds to wait until the component is ready. V(0) starts it without waiting.
        type: int
        default: 90
  replaced:
    description:
      - Files that earlier tasks of this run replace, or would in check mode - binaries, authorities, keys.
      - Check mode cannot see what they will be, so it takes a component that has one of them as an input for one that will be restarted.
        In a real run they only word RV(components.reasons) alike.
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
notes:
  - Drop-ins in C(/etc/systemd/system/NAME.service.d) are the host administrator's; they are left alone and count as inputs.
seealso:
  - name: sd_notify
    description: Units of C(Type=notify) tell systemd when they are ready.
    link: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

EXAMPLES = r"""
- name: Run the scheduler
  plainkube.cluster.component:
    components:
      - name: kube-scheduler
        user: kube-scheduler
        unit: "{{ lookup('ansible.builtin.template', 'kube-scheduler.service.j2') }}"
        files:
          - path: /etc/kubernetes/scheduler.yaml
            content: "{{ lookup('ansible.builtin.template', 'scheduler.yaml.j2') }}"
        inputs: [/etc/kubernetes/pki/scheduler.crt]
        binary: /usr/local/bin/kube-scheduler
        ready_url: https://127.0.0.1:10259/healthz
"""

RETURN = r"""
components:
  description: What was done, or would be, by name of the component.
  returned: success
  type: dict
  contains:
    restart:
      description: Whether the service was started or restarted.
      returned: success
      type: bool
    reasons:
      description: Why, in words.
      returned: success
      type: list
      elements: str
"""

import glob
import pwd

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils import _component, _files, _probe, _stamp, _systemd
from ansible_collections.plainkube.cluster.plugins.module_utils._wait import poll

UNITS = "/etc/systemd/system"
SYSUSERS = "/etc/sysusers.d"


def owned_files(params: dict) -> list[dict]:
    """The component's configuration files, and the declaration of its user."""
    files = list(params["files"])
    if params["user"]:
        line = f'u {params["user"]} - "{params["name"]}, run by plainkube.cluster" -\n'
        declaration = {"path": f"{SYSUSERS}/plainkube-{params['user']}.conf", "content": line, "secret": False}
        files.append({**declaration, "owner": "root", "group": "root", "mode": "0644"})
    return files


def running(params: dict, state: dict[str, str]) -> _component.Process:
    pid = int(state.get("MainPID") or 0)
    return _component.Process(
        active_state=state.get("ActiveState", ""),
        sub_state=state.get("SubState", ""),
        pid=pid,
        stamp=_stamp.of_process(pid),
        other_binary=_stamp.other_binary(pid, params["binary"]),
    )


def pending(module: AnsibleModule) -> dict[str, _stamp.Pending]:
    """The files that this run would have replaced by now, were it not a plan."""
    return {path: _stamp.Pending() for path in module.params["replaced"]} if module.check_mode else {}


def make_plan(module: AnsibleModule, params: dict) -> dict:
    """What is there, what it should be, and what follows from the difference."""
    files = owned_files(params)
    contents = {file["path"]: file["content"] for file in params["files"]}
    found = {wanted["path"]: _files.look(wanted["path"]) for wanted in [*params["directories"], *files]}
    mended = [path for path, content in contents.items() if found[path] is None or found[path].content != content]

    unit_path = f"{UNITS}/{params['name']}.service"
    unit_found = _files.look(unit_path)
    on_disk = unit_found.content if unit_found else None
    drop_ins = glob.glob(f"{unit_path}.d/*.conf")
    inputs = [*params["inputs"], params["binary"], *contents, *drop_ins]
    known = {**pending(module), **contents}
    text = _component.wanted_unit(params["unit"], inputs, known, on_disk, mended)
    unit = {"path": unit_path, "content": text, "owner": "root", "group": "root", "mode": "0600"}

    state = _systemd.show(module, f"{params['name']}.service")
    found[unit_path] = unit_found
    different = [
        wanted for wanted in [unit, *params["directories"], *files] if not _files.matches(found[wanted["path"]], wanted)
    ]
    return {
        "different": different,
        "diff": [_files.diff(found[wanted["path"]], wanted) for wanted in different],
        "reasons": _component.restart_reasons(
            text, on_disk, known, mended, running(params, state), module.params["replaced"]
        ),
        "reload": unit in different or state.get("NeedDaemonReload") == "yes",
        "enable": state.get("UnitFileState") != "enabled",
        "stamp": str(_stamp.split(text)[2]),
        "state": f"{state.get('ActiveState')}/{state.get('SubState')}",
    }


def service_diff(name: str, plan: dict) -> list[dict]:
    """The service's own part of the diff."""
    after = ["enabled"] if plan["enable"] else []
    after += [f"restarted: {reason}" for reason in plan["reasons"]]
    if not after:
        return []
    header = f"{name}.service"
    before = f"{plan['state']}\n"
    return [{"before_header": header, "after_header": header, "before": before, "after": "\n".join(after) + "\n"}]


def ensure_user(module: AnsibleModule, user: str | None) -> None:
    if not user:
        return
    try:
        pwd.getpwnam(user)
    except KeyError:
        code, dummy, err = module.run_command(["systemd-sysusers", f"{SYSUSERS}/plainkube-{user}.conf"])
        if code != 0:
            module.fail_json(msg=f"systemd-sysusers could not create the user {user}: {err.strip()}")


def write(module: AnsibleModule, user: str | None, different: list[dict]) -> None:
    """The user's declaration and the user first, because files may belong to it; then in the order of the plan."""
    declarations = [wanted for wanted in different if wanted["path"].startswith(f"{SYSUSERS}/")]
    for wanted in declarations:
        _files.write(module, wanted)
    ensure_user(module, user)
    for wanted in different:
        if "content" not in wanted:
            _files.make_directory(wanted)
        elif wanted not in declarations:
            _files.write(module, wanted)


def prepare(module: AnsibleModule, components: list[dict], plans: dict[str, dict]) -> None:
    """Write everything, then tell systemd once: it takes longer over that than over all files together."""
    for params in components:
        write(module, params["user"], plans[params["name"]]["different"])
    enable = [f"{name}.service" for name, plan in plans.items() if plan["enable"]]
    if enable:
        _systemd.systemctl(module, "enable", "--quiet", "--no-reload", *enable)
    if enable or any(plan["reload"] for plan in plans.values()):
        _systemd.systemctl(module, "daemon-reload")


def start(module: AnsibleModule, params: dict, plan: dict) -> None:
    """Start or restart a component where that is needed, and see that it is ready either way."""
    if plan["reasons"]:
        _systemd.systemctl(module, "restart", "--no-block", f"{params['name']}.service")
    wait_until_ready(module, params, plan["stamp"])


def readiness(module: AnsibleModule, params: dict, stamp: str) -> str:
    """Why the component is not ready yet; empty when it is."""
    state = _systemd.show(module, f"{params['name']}.service")
    if state.get("ActiveState") != "active":
        return f"systemd calls it {state.get('ActiveState')}/{state.get('SubState')}"
    # A restart is asked for and not waited for: for a moment the old process is still there, and well.
    if _stamp.of_process(int(state.get("MainPID") or 0)) != stamp:
        return "its process is still the old one"
    url = params["ready_url"]
    if not url:
        return ""
    answer = _probe.get(url, params["ready_ca"])
    return "" if answer.ok else f"{url} answers {answer.status or ''} {answer.text.strip()[-300:]}"


def wait_until_ready(module: AnsibleModule, params: dict, stamp: str) -> None:
    seconds = params["wait"]
    trouble = poll(lambda: readiness(module, params, stamp), lambda trouble: not trouble, seconds) if seconds else ""
    if trouble:
        name = params["name"]
        lines = _systemd.journal(module, f"{name}.service")
        module.fail_json(
            msg=f"{name} is not ready after {seconds} s: {trouble}. The last lines of its journal "
            f"(journalctl -u {name} has more): {lines}"
        )


COMPONENT_OPTIONS = {
    "name": {"type": "str", "required": True},
    "unit": {"type": "str", "required": True},
    "user": {"type": "str"},
    "directories": {"type": "list", "elements": "dict", "default": [], "options": _files.DIRECTORY_OPTIONS},
    "files": {"type": "list", "elements": "dict", "default": [], "options": _files.FILE_OPTIONS},
    "inputs": {"type": "list", "elements": "path", "default": []},
    "binary": {"type": "path", "required": True},
    "ready_url": {"type": "str"},
    "ready_ca": {"type": "path"},
    "wait": {"type": "int", "default": 90},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "components": {"type": "list", "elements": "dict", "required": True, "options": COMPONENT_OPTIONS},
            "replaced": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    components = module.params["components"]
    plans = {params["name"]: make_plan(module, params) for params in components}
    if not module.check_mode:
        prepare(module, components, plans)
        for params in components:
            start(module, params, plans[params["name"]])
    module.exit_json(
        changed=any(plan["different"] or plan["enable"] or plan["reasons"] for plan in plans.values()),
        components={
            name: {"restart": bool(plan["reasons"]), "reasons": plan["reasons"]} for name, plan in plans.items()
        },
        diff=[entry for name, plan in plans.items() for entry in plan["diff"] + service_diff(name, plan)],
    )


if __name__ == "__main__":
    main()
