# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""What this collection must remember on a host, by subject, in one JSON file.

It contains only what cannot be read from other files. A stamp is in its unit, because both must change in one step, and systemd passes it to the
process.
"""

from __future__ import annotations

import json
import os
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

PATH = "/var/lib/plainkube/state.json"
# The subjects. What docker_rebridge added to daemon.json:
DOCKER = "docker"
# The change of the container runtime that is in progress, from before the node is drained until it is in use again:
RUNTIME_CHANGE = "runtime_change"

State = dict[str, dict[str, t.Any]]


def parse(text: str | None) -> State:
    """Parse the file's text; None means that there is no file. Raises ValueError with a sentence."""
    try:
        state = json.loads(text or "{}")
    except ValueError:
        state = None
    if not isinstance(state, dict) or not all(isinstance(value, dict) for value in state.values()):
        raise ValueError(f"{PATH} is damaged, so the changes of earlier runs on this host are unknown; remove it")
    return state


def read(root: str = "") -> State:
    return parse(_files.read(f"{root}{PATH}"))


def changed(state: State, subject: str, value: dict[str, t.Any] | None) -> State:
    """The state with a new value for a subject; None removes the subject."""
    others = {name: other for name, other in state.items() if name != subject}
    return others if value is None else {**others, subject: value}


def file(state: State, root: str = "") -> dict[str, t.Any]:
    """The file to write, in the format of _files.py. Docker's settings may contain passwords."""
    content = json.dumps(state, indent=2, sort_keys=True) + "\n"
    return {"path": f"{root}{PATH}", "content": content, "mode": "0600", "secret": True, **_files.me()}


def update(module: AnsibleModule, subject: str, value: dict[str, t.Any] | None, root: str = "") -> bool:
    """Set or remove (None) the value of a subject; returns whether that is a change. Without subjects, there is no file."""
    before = read(root)
    after = changed(before, subject, value)
    if after == before:
        return False
    if not module.check_mode and after:
        _files.write(module, file(after, root))
    elif not module.check_mode:
        os.unlink(f"{root}{PATH}")
    return True
