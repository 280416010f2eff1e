# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The rollout order: which hosts start or change together, and which one at a time. No I/O.

Stopped components start together, because an etcd member is not ready without the others. Running components change one host at a time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.etcd import _member

# The steps of the plays with a rollout.
ETCD = ("etcd_member", "etcd")
CONTROL_PLANE = ("control_plane",)


class Host(t.NamedTuple):
    """The run's knowledge about a host."""

    name: str
    to_do: t.Collection[str]  # names of steps
    answers: t.Mapping[str, t.Mapping[str, t.Any]]  # of module survey, by step; empty if the host was not surveyed
    etcd_state: str

    def has_to(self, *steps: str) -> bool:
        return bool(set(steps) & set(self.to_do))

    def answer(self, step: str) -> t.Mapping[str, t.Any]:
        return self.answers.get(step, {})

    def runs(self, step: str) -> bool:
        return may_run(step, self.answers)


def may_run(step: str, answers: t.Mapping[str, t.Mapping[str, t.Any]]) -> bool:
    """Whether a component of this step is running. If the step could not be surveyed, it may be."""
    if step not in answers:
        return False
    components = answers[step].get("components")
    return not isinstance(components, dict) or any(
        not isinstance(one, dict) or one.get("running", True) for one in components.values()
    )


def _ready(answer: t.Mapping[str, t.Any]) -> bool:
    """Whether a host's answer, which may be anything, reports all its components as ready."""
    components = answer.get("components")
    return isinstance(components, dict) and all(
        isinstance(one, dict) and one.get("ready") is True for one in components.values()
    )


class RolloutOrder(t.NamedTuple):
    """Names of hosts: those that change together, then those that change one at a time, in this order."""

    first: list[str]
    then: list[str]


def etcd(hosts: t.Sequence[Host], total: int) -> RolloutOrder:
    """The rollout order of etcd's members: these are in the run, out of `total` in the inventory."""
    busy = [host for host in hosts if host.has_to(*ETCD)]
    if total == 1:
        return RolloutOrder([host.name for host in busy], [])
    # Without a quorum there is nothing to lose, and only all members together can reach one.
    live = any(host.answer("etcd_member").get("live") for host in hosts)
    cluster = live or len(hosts) < total or any(host.etcd_state == _member.MEMBER for host in hosts)
    running = [host for host in busy if live and host.runs("etcd")]
    joining = [
        host
        for host in busy
        if host not in running and cluster and host.etcd_state not in (_member.MEMBER, _member.FOUNDING)
    ]
    # Members that do not respond are repaired before healthy ones change; the leader comes last.
    running.sort(key=lambda host: (bool(host.answer("etcd_member").get("answers")), _leads(host)))
    # New members reach the others at the addresses in etcd's member list.
    moving = [host for host in running if host.answer("etcd_member").get("action") == "move"]
    running = [host for host in running if host not in moving]
    then = [*moving, *joining, *running]
    return RolloutOrder([host.name for host in busy if host not in then], [host.name for host in then])


def _leads(host: Host) -> bool:
    return bool(host.answer("etcd_member").get("leader"))


def control_planes(hosts: t.Sequence[Host], total: int) -> RolloutOrder:
    """The rollout order of the control planes; empty if all may change in parallel: there is only one, or none that is running changes."""
    busy = [host for host in hosts if host.has_to(*CONTROL_PLANE)]
    running = [host for host in busy if host.runs("control_plane")]
    if total == 1 or not running:
        return RolloutOrder([], [])
    # The others wait until those that are not ready have been repaired.
    running.sort(key=lambda host: _ready(host.answer("control_plane")))
    return RolloutOrder([host.name for host in busy if host not in running], [host.name for host in running])
