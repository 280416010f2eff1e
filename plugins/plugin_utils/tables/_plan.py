# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""Formats the results of this collection's modules: what would change (or has changed) on a host."""

from __future__ import annotations

import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions
from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _answers
from ansible_collections.plainkube.cluster.plugins.plugin_utils.tables import _status_table

Result = t.Mapping[str, t.Any]

# In place of a verb: a host's answer is not a valid list of actions.
UNKNOWN = "?"
_ORDER = (*_actions.VERBS, UNKNOWN)
_ACTION = {"verb": _answers.Passing(lambda verb: verb in _actions.VERBS), "subject": str, "reason": str}
_SILENT = "the host does not say why"


class Told(t.NamedTuple):
    """The actions in a result, as far as they are valid."""

    actions: list[_actions.Action]
    wrong: str  # the invalid part of the result; empty if it is valid


def told(result: Result) -> Told:
    """The actions that a module returned. Without `changed`, there may be none."""
    found = result.get("actions", None if result.get("changed") else [])
    valid = [one for one in found if not _answers.mismatch(one, _ACTION)] if isinstance(found, list) else []
    actions = [_actions.Action(one["verb"], one["subject"], one["reason"]) for one in valid]
    return Told(actions, _answers.mismatch(found, [_ACTION], "actions"))


def _of_host(result: Result, host: str) -> Told:
    """The actions for a host. A module that runs for all hosts at once, on the control node, returns them in `hosts`."""
    hosts = result.get("hosts")
    if not isinstance(hosts, t.Mapping):
        return told(result)
    one = hosts.get(host, {})
    return told(one) if isinstance(one, t.Mapping) else Told([], f"hosts.{host}")


def restarts(result: Result) -> dict[str, str]:
    """Service -> why it is restarted."""
    starts = [action for action in told(result).actions if action.verb in _actions.STARTS]
    return {action.subject: action.reason or _SILENT for action in starts}


def written(result: Result) -> list[str]:
    """Paths of files and directories, and keys of etcd."""
    return [action.subject for action in told(result).actions if action.verb == "write"]


def installed(result: Result) -> list[str]:
    """Binaries, images and packages, as text."""
    return [action.subject for action in told(result).actions if action.verb == "install"]


def _line(action: _actions.Action) -> tuple[str, str]:
    reason = action.reason or (_SILENT if action.verb in _actions.STARTS else "")
    return action.verb, f"{action.subject}: {reason}" if reason else action.subject


def lines(result: Result, host: str) -> list[tuple[str, str]]:
    """(verb, subject) of everything that a result changes on a host."""
    actions, wrong = _of_host(result, host)
    found = [_line(action) for action in actions if action.verb != _actions.PENDING]
    return found + ([(UNKNOWN, f"the answer of this host has no valid {wrong}")] if wrong else [])


def page(plans: t.Mapping[str, t.Sequence[tuple[str, str]]]) -> list[str]:
    """The plan of all hosts; no lines if nothing would change."""
    rows: list[t.Sequence[str]] = []
    for host, plan in plans.items():
        before = ("", "")
        for verb, what in sorted(plan, key=lambda line: _ORDER.index(line[0])):
            first = (host if before[0] != host else "", verb if before != (host, verb) else "")
            rows.append((*first, what))
            before = (host, verb)
    return _status_table.align([("HOST", "WOULD", ""), *rows]) if rows else []


def verdict(cluster: str, plans: t.Mapping[str, t.Sequence[tuple[str, str]]], lost: t.Collection[str] = ()) -> str:
    """The plan in a sentence. For hosts that were lost during the run, it is incomplete."""
    more = f"; what would change on {', '.join(lost)} is unknown" if lost else ""
    verbs = [verb for plan in plans.values() for verb, dummy in plan]
    touched = [host for host, plan in plans.items() if plan]
    if not touched:
        return f"{cluster}: nothing would change on {len(plans) - len(lost)} hosts{more}"
    services = f"start {verbs.count('start')} and restart {verbs.count('restart')} services"
    return f"{cluster}: would change {len(touched)} of {len(plans)} hosts, {services}{more}"
