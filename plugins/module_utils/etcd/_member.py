# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""How a host's etcd joins the existing cluster, or bootstraps a new one with the other members. No I/O.

A member's bootstrap settings are in an environment file for its first start only: the unit removes it once etcd is ready.
Without that file and without data, the unit's own settings neither join nor bootstrap a cluster. So a member that lost its data
does not start until a run has asked the other members how it should.
"""

from __future__ import annotations

import typing as t

# The possible states of etcd on a host (fact etcd_state).
NONE = "none"  # etcd never ran here
FOUNDING = "founding"  # it is bootstrapping a cluster with the others, and was not ready yet
JOINING = "joining"  # it is joining an existing one, and was not ready yet
MEMBER = "member"  # a member's data
LOST = "lost"  # etcd ran here, and its data is gone
# What etcd itself considers a member's data, below its data directory. A failed start leaves other files there.
WAL = "member/wal/*.wal"
_OF_A_CLUSTER = (MEMBER, JOINING)


class Refusal(Exception):
    """Why an action is refused: a sentence without its full stop."""


class Host(t.NamedTuple):
    """An etcd host of the inventory."""

    name: str
    peer_url: str
    client_url: str
    state: str  # empty if unknown


class Member(t.NamedTuple):
    """A member in the running cluster's member list."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    learner: bool

    @property
    def label(self) -> str:
        return self.name or ", ".join(self.peer_urls)


class Live(t.NamedTuple):
    """The running cluster, according to a member with a quorum."""

    members: tuple[Member, ...]
    leader: int

    def find(self, host: Host) -> Member | None:
        return next((member for member in self.members if host.peer_url in member.peer_urls), None)

    @property
    def voters(self) -> list[Member]:
        return [member for member in self.members if not member.learner]


class Data(t.NamedTuple):
    """This host's etcd data."""

    directory: str
    member: Member | None  # whose data it is
    moved: bool  # whether etcd was last started with another address


class Plan(t.NamedTuple):
    """What to do before etcd starts."""

    action: str  # keep, move (another address), bootstrap, add, replace (remove and add), resume (an interrupted add)
    words: str = ""


KEEP = Plan("keep")


def state_of(has_data: bool, first_start: str | None, has_unit: bool) -> str:
    """The state according to the files: whether there is data, the environment file (None if missing), and whether etcd's unit exists."""
    if first_start is not None:
        return FOUNDING if "ETCD_INITIAL_CLUSTER_STATE=new" in first_start.splitlines() else JOINING
    if has_data:
        return MEMBER
    return LOST if has_unit else NONE


def environment(members: t.Iterable[tuple[str, str]], new: bool) -> str:
    """The environment file of a first start, for members by name and peer URL."""
    cluster = ",".join(f"{name}={url}" for name, url in members)
    return f"ETCD_INITIAL_CLUSTER={cluster}\nETCD_INITIAL_CLUSTER_STATE={'new' if new else 'existing'}\n"


def joined(live: Live | None, me: Host, hosts: t.Sequence[Host]) -> list[tuple[str, str]]:
    """Name and peer URL of all members of a running cluster once this host has joined; those in the inventory if none responds (a plan)."""
    if live is None:
        return [(host.name, host.peer_url) for host in hosts]
    known = {host.peer_url: host.name for host in hosts}
    others = [(member.name or known.get(url, ""), url) for member in live.members for url in member.peer_urls]
    return [*((name, url) for name, url in others if url != me.peer_url), (me.name, me.peer_url)]


def parse_members(answer: t.Mapping[str, t.Any]) -> tuple[Member, ...]:
    """The members in the output of `etcdctl member list`."""
    return tuple(
        Member(
            one["ID"],
            one.get("name", ""),
            tuple(one.get("peerURLs") or ()),
            tuple(one.get("clientURLs") or ()),
            one.get("isLearner", False),
        )
        for one in answer.get("members") or []
    )


def clusters(status: t.Iterable[t.Mapping[str, t.Any]]) -> dict[int, list[str]]:
    """Cluster ID -> its endpoints, from `etcdctl endpoint status`."""
    found: dict[int, list[str]] = {}
    for entry in status:
        found.setdefault(entry["Status"]["header"]["cluster_id"], []).append(entry["Endpoint"])
    return found


def names(things: t.Iterable[Host | Member]) -> str:
    # Sorted, because etcd lists its members by their random IDs.
    return ", ".join(sorted(thing.label if isinstance(thing, Member) else thing.name for thing in things))


def foreign(live: Live, hosts: t.Sequence[Host]) -> list[Member]:
    """The members that are not in the inventory."""
    known = {host.peer_url for host in hosts}
    return [member for member in live.members if not known.intersection(member.peer_urls)]


# Decisions


def refuse_two_clusters(found: t.Mapping[int, t.Sequence[str]], directory: str) -> None:
    """All members in the inventory must belong to the same cluster."""
    if len(found) > 1:
        sides = " and ".join(f"{', '.join(urls)} of {identity:x}" for identity, urls in found.items())
        raise Refusal(
            f"the etcd members belong to different clusters: {sides}; decide which cluster to keep, stop etcd on the hosts of the other, "
            f"move their {directory} away, and run plainkube.cluster.site again, so that they join"
        )


