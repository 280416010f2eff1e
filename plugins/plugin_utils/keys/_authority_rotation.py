# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module authority_rotation, which its action plugin runs in Ansible's own process."""

from __future__ import annotations

import datetime
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files
from ansible_collections.plainkube.cluster.plugins.module_utils.keys import _certificates, _encryption
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions
from ansible_collections.plainkube.cluster.plugins.plugin_utils.keys import _authorities, _rotation


def read(module: AnsibleModule) -> dict[str, str]:
    contents = _authorities.read(module.params["directory"], _rotation.files())
    needed = [f"{stem}.crt" for stem in _certificates.AUTHORITIES.values()] + ["sa.key", "sa.pub", _encryption.FILE]
    missing = [name for name in needed if name not in contents]
    if missing:
        raise _certificates.CertificateError(
            f"certificates_directory {module.params['directory']} does not hold {', '.join(missing)} of this cluster: run plainkube.cluster.site, which "
            "creates them for a new cluster, and says what to do for an existing one."
        )
    return contents


def tokens_end(module: AnsibleModule, contents: _rotation.Contents) -> datetime.datetime | None:
    return _rotation.tokens_end(contents, datetime.timedelta(hours=module.params["token_overlap_hours"]))


def due(module: AnsibleModule, contents: _rotation.Contents, now: datetime.datetime) -> list[str]:
    """The rotations in progress whose next step is due."""
    end = tokens_end(module, contents)
    waiting = {_rotation.SERVICE_ACCOUNT} if end and end > now else set()
    phases = _rotation.phases(contents)
    return [name for name, phase in phases.items() if phase != _rotation.STEADY and name not in waiting]


def check_use(module: AnsibleModule, contents: _rotation.Contents) -> None:
    first = _encryption.parse(contents[_encryption.FILE], _encryption.FILE)[0].name
    used = module.params["in_use"]
    if not used:
        raise _certificates.CertificateError(
            "in_use is empty, so it is unknown whether the old encryption key can be removed."
        )
    others = [f"{count} of {name}" for name, count in used.items() if name != first and count]
    if others:
        raise _certificates.CertificateError(
            f"In etcd, {' and '.join(others)} are not encrypted with {first} yet, so the old key cannot be removed: run the playbook again."
        )


def check_states(module: AnsibleModule, contents: _rotation.Contents, names: list[str]) -> None:
    """Refuse to advance a rotation that another run has changed since the hosts started this step."""
    expected = module.params["expected"]
    others = [
        name
        for name, state in _rotation.states(contents).items()
        if expected and name in names and expected.get(name) != state
    ]
    if others:
        raise _certificates.CertificateError(
            f"Another run has changed {', '.join(others)} in certificates_directory {module.params['directory']} since this run started the step, so nothing "
            "was advanced: wait until that run ends, and run this again."
        )


def changes_of(module: AnsibleModule, contents: _rotation.Contents, now: datetime.datetime) -> list[_rotation.Change]:
    """The changes of the requested step, for all rotations that take it."""
    params, phases = module.params, _rotation.phases(contents)
    if params["step"] == "begin":
        # An earlier run with the same names was killed after it had advanced: completed rotations must not start again.
        further = [
            name
            for name in due(module, contents, now)
            if name in params["rotate"] and phases[name] == _rotation.SWITCHED
        ]
        wanted = [] if further else params["rotate"]
        names = [name for name in _rotation.NAMES if name in wanted and phases[name] == _rotation.STEADY]
        steps = [_rotation.begin(name, contents, params["cluster_name"], now) for name in names]
        return [change for step in steps for change in step]
    steps = []
    names = due(module, contents, now) if params["step"] == "advance" else []
    check_states(module, contents, names)
    for name in names:
        if phases[name] == _rotation.BEGUN:
            steps.append(_rotation.switch(name, contents, now))
            continue
        if name == _rotation.ENCRYPTION:
            check_use(module, contents)
        steps.append(_rotation.finish(name, contents, now))
    return [change for step in steps for change in step]


def apply(module: AnsibleModule, change: _rotation.Change) -> None:
    path = os.path.join(module.params["directory"], change.name)
    if change.content is not None:
        _files.write(module, _authorities.wanted(module.params["directory"], change.name, change.content))
    elif change.new_name:
        os.rename(path, os.path.join(module.params["directory"], change.new_name))
    else:
        os.unlink(path)


def answer(module: AnsibleModule, contents: _rotation.Contents, now: datetime.datetime) -> dict[str, t.Any]:
    phases, end = _rotation.phases(contents), tokens_end(module, contents)
    return {
        "going": due(module, contents, now),
        "phases": phases,
        "states": _rotation.states(contents),
        "sentences": {
            name: _rotation.describe(name, phase) for name, phase in phases.items() if phase != _rotation.STEADY
        },
        "tokens_until": f"{end:%Y-%m-%d %H:%M} UTC" if end else "",
    }


def actions(module: AnsibleModule, changes: t.Sequence[_rotation.Change]) -> dict[str, t.Any]:
    top = module.params["directory"]
    new = [change.new_name if change.content is None else change.name for change in changes]
    old = [change.name for change in changes if change.content is None]
    paths = [[os.path.join(top, name) for name in names if name] for names in (new, old)]
    return _actions.result([*_actions.writes(paths[0]), *_actions.removals(paths[1])])


def run(module: AnsibleModule) -> dict[str, t.Any]:
    now = datetime.datetime.now(datetime.timezone.utc)
    contents = read(module)
    changes = changes_of(module, contents, now)
    if not changes or module.check_mode:
        return {**actions(module, changes), **answer(module, contents, now)}
    with _authorities.locked(module.params["directory"]):
        changes = changes_of(module, read(module), now)
        for change in changes:
            apply(module, change)
    return {**actions(module, changes), **answer(module, read(module), now)}


ARGUMENT_SPEC: dict[str, t.Any] = {
    "directory": {"type": "path", "required": True},
    "cluster_name": {"type": "str", "required": True},
    "step": {"type": "str", "choices": ["inspect", "begin", "advance"], "default": "inspect"},
    "rotate": {"type": "list", "elements": "str", "choices": [*_rotation.NAMES], "default": []},
    # Not a secret, but a time.
    "token_overlap_hours": {"type": "float", "default": 24, "no_log": False},
    "expected": {"type": "dict", "default": {}},
    "in_use": {"type": "dict", "default": {}},
}
