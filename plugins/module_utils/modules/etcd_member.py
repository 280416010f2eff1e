# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module etcd_member."""

from __future__ import annotations

import glob
import os
import shutil
import typing as t
import urllib.parse

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.etcd import _etcdctl, _member
from ansible_collections.plainkube.cluster.plugins.module_utils.etcd._member import Host, Live, Member, Plan
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files, _places
from ansible_collections.plainkube.cluster.plugins.module_utils.host._wait import poll
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _systemd, _unit_files

# Transient errors: members that started less than 5 s ago count as unhealthy, and a learner must catch up.
_PASSING = ("unhealthy cluster", "not enough started members", "in sync with leader", "too many learner")
# How long a leader election may take on a slow machine.
_ELECTION = 10


class View(t.NamedTuple):
    """The members' responses."""

    live: Live | None
    answering: dict[str, int]  # client URL -> the member's ID
    silence: str  # why there is no live cluster


def ctl(module: AnsibleModule, endpoints: t.Sequence[str]) -> _etcdctl.Etcdctl:
    etcd = _etcdctl.Etcdctl(module, {**module.params, "endpoints": endpoints, "wait": 0})
    etcd.environment.update(_etcdctl.SHORT_TIMEOUTS)
    return etcd


def inspect(module: AnsibleModule, urls: t.Sequence[str]) -> View:
    """Query all reachable members. A member without quorum, or a learner, cannot list the members."""
    problems = {url: _etcdctl.dial(url) for url in urls}
    listening = [url for url, problem in problems.items() if not problem]
    silence = "; ".join(f"{url}: {problem}" for url, problem in problems.items() if problem)
    if not listening:
        return View(None, {}, silence)
    try:
        status = ctl(module, listening).of_each("endpoint", "status")
    except _etcdctl.Unreachable as error:
        return View(None, {}, str(error))
    _member.refuse_two_clusters(_member.clusters(status), _places.ETCD_DATA)
    answering = {entry["Endpoint"]: entry["Status"]["header"]["member_id"] for entry in status}
    for entry in status:
        if entry["Status"].get("leader") and not entry["Status"].get("isLearner"):
            try:
                members = _member.parse_members(ctl(module, [entry["Endpoint"]]).call("member", "list"))
                return View(Live(members, entry["Status"]["leader"]), answering, "")
            except _etcdctl.Unreachable as error:
                silence = str(error)
    return View(None, answering, silence or f"{', '.join(listening)} know no leader")


def healthy(module: AnsibleModule, view: View) -> list[str]:
    """The client URLs of members that participate in the cluster."""
    if not view.answering:
        return []
    return [
        entry["endpoint"]
        for entry in ctl(module, [*view.answering]).of_each("endpoint", "health")
        if entry.get("health")
    ]


