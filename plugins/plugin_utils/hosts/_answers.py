# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""Defensive parsing of hosts' results: a task may have failed, its host may be gone, and a host may send anything."""

from __future__ import annotations

import typing as t

Result = t.Mapping[str, t.Any]

# Ansible's generic messages for a failed command or module. They give no reason, but the output does.
_EMPTY = ("non-zero return code", "MODULE FAILURE", "One or more items failed", "Module result deserialization failed")
_OUTPUTS = ("stderr", "module_stderr", "stdout", "module_stdout", "exception")


class Optional(t.NamedTuple):
    """A part of an answer that may be absent or null."""

    shape: t.Any


class Each(t.NamedTuple):
    """A mapping with keys of any name, whose values have this shape."""

    shape: t.Any


class Passing(t.NamedTuple):
    """A text that passes a check."""

    check: t.Callable[[str], bool]


def line(text: str) -> str:
    """The text on one line, so that no host can forge a line for another."""
    return " ".join(text.split()) if "\n" in text or "\t" in text else text


def reason(result: Result) -> str:
    """Why a task failed, on one line, in the words of whatever failed."""
    said = " ".join(str(result.get("msg") or "").removeprefix("Task failed: ").removeprefix("Module failed: ").split())
    if said and not said.startswith(_EMPTY):
        return said
    items = result.get("results")
    for item in items if isinstance(items, list) else []:
        if isinstance(item, dict) and (item.get("failed") or item.get("unreachable")):
            return reason(item)
    outputs = (str(result.get(key) or "").strip() for key in _OUTPUTS)
    lines = next((text.splitlines() for text in outputs if text), [])
    # The last line of a traceback or of a command's output gives the reason.
    return lines[-1].strip() if lines else said or "it gave no reason"


def mismatch(value: t.Any, shape: t.Any, where: str = "") -> str:
    """Where an answer first differs from a shape: a type, a dict of keys to shapes, or a list with the shape of its elements. Empty if it matches.

    Keys that are not in the shape are ignored."""
    if isinstance(shape, Optional):
        return "" if value is None else mismatch(value, shape.shape, where)
    if isinstance(shape, Passing):
        return "" if isinstance(value, str) and shape.check(value) else where or "."
    if isinstance(shape, Each):
        if not isinstance(value, t.Mapping):
            return where or "."
        parts = ((element, shape.shape, f"{where}.{key}") for key, element in value.items())
    elif isinstance(shape, dict):
        if not isinstance(value, t.Mapping):
            return where or "."
        parts = ((value.get(key), part, f"{where}.{key}") for key, part in shape.items())
    elif isinstance(shape, list):
        if not isinstance(value, list):
            return where or "."
        parts = ((element, shape[0], f"{where}[{index}]") for index, element in enumerate(value))
    else:
        # True is an int in Python, but not a valid number.
        fits = isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
        return "" if fits else where or "."
    return next((found for found in (mismatch(*part) for part in parts) if found), "")


def lost(host: str, names: t.Iterable[str], task_vars: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """For a host that dropped out of this play, the result that removed it; empty for every other host.

    `names` are the variables in which tasks have registered their results. If the task registered nothing, its result is lost; it is only known
    whether the task failed or the host was unreachable."""
    if host not in task_vars.get("ansible_play_hosts_all", ()) or host in task_vars.get("ansible_play_hosts", ()):
        return {}
    variables = task_vars["hostvars"][host]
    found = (variables[name] for name in names if name in variables)
    ends = [one for one in found if isinstance(one, t.Mapping) and (one.get("failed") or one.get("unreachable"))]
    if ends:
        return {**ends[-1], "lost": True}
    kind = "failed" if host in task_vars.get("ansible_failed_hosts", ()) else "unreachable"
    return {kind: True, "msg": "the output of this run says why", "lost": True}


def problem(result: Result) -> str:
    """The problem of a host without an answer, as text after its name, from a result of `lost` or as Ansible registered it."""
    if result.get("unreachable"):
        return f"is unreachable: {reason(result)}"
    if result.get("lost"):
        return f"failed earlier in this run: {reason(result)}"
    if not result or result.get("skipped"):
        return "was not checked in this run"
    return f"could not be checked: {reason(result)}"
