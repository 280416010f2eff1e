# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""What a component needs: its unit's text, and whether and why its process must be restarted."""

from __future__ import annotations

import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.services import _stamp

# How the comment of a service's user ends in /etc/passwd. A user of this name with another comment is somebody else's.
USER_COMMENT = ", run by plainkube.cluster"


class Process(t.NamedTuple):
    """The current state of a service."""

    active_state: str  # systemd's ActiveState
    sub_state: str
    pid: int
    stamp: str  # of the running process; empty if it has none
    other_binary: str  # why it does not run the desired binary; empty if it does

    @classmethod
    def of(cls, state: t.Mapping[str, str], binary: str) -> Process:
        """The process of a service, from the output of `systemctl show`."""
        pid = int(state.get("MainPID") or 0)
        stamp, other = _stamp.of_process(pid), _stamp.other_binary(pid, binary)
        return cls(state.get("ActiveState", ""), state.get("SubState", ""), pid, stamp, other)

    @property
    def runs(self) -> bool:
        return self.pid > 0 and self.active_state in ("active", "activating", "reloading")


def _next_generation(stamp: _stamp.Stamp | None) -> str:
    return str(int(stamp.generation) + 1) if stamp and stamp.generation.isdigit() else "1"


def wanted_unit(
    body: str,
    inputs: t.Sequence[str],
    contents: _stamp.Contents,
    on_disk: str | None,
    repaired: t.Sequence[str],
) -> str:
    """The desired text of the unit file.

    `repaired` names the component's own files whose content on disk is wrong. A process may
    have been started with them, so the generation increases, to a stamp that no process can have yet. The unit is written
    before the files, so if a run dies in between, the next run has the same work.
    """
    found_body, dummy, stamp = _stamp.split(on_disk or "")
    total = _stamp.compute(body, inputs, contents)
    same = stamp is not None and not repaired and found_body == f"{body.rstrip()}\n"
    generation = stamp.generation if same and stamp else _next_generation(stamp)
    return _stamp.append(body, inputs, _stamp.Stamp(total, generation), contents)


def service_diff(
    service: str, state: t.Mapping[str, str], enable: bool, reasons: t.Sequence[str], more: t.Sequence[str] = ()
) -> list[dict[str, str]]:
    """A service's entry in Ansible's diff; `more` has lines about side effects of a restart."""
    after = [*(["enabled"] if enable else []), *(f"restarted: {reason}" for reason in reasons), *more]
    if not after:
        return []
    before = f"{state.get('ActiveState')}/{state.get('SubState')}\n"
    text = "".join(f"{line}\n" for line in after)
    return [{"before_header": service, "after_header": service, "before": before, "after": text}]


def restart_reasons(
    unit: str,
    on_disk: str | None,
    contents: _stamp.Contents,
    repaired: t.Sequence[str],
    process: Process,
    replaced: t.Sequence[str] = (),
) -> list[str]:
    """Why the process must be restarted, as text; empty if it is running and matches the files.

    `replaced` names the inputs that other tasks of this run write; the wording for them is the same as for this component's own files, before
    they are written (in a plan) and after.
    """
    if on_disk is None and not process.runs:
        return ["it is not installed yet"]
    if not process.runs:
        return [f"it is not running ({process.active_state}/{process.sub_state})"]
    body, dummy, stamp = _stamp.split(unit)
    if process.stamp == str(stamp):
        return [process.other_binary] if process.other_binary else []
    reasons = [f"{path} changes" for path in repaired]
    if _stamp.split(on_disk or "")[0] != body:
        reasons.append("its unit file changes")
    reasons += [
        f"{path} {'changes' if path in replaced else 'changed'}"
        for path in _stamp.changed_inputs(on_disk or "", contents)
        if path not in repaired
    ]
    return reasons or ["the process was started from an older unit, configuration or binary"]
