# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The actions in a module's result: what it did, or in check mode would do. No I/O.

The plan, the survey, the rollout order and the tests read only `actions` to learn what a module does. A module that reports `changed` returns at
least one action. In check mode, it returns the same actions as in the following run; in a run, completed waits are no longer actions."""

from __future__ import annotations

import typing as t

Verb = t.Literal[
    "install", "issue", "join", "drain", "write", "apply", "enable", "start", "restart", "stop", "remove", "wait"
]
# In the order of the plan.
VERBS: tuple[Verb, ...] = t.get_args(Verb)
# Pending work that is not a change: waiting for a service to start, or completing an interrupted run.
PENDING: Verb = "wait"
STARTS: tuple[Verb, ...] = ("start", "restart")


class Action(t.NamedTuple):
    """One action. `restart` interrupts a running service; `start` does not. Consequences of an action are not actions themselves: a service
    that is started is also enabled, and a user is created with the file that declares it."""

    verb: Verb
    subject: str
    reason: str = ""


def changes(actions: t.Iterable[Action]) -> bool:
    """Whether any action changes something."""
    return any(action.verb != PENDING for action in actions)


def listed(actions: t.Iterable[Action]) -> list[dict[str, str]]:
    """The actions as a module returns them."""
    return [action._asdict() for action in actions]


def result(actions: t.Sequence[Action]) -> dict[str, t.Any]:
    """The keys `changed` and `actions` of a module's result."""
    return {"changed": changes(actions), "actions": listed(actions)}


def writes(paths: t.Iterable[str]) -> list[Action]:
    return [Action("write", path) for path in paths]


def removals(subjects: t.Iterable[str]) -> list[Action]:
    return [Action("remove", subject) for subject in subjects]


def written(files: t.Iterable[t.Mapping[str, t.Any]]) -> list[Action]:
    """The actions for files and directories in the format of _files.py."""
    return writes(str(file["path"]) for file in files)


def starts(service: str, reasons: t.Sequence[str], running: bool, enable: bool = False) -> list[Action]:
    """The action for a service that must be restarted for these reasons; without a reason, the one that enables it, if necessary."""
    verb: Verb = "restart" if running else "start"
    if not reasons:
        return [Action("enable", service, "it would not start at boot")] if enable else []
    return [Action(verb, service, "; ".join(reasons))]


def is_pending(answer: t.Mapping[str, t.Any]) -> bool:
    """Whether a host's answer, which may be anything, has pending work that is not a change."""
    actions = answer.get("actions")
    return isinstance(actions, list) and any(
        isinstance(one, t.Mapping) and one.get("verb") == PENDING for one in actions
    )


def has_work(answer: t.Mapping[str, t.Any]) -> bool:
    """Whether a step has something to do, by its module's answer in check mode. A module that fails has: in its place in the run, it will say why."""
    return bool(answer.get("failed") or answer.get("actions"))
