#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: authority_rotation
short_description: Rotate CAs and keys in the directory on the control node, step by step
version_added: 1.0.0
description:
  - Rotates the certificate authorities (CAs), the key that signs service account tokens, and the key that encrypts Secrets,
    each with an overlap in which both the old one and the new one are accepted.
  - First the new one is trusted in addition to the old one (O(step=begin)), then it is in use, then the old one is removed (O(step=advance) twice).
    Between two steps, C(plainkube.cluster.site) must update all hosts.
  - The directory is the only place that records the progress, so a rotation resumes after its run was killed.
extends_documentation_fragment:
  - plainkube.cluster.attributes
author:
  - The plainkube authors (@plainkube)
requirements:
  - cryptography >= 41 on the control node
options:
  directory:
    description: Directory of the CAs on the control node.
    type: path
    required: true
  cluster_name:
    description: Name of the cluster, which is the prefix of the names of new CAs.
    type: str
    required: true
  step:
    description:
      - V(look) changes nothing.
      - V(begin) starts a rotation of each entry in O(rotate) that has none in progress. If one of them only needs its last step, V(begin) starts
        nothing, so that an interrupted run resumes.
      - V(advance) advances all rotations in progress by one step.
    type: str
    choices: [look, begin, advance]
    default: look
  rotate:
    description: What to rotate with O(step=begin).
    type: list
    elements: str
    choices: [kubernetes, etcd, front-proxy, service-account, encryption]
    default: []
  token_overlap_hours:
    description:
      - Overlap in hours during which the old service-account key is trusted after the new one is in use. After that, its tokens are rejected.
      - Tokens that the kubelet gives to pods are valid for an hour.
    type: float
    default: 24
  expected:
    description:
      - RV(states) of the previous step, for O(step=advance), which fails if a rotation has another state now. Another run has then started or advanced
        it, and the hosts may not have completed that step.
      - By default, rotations are advanced from any state.
    type: dict
    default: {}
  in_use:
    description:
      - RV(plainkube.cluster.encryption_usage#module:in_use), for O(step=advance).
      - An encryption key is not removed while an object in etcd needs it, or while its usage is unknown.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: With O(step=advance), each run takes another step until no rotation is in progress.
notes:
  - Always runs on the control node, in Ansible's own process and as the user who started it, regardless of the task's host.
seealso:
  - module: plainkube.cluster.certificate_sign
  - module: plainkube.cluster.kube_rewrite
"""

EXAMPLES = r"""
- name: Trust a new etcd CA in addition to the current one
  plainkube.cluster.authority_rotation:
    directory: /home/anna/cluster/pki
    cluster_name: plainkube
    step: begin
    rotate: [etcd]
  run_once: true
"""

RETURN = r"""
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  description:
    - What was, or would be, done. The paths are in O(directory).
  sample:
    - {verb: write, subject: "/root/plainkube-pki/ca-cross.crt", reason: ""}
going:
  description: Names of the rotations in progress whose next step is due.
  returned: success
  type: list
  elements: str
phases:
  description: Progress of each rotation - V(steady) (none), V(begun) (the new one is trusted), V(switched) (the new one is in use).
  returned: success
  type: dict
  sample: {"kubernetes": "steady", "etcd": "begun", "front-proxy": "steady", "service-account": "steady", "encryption": "steady"}
states:
  description: Phase of each rotation, with a digest of the CAs or keys in question.
  returned: success
  type: dict
  sample: {"etcd": "begun 5feceb66ffc86f38"}
sentences:
  description: The rotations in progress, as text.
  returned: success
  type: list
  elements: str
tokens_until:
  description: Time from which the old service-account key can be removed. Empty if no removal is due.
  returned: success
  type: str
  sample: "2026-11-26 22:00 UTC"
"""

import datetime
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils import (
    _actions,
    _authorities,
    _certificates,
    _encryption,
    _files,
    _rotation,
)


def read(module: AnsibleModule) -> dict[str, str]:
    contents = _authorities.read(module.params["directory"], _rotation.files())
    needed = [f"{stem}.crt" for stem in _certificates.AUTHORITIES.values()] + ["sa.key", "sa.pub", _encryption.FILE]
    missing = [name for name in needed if name not in contents]
    if missing:
        raise _certificates.CertificateError(
            f"certificates_directory {module.params['directory']} does not hold {', '.join(missing)} of this cluster: run plainkube.cluster.site, which "
            "makes them for a new cluster, and says what to do for one that has some."
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
            "in_use is empty, and without it nobody knows whether the old encryption key can go."
        )
    others = [f"{count} of {name}" for name, count in used.items() if name != first and count]
    if others:
        raise _certificates.CertificateError(
            f"In etcd, {' and '.join(others)} are not encrypted with {first} yet, so the old key cannot go: run the playbook again."
        )


def check_states(module: AnsibleModule, contents: _rotation.Contents, names: list[str]) -> None:
    """Refuse to advance what another run has changed since the hosts began their step."""
    expected = module.params["expected"]
    others = [
        name
        for name, state in _rotation.states(contents).items()
        if expected and name in names and expected.get(name) != state
    ]
    if others:
        raise _certificates.CertificateError(
            f"Another run has changed {', '.join(others)} in certificates_directory {module.params['directory']} since this run began the step, so nothing "
            "was advanced: wait until that run has ended, and run this again."
        )


def changes_of(module: AnsibleModule, contents: _rotation.Contents, now: datetime.datetime) -> list[_rotation.Change]:
    """The changes of the step that is asked for, of all that take it."""
    params, phases = module.params, _rotation.phases(contents)
    if params["step"] == "begin":
        # A run with the same names got further before it was killed: completed rotations must not start again.
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
        "sentences": [_rotation.describe(*one) for one in phases.items() if one[1] != _rotation.STEADY],
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
    "step": {"type": "str", "choices": ["look", "begin", "advance"], "default": "look"},
    "rotate": {"type": "list", "elements": "str", "choices": [*_rotation.NAMES], "default": []},
    # No secret: a time.
    "token_overlap_hours": {"type": "float", "default": 24, "no_log": False},
    "expected": {"type": "dict", "default": {}},
    "in_use": {"type": "dict", "default": {}},
}


def result_of(module: t.Any) -> dict[str, t.Any]:
    """The whole result, a failure included; the action plugin of this name calls it within Ansible's own process."""
    return _authorities.result_of(module, run)


def main() -> None:
    _authorities.main(ARGUMENT_SPEC, run)


if __name__ == "__main__":
    main()
