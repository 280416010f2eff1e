# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""The lock of a run on a managed host, against runs of other control nodes and other users.

A token in /run names the run that changes this host. The first module of a run takes it, and every later one renews it. A run cannot remove its
token when it is killed, so tokens lapse; but never while a module of that run is at work, which the kernel knows (flock(2)). A run that has lost
its token changes nothing any more: its successor's token names it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils import _lock

# The variable in which a control node says to a module which run it belongs to.
VARIABLE = "PLAINKUBE_RUN"
DIRECTORY = "/run/plainkube"
# Seconds without a module at work, after which the token of a run may be taken over: of one that has only looked at hosts so far, and of one
# that changes them. In a rollout, a host may wait that long for its turn; it keeps its token if nobody wants it.
LOOKING, CHANGING = 60, 300
# A token names so many of its predecessors.
_PREDECESSORS = 20
# Seconds to wait for another module that reads or writes the token, which takes none of them.
_PATIENCE = 10
# Seconds to wait for modules that a killed run has left at work.
_ORPHANS = 120


class Run(t.NamedTuple):
    """A run, as its control node says."""

    # Of this run, and of its control node's lock. Only one run at a time has that lock, so that a token with the same lock is a dead run's.
    run: str
    lock: str
    # For people.
    who: str
    # Unix time in seconds on the control node. If two runs begin at the same time, the older one goes first.
    since: float


class Token(t.NamedTuple):
    run: Run
    changes: bool
    # Seconds since boot, suspended or not.
    renewed: float
    # The runs that it was taken from, and which must not go on.
    over: tuple[str, ...] = ()
    ended: bool = False

    def lapses_in(self, now: float) -> float:
        """The seconds until others may take it, if its run stays silent."""
        return 0 if self.ended else self.renewed + (CHANGING if self.changes else LOOKING) - now


def begun(found: Token, run: Run, now: float, busy: bool) -> Token | None:
    """The token of a run that begins on this host, or none if the host belongs to another run; `busy` if a module of that one is at work."""
    if found.run.run == run.run:
        return found._replace(renewed=now, ended=False)
    early = not found.changes and (run.since, run.run) < (found.run.since, found.run.run)
    if busy or run.run in found.over or not (early or found.run.lock == run.lock or found.lapses_in(now) <= 0):
        return None
    return Token(run, False, now, found.over if found.ended else (*found.over, found.run.run)[-_PREDECESSORS:])


def may_go_on(found: Token | None, run: Run, now: float) -> bool:
    """Whether a run may change this host. It may have no token here: after a reboot, or if another host's task was delegated to this one."""
    if found is None or found.run.run == run.run:
        return True
    return run.run not in found.over and found.lapses_in(now) <= 0


def refusal(found: Token, run: Run, now: float) -> str:
    """Why a run must not change this host."""
    left = found.lapses_in(now)
    if run.run in found.over and left <= 0:
        return f"Another run has taken over this host since: {found.run.who}. Run this again."
    return (
        f"Another run changes this host: {found.run.who}, last active {now - found.renewed:.0f} s ago. Run this again when it has ended, or set "
        f"cluster_lock_wait to the seconds to wait; if it is dead, its lock lapses {f'in {left:.0f} s' if left > 0 else 'when its module here ends'}."
    )


# --- this host ---


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _path(name: str) -> str:
    return os.path.join(DIRECTORY, name)


def _read() -> Token | None:
    """The token on this host; none if there is none, or half a one: only a crash of the host leaves that, and /run does not survive it."""
    try:
        with open(_path("token"), encoding="utf-8") as stream:
            told = json.load(stream)
        return Token(Run(**told["run"]), told["changes"], told["renewed"], tuple(told["over"]), told["ended"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _write(token: Token) -> None:
    with open(_path("token.new"), "w", encoding="utf-8") as stream:
        json.dump({**token._asdict(), "run": token.run._asdict()}, stream)
    os.replace(_path("token.new"), _path("token"))


@contextlib.contextmanager
def _alone() -> t.Iterator[None]:
    """Nobody else reads or writes the token."""
    os.makedirs(DIRECTORY, mode=0o700, exist_ok=True)
    with _lock.held(DIRECTORY, _PATIENCE):
        yield


def _at_work(how: int) -> int | None:
    """Says that a module of the token's run is at work (LOCK_SH), or finds that none is (LOCK_EX), until the file is closed."""
    handle = os.open(_path("work"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _mine(module: AnsibleModule) -> Run | None:
    """The run that this module belongs to. With --check, and in a playbook that only looks, it belongs to none. Only root has a lock to take."""
    told = os.environ.get(VARIABLE)
    return Run(**json.loads(told)) if told and os.geteuid() == 0 else None


def begin(module: AnsibleModule) -> None:
    """Take the token for the run of this module. If the host belongs to another run, the module fails, and its answer names that one (`locked`).

    Waits for what a killed run of the same control node has left at work here."""
    run = _mine(module)
    if run is None:
        return
    deadline = _now() + _ORPHANS
    while True:
        with _alone():
            idle = _at_work(fcntl.LOCK_EX)
            found, now = _read(), _now()
            token = begun(found, run, now, idle is None) if found else Token(run, False, now)
            if idle is not None:
                os.close(idle)
            if token:
                _write(token)
                return
        if found and (found.run.lock != run.lock or now > deadline):
            module.fail_json(msg=refusal(found, run, now), locked=found.run.who)
        time.sleep(0.2)


def _renew(run: Run) -> None:
    found = _read()
    if found and found.run.run == run.run:
        _write(found._replace(changes=True, renewed=_now(), ended=False))


@contextlib.contextmanager
def held(module: AnsibleModule) -> t.Iterator[None]:
    """For what a module changes: nobody takes over the host meanwhile. The module fails if the host belongs to another run.

    Also for module survey, between the looks at all hosts and the first change. What passes there has passed everywhere before anything changes."""
    run = _mine(module)
    if run is None:
        yield
        return
    with _alone():
        found, now = _read(), _now()
        if found and not may_go_on(found, run, now):
            module.fail_json(msg=refusal(found, run, now))
        work = _at_work(fcntl.LOCK_SH)
        _renew(run)
    try:
        yield
    finally:
        # Module host_reset has removed the directory.
        if os.path.isdir(DIRECTORY):
            with _alone():
                _renew(run)
        if work is not None:
            os.close(work)


def end(module: AnsibleModule) -> None:
    """Give the token back. If it names runs that must not go on, it stays for them alone.

    The module fails if another run has taken over this host: it may have other settings."""
    run = _mine(module)
    if run is None:
        return
    with _alone():
        found = _read()
        if found and found.run.run == run.run:
            if found.over:
                _write(found._replace(ended=True))
            else:
                os.unlink(_path("token"))
    if found and run.run in found.over:
        module.fail_json(msg=refusal(found, run, _now()))


def remove(module: AnsibleModule) -> None:
    """Give the token back, and leave nothing."""
    if _mine(module):
        shutil.rmtree(DIRECTORY)