class Task:
    """One run of the module on one host."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        params = module.params
        self.hosts = [Host(one["name"], one["peer_url"], one["client_url"], one["state"]) for one in params["members"]]
        found = [host for host in self.hosts if host.name == params["name"]]
        if not found:
            raise _member.Refusal(f"name is {params['name']!r}, which is not one of members")
        self.has_data = self.find_data()
        self.first_start = _files.read(_places.ETCD_FIRST_START)
        state = _member.state_of(self.has_data, self.first_start, _unit_files.has_unit("etcd"))
        # The states of the other hosts are from the start of the run; this host's may be newer.
        self.me = found[0]._replace(state=state)
        self.hosts[self.hosts.index(found[0])] = self.me

    def find_data(self) -> bool:
        return bool(glob.glob(os.path.join(_places.ETCD_DATA, _member.WAL)))

    def inspect(self) -> View:
        urls = [self.endpoint if host == self.me else host.client_url for host in self.hosts]
        return inspect(self.module, urls)

    @property
    def endpoint(self) -> str:
        """Where etcd on this host responds, if it runs: until it restarts after a change of the host's address, only on loopback."""
        url = self.me.client_url
        local = f"https://127.0.0.1:{urllib.parse.urlsplit(url).port}"
        return local if self.has_data and _etcdctl.dial(url) and not _etcdctl.dial(local) else url

    def mine(self, view: View) -> Member | None:
        """This host's member in the running cluster."""
        if view.live is None:
            return None
        found = view.live.find(self.me)
        if found or not self.has_data:
            return found
        identity = view.answering.get(self.endpoint)
        return _member.moved(view.live, self.me, self.hosts, identity, lambda url: not _etcdctl.dial(url))

    def has_moved(self) -> bool:
        """Whether etcd on this host was last started with another address."""
        unit = _files.read(f"{_places.UNITS}/etcd.service")
        return self.has_data and unit is not None and self.me.peer_url not in unit

    def patiently(self, attempt: t.Callable[[], str]) -> str:
        """Retry until there is no problem; returns the remaining one."""
        return poll(attempt, lambda problem: not problem, self.module.params["wait"], 0.5)

    def change(self, view: View, *arguments: str) -> None:
        """A membership change, as soon as etcd accepts it."""

        def attempt() -> str:
            try:
                ctl(self.module, [*view.answering]).call("member", *arguments)
            except _etcdctl.EtcdError as error:
                if not any(sign in str(error) for sign in _PASSING):
                    raise
                return str(error)
            return ""

        problem = self.patiently(attempt)
        if problem:
            raise _etcdctl.EtcdError(problem)

    def change_now(self, endpoints: t.Sequence[str], *arguments: str) -> str:
        """A membership change; returns why it is not possible yet."""
        try:
            ctl(self.module, endpoints).call("member", *arguments)
        except _etcdctl.EtcdError as error:
            if not isinstance(error, _etcdctl.Unreachable) and not any(sign in str(error) for sign in _PASSING):
                raise
            return str(error)
        return ""

    # Before etcd starts

    def decide(self) -> tuple[View, Plan]:
        """On a host without data, wait for the members that this run has just started."""
        if self.has_data and len(self.hosts) == 1 and not self.has_moved():
            return View(None, {}, ""), _member.KEEP
        waits = not self.has_data and any(host.state == _member.MEMBER for host in self.hosts)
        view = poll(
            self.inspect, lambda view: view.live is not None or not (waits or view.answering), self.patience(waits), 0.5
        )
        if waits and view.live is None and self.module.check_mode:
            return view, Plan("add", "as a learner")
        directory = _places.ETCD_DATA
        data = _member.Data(directory, self.mine(view), self.has_moved()) if self.has_data else None
        return view, _member.decide(self.me, data, self.hosts, view.live, view.silence)

    def patience(self, waits: bool) -> float:
        """Seconds to wait for a cluster with a quorum. Members that have just lost their leader elect a new one."""
        seconds = self.module.params["wait"]
        if self.module.check_mode:
            return 0
        return seconds if waits else min(seconds, _ELECTION) if self.me.state == _member.MEMBER else 0

    def prepare(self) -> dict[str, t.Any]:
        """Everything that must happen before etcd is started or restarted."""
        view, plan = self.decide()
        mine = self.mine(view)
        content = self.content(view.live, plan)
        if not self.module.check_mode:
            self.act(view, plan, mine, content)
        path = _places.ETCD_FIRST_START
        actions = _actions.writes([path]) if content != self.first_start else []
        if plan.action in ("add", "replace", "move") or (plan.action != "bootstrap" and actions):
            actions.insert(0, Action("join", f"etcd {plan.words}"))
        if mine and mine.learner:
            actions.append(Action("wait", "etcd", f"{self.me.name} is a learner and must be promoted"))
        return {
            **_actions.result(actions),
            "action": plan.action,
            "live": view.live is not None,
            "answers": self.endpoint in view.answering,
            "leader": bool(mine and view.live and view.live.leader == mine.id),
            "learner": bool(mine and mine.learner),
            "diff": _diff(path, self.first_start, content),
        }

    def content(self, live: Live | None, plan: Plan) -> str | None:
        """The environment file of the first start."""
        if plan.action in ("keep", "move"):
            return self.first_start
        if plan.action == "bootstrap":
            return _member.environment([(host.name, host.peer_url) for host in self.hosts], new=True)
        return _member.environment(_member.joined(live, self.me, self.hosts), new=False)

    def act(self, view: View, plan: Plan, mine: Member | None, content: str | None) -> None:
        if plan.action in ("keep", "move"):
            if mine and plan.action == "move":
                self.change(view._replace(answering=self.answering_others(view, mine)), *self.update(mine))
            if mine and self.endpoint in view.answering:
                self.step_aside(mine)
            return
        if plan.action == "replace" and mine:
            self.see_that_it_can_be_spared(mine, "its data is lost, so it cannot be replaced")
        self.clear()
        if plan.action == "replace" and mine:
            self.change(view, "remove", f"{mine.id:x}")
        if plan.action in ("add", "replace"):
            self.change(view, "add", self.me.name, "--learner", f"--peer-urls={self.me.peer_url}")
        if content is not None and content != self.first_start:
            path = _places.ETCD_FIRST_START
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            _files.write(self.module, {"path": path, "content": content, "mode": "0644", **_files.me()})

    @staticmethod
    def answering_others(view: View, mine: Member) -> dict[str, int]:
        """The other voters that respond: this host's member may be cut off from them, and then no change through it ends. Without others, itself."""
        voters = {member.id for member in (view.live.voters if view.live else ())} - {mine.id}
        return {url: identity for url, identity in view.answering.items() if identity in voters} or view.answering

    def update(self, mine: Member) -> list[str]:
        """etcdctl's arguments that tell the members this host's address."""
        return ["update", f"{mine.id:x}", f"--peer-urls={self.me.peer_url}"]

    def clear(self) -> None:
        """Before a first start: no process writes to the data directory, and it contains no remains, such as a database without its log."""
        if _unit_files.has_unit("etcd"):
            _systemd.systemctl(self.module, "stop", "etcd.service")
        if self.find_data():
            raise _etcdctl.EtcdError(f"etcd on {self.me.name} has just got data: run plainkube.cluster.site again")
        directory = _places.ETCD_DATA
        if os.path.exists(directory):
            shutil.rmtree(f"{directory}.old", ignore_errors=True)
            os.rename(directory, f"{directory}.old")

    def step_aside(self, mine: Member) -> None:
        """Before a restart: ensure that etcd keeps its quorum without this member, and that another member is the leader."""
        view, able = self.see_that_it_can_be_spared(mine, "it is not restarted")
        if view.live is None or view.live.leader != mine.id:
            return
        successor = _member.successor(view.live, mine, self.hosts, able)
        if successor:
            ctl(self.module, [self.endpoint]).call("move-leader", f"{successor.id:x}")

    def see_that_it_can_be_spared(self, mine: Member, otherwise: str) -> tuple[View, list[str]]:
        seen: tuple[View, list[str]] = (View(None, {}, ""), [])

        def attempt() -> str:
            nonlocal seen
            view = self.inspect()
            seen = view, healthy(self.module, view)
            return _member.spare_problems(view.live, mine, seen[1]) if view.live else view.silence

        problem = self.patiently(attempt)
        if problem:
            raise _member.Refusal(
                f"without {self.me.name} etcd would have no quorum ({problem}), so {otherwise}: start or repair these members first"
            )
        return seen

    # After it has started

    def vote(self) -> dict[str, t.Any]:
        """Promote the learner as soon as it is in sync, or tell the members the host's new address, and wait until it serves."""
        if self.module.check_mode:
            mine = self.mine(self.inspect())
            return {**self.voting(not self.has_data or bool(mine and mine.learner)), "diff": []}
        promoted = False

        def attempt() -> str:
            nonlocal promoted
            view = self.inspect()
            mine = self.mine(view)
            if view.live is None or mine is None:
                return view.silence or f"{self.me.name} is not in the member list"
            voters = [*self.answering_others(view, mine)]
            problem = ""
            if self.me.peer_url not in mine.peer_urls:
                problem = self.change_now(voters, *self.update(mine))
            elif mine.learner:
                problem = self.change_now(voters, "promote", f"{mine.id:x}")
                promoted = not problem
            if problem:
                return problem
            return "" if self.me.client_url in healthy(self.module, view) else f"{self.me.client_url} is not healthy"

        problem = self.patiently(attempt)
        if problem:
            seconds = self.module.params["wait"]
            raise _etcdctl.EtcdError(
                f"{self.me.name} has no vote in etcd after {seconds} s: {problem}; read `journalctl --unit etcd` on it"
            )
        return {**self.voting(promoted), "diff": []}

    @staticmethod
    def voting(promoted: bool) -> dict[str, t.Any]:
        return _actions.result([Action("join", "etcd as a voting member")] if promoted else [])


def _diff(path: str, before: str | None, after: str | None) -> list[dict[str, str]]:
    if before == after:
        return []
    return [{"before_header": path, "after_header": path, "before": before or "", "after": after or ""}]


SPEC = {
    "name": {"type": "str", "required": True},
    "members": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "peer_url": {"type": "str", "required": True},
            "client_url": {"type": "str", "required": True},
            "state": {"type": "str", "default": ""},
        },
    },
    "state": {"type": "str", "choices": ["prepared", "voting"], "default": "prepared"},
    **{name: option for name, option in _etcdctl.OPTIONS.items() if name != "endpoints"},
}


def run(module: AnsibleModule) -> dict:
    try:
        task = Task(module)
        return task.prepare() if module.params["state"] == "prepared" else task.vote()
    except (_member.Refusal, _etcdctl.EtcdError) as error:
        return module.fail_json(msg=f"{error}.")


def main() -> None:
    _run.main(SPEC, run)