def moved(
    live: Live, me: Host, hosts: t.Sequence[Host], identity: int | None, responds: t.Callable[[str], bool]
) -> Member | None:
    """The member whose data this host has, if it has another address than the host now.

    By its ID, if etcd runs on this host. Otherwise by its name, unless something responds at the member's address: another host may have the name, too.
    """
    if identity is not None:
        return next((member for member in live.members if member.id == identity), None)
    named = (member for member in foreign(live, hosts) if member.name == me.name)
    return next((member for member in named if not any(map(responds, member.client_urls))), None)


def decide(me: Host, data: Data | None, hosts: t.Sequence[Host], live: Live | None, silence: str) -> Plan:
    """What to do on this host before etcd starts; raises Refusal.

    `live` is None if no member with a quorum responds; `silence` says how that was determined.
    """
    if data:
        if data.member and me.peer_url not in data.member.peer_urls:
            return Plan("move", f"at {me.peer_url} instead of {', '.join(data.member.peer_urls)}")
        if live and not data.member:
            raise Refusal(
                f"{me.name} has etcd data of another cluster, or of a member that was removed, in {data.directory}: the current members are "
                f"{names(live.members)}; move that directory away, and run plainkube.cluster.site again, so that {me.name} joins them"
            )
        return Plan("move", f"at {me.peer_url}") if data.moved and not live else KEEP
    return _join(me, hosts, live) if live else _found(me, hosts, silence)


def _join(me: Host, hosts: t.Sequence[Host], live: Live) -> Plan:
    mine = live.find(me)
    strangers = foreign(live, hosts)
    learners = [member for member in live.members if member.learner and member != mine]
    if mine and not mine.name and not learners:
        return Plan("resume", "where it was added and has never started")
    if strangers:
        stranger = strangers[0]
        raise Refusal(
            f"etcd has the member {stranger.label} ({stranger.id:x}), which is not an etcd host in the inventory: add it there, or remove it "
            f"(etcdctl member remove {stranger.id:x}), before {me.name} joins"
        )
    if learners:
        raise Refusal(
            f"etcd has the learner {names(learners)}, and accepts one at a time: run plainkube.cluster.site on that host first, or remove it "
            f"(etcdctl member remove {learners[0].id:x})"
        )
    if mine is None:
        return Plan("add", f"as a learner of {names(live.members)}")
    others = [member for member in live.members if member != mine]
    return Plan("replace", f"again, as a learner of {names(others)}, because its data is lost")


def _found(me: Host, hosts: t.Sequence[Host], silence: str) -> Plan:
    unknown = [host for host in hosts if not host.state]
    kept = [host for host in hosts if host != me and host.state in _OF_A_CLUSTER]
    lost = [host for host in hosts if host.state in (LOST, JOINING)]
    if kept:
        raise Refusal(
            f"{me.name} has no etcd data and {names(kept)} {'has' if len(kept) == 1 else 'have'}, but no member with a quorum responds "
            f"({silence}), so {me.name} cannot join and must not bootstrap a second cluster: start etcd on enough of these hosts, "
            "or restore a backup"
        )
    if unknown:
        raise Refusal(
            f"it is unknown whether {names(unknown)} {'has' if len(unknown) == 1 else 'have'} etcd data, and a new cluster is "
            "bootstrapped by all its members together: run plainkube.cluster.site for all of them, without --limit"
        )
    if lost:
        raise Refusal(
            f"etcd has run on {names(lost)}, its data is gone, and no member responds ({silence}): restore a backup, or, to start with "
            f"an empty cluster, run plainkube.cluster.reset with reset_hosts={','.join(host.name for host in hosts)} first"
        )
    return Plan("bootstrap", f"with {names(host for host in hosts if host != me) or 'no other member'}")


# Restarts and votes


def quorum(voters: int) -> int:
    return voters // 2 + 1


def spare_problems(live: Live, me: Member, healthy: t.Collection[str]) -> str:
    """Why etcd would lose its quorum without this member; empty if it would not. `healthy` has the healthy endpoints."""
    others = [member for member in live.voters if member.id != me.id]
    if me.learner or not others:
        return ""
    ill = [member for member in others if not set(member.client_urls) & set(healthy)]
    # With two members, each is needed; the best possible condition is that the other one is healthy.
    if len(others) - len(ill) >= min(quorum(len(others) + 1), len(others)):
        return ""
    return f"{names(ill)} of the {len(others)} other members {'is' if len(ill) < 2 else 'are'} not healthy"


def successor(live: Live, me: Member, hosts: t.Sequence[Host], healthy: t.Collection[str]) -> Member | None:
    """The new leader in place of this member: the first healthy voter in the inventory's order, which is the order of restarts."""
    order = {host.peer_url: number for number, host in enumerate(hosts)}
    able = [member for member in live.voters if member.id != me.id and set(member.client_urls) & set(healthy)]
    return min(able, key=lambda member: min(order.get(url, len(order)) for url in member.peer_urls), default=None)
