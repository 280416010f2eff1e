# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The steps of site.yml: tasks of the roles, each declared once, and which of them a host needs.

A step is a task of this collection's modules that registers its result as `__NAME_result` and has the variable `builds_on`: the names of the
steps on which it depends. Module `survey` runs each step's module in check mode. A step is defined by its task alone: the
module, its options, and `when`, which says whether it concerns the host."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles

SITE = _roles.ROLES.parent / "playbooks" / "site.yml"
COLLECTION = "plainkube.cluster."
# The result of module survey on a host.
SURVEY = "__survey_result"
# The certificates that the control node has signed, for all hosts.
SIGNED = "__certificates_signed"
# The step whose change concerns all hosts.
_FOR_ALL_HOSTS = "flannel_network"
# The key that marks a step's result as one of the current pass: certificates.yml runs site.yml several times.
PASS = "survey"

_ROLES = ("ansible.builtin.import_role", "ansible.builtin.include_role")
_FILES = ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks")

Variables = t.Mapping[str, t.Any]


class Task(t.NamedTuple):
    """A task of a role, with the conditions and defaults of its blocks, includes and imports."""

    role: str
    module: str
    options: dict[str, t.Any]
    when: tuple[str, ...]
    register: str
    builds_on: tuple[str, ...] | None  # None: not a step

    @property
    def name(self) -> str:
        return name_of(self.register)


class Above(t.NamedTuple):
    """What a task inherits from its block, include or import."""

    when: tuple[str, ...] = ()
    defaults: t.Mapping[str, t.Any] = {}

    def below(self, task: Variables) -> Above:
        when = task.get("when", [])
        defaults = {**self.defaults, **task.get("module_defaults", {})}
        return Above((*self.when, *map(str, when if isinstance(when, list) else [when])), defaults)


def name_of(register: str | t.Mapping[str, t.Any]) -> str:
    """The step of a task, from the variable that it registers; ansible-core 2.21 and later have a mapping of variables."""
    name = register if isinstance(register, str) else next(iter(register))
    return name.removeprefix("__").removesuffix("_result")


def register_of(name: str) -> str:
    return f"__{name}_result"


def _tasks(entries: t.Iterable[Variables], role: str, above: Above) -> t.Iterator[Task]:
    for entry in entries:
        here = above.below(entry)
        for key in ("block", "rescue", "always"):
            yield from _tasks(entry.get(key, []), role, here)
        for key in _FILES:
            if key in entry:
                yield from _file(role, str(entry[key]), here)
        for key in _ROLES:
            if key in entry:
                name, file = entry[key]["name"], entry[key].get("tasks_from", "main")
                yield from _file(name.removeprefix(COLLECTION), f"{file}.yml", here)
        for key in entry:
            if key.startswith(COLLECTION) and "register" in entry:
                options = {**here.defaults.get(key, {}), **(entry[key] or {})}
                builds_on = entry.get("vars", {}).get("builds_on")
                yield Task(
                    role,
                    key.removeprefix(COLLECTION),
                    options,
                    here.when,
                    entry["register"],
                    None if builds_on is None else tuple(map(str, builds_on)),
                )


def _file(role: str, name: str, above: Above) -> t.Iterator[Task]:
    yield from _tasks(_roles.load(_roles.ROLES / role / "tasks" / name) or [], role, above)


@functools.cache
def _reached() -> tuple[Task, ...]:
    """The tasks of this collection's modules that site.yml reaches and that register a result, in order. A task in several plays has the position of the
    last one, in which most hosts run it."""
    found: dict[str, Task] = {}
    for play in _roles.load(SITE):
        for task in _tasks(play.get("tasks", []), "", Above()):
            found.pop(task.register, None)
            found[task.register] = task
    return tuple(found.values())


@functools.cache
def steps() -> tuple[Task, ...]:
    return tuple(task for task in _reached() if task.builds_on is not None)


@functools.cache
def results() -> tuple[str, ...]:
    """The variables in which the tasks of site.yml register their results, in order."""
    return tuple(task.register for task in _reached())


def closure(names: t.Iterable[str]) -> list[str]:
    """These steps and all that depend on them, in the order of the run."""
    found = set(names)
    grown = True
    while grown:
        more = {step.name for step in steps() if found & set(step.builds_on or ())} - found
        found |= more
        grown = bool(more)
    return [step.name for step in steps() if step.name in found]


def _current(host: Variables, name: str) -> t.Mapping[str, t.Any]:
    """A task's registered result on a host since its last survey; empty if it has not run. In a play without a survey, any registered result."""
    result = host.get(name)
    survey = host.get(SURVEY)
    if not isinstance(result, t.Mapping) or not isinstance(survey, t.Mapping):
        return result if isinstance(result, t.Mapping) else {}
    return result if result.get(PASS) == survey.get(PASS) else {}


def taken(name: str, host: Variables) -> t.Mapping[str, t.Any]:
    """The result of a step that a host has taken since its last survey; empty if it has not."""
    return _current(host, register_of(name)) if SURVEY in host else {}


def _signed(host: Variables) -> t.Mapping[str, t.Any]:
    """The certificates that the control node has signed for a host in this pass."""
    hosts = (host.get(SIGNED) or {}).get("hosts") or {}
    return hosts.get(host["inventory_hostname"]) or {}


def pending(host: Variables, network_changed: bool) -> list[str]:
    """The steps that a host still needs: those that the survey found, or all if its CAs or keys, or flannel's network, have changed since."""
    survey = host.get(SURVEY)
    if not isinstance(survey, t.Mapping) or PASS not in survey:
        return []
    everything = network_changed or _signed(host).get("replaced")
    return [name for name in survey["steps" if everything else "to_do"] if not taken(name, host)]


def surveyed(variables: Variables) -> dict[str, Variables]:
    """The hosts of the run that have been surveyed, with their variables, in the inventory's order."""
    groups = variables["groups"]
    ours = {*groups.get("plainkube_hosts", ())}
    hosts = {name: variables["hostvars"][name] for name in groups["all"] if name in ours}
    return {name: host for name, host in hosts.items() if (host.get(SURVEY) or {}).get(PASS)}


def changed_network(hosts: t.Iterable[Variables]) -> bool:
    """Whether flannel's network has changed in this pass, which concerns all hosts."""
    return any(taken(_FOR_ALL_HOSTS, host).get("changed") for host in hosts)


def pending_by_host(variables: Variables) -> dict[str, list[str]]:
    """The surveyed hosts -> the steps that each still needs."""
    hosts = surveyed(variables)
    changed = changed_network(hosts.values())
    return {name: pending(host, changed) for name, host in hosts.items()}


def replaced(host: Variables) -> list[str]:
    """The files that this run has replaced on a host so far, or would have in a real run: binaries, CAs, keys."""
    found = [path for name in results() for path in _replaced_by(_current(host, name))]
    return found + list(_signed(host).get("replaced") or [])


def _replaced_by(result: t.Mapping[str, t.Any]) -> list[str]:
    return [str(path) for path in (*(result.get("replaced") or ()), *(result.get("made") or ()))]
