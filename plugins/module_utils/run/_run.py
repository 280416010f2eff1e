# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The lock of a run on a managed host, which excludes runs of other control nodes and other users.

A token in /run names the run that changes this host. The first module of a run takes it, and every later module renews it. A killed run cannot remove
its token, so tokens expire, but not while one of the run's modules is running, which flock(2) shows. A run that lost its token to a run that
changes this host must not continue."""

from __future__ import annotations

import contextlib
import copy
import fcntl
import json
import os
import shutil
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _lock

# The environment variable in which the control node passes the run to a module.
VARIABLE = "PLAINKUBE_RUN"
# The environment variable that names the module to run from the payload of module survey.
MODULE = "PLAINKUBE_MODULE"
DIRECTORY = "/run/plainkube"
# Seconds without a running module after which the token of a run may be taken over: of a run that has only inspected the host so far, and of a run
# that changes it. In a rollout, a host may wait that long for its turn; the run keeps the token unless another run wants it.
INSPECTING, CHANGING = 30, 300
# If two runs start within this many seconds, the older one gets the host.
TIE = 5
# The number of predecessors that a token names.
_PREDECESSORS = 40
# Seconds to wait for another module that reads or writes the token, which takes milliseconds.
_PATIENCE = 10
# Seconds to wait for modules that an earlier run has left running.
_ORPHANS = 120


class Run(t.NamedTuple):
    """A run, as described by its control node."""

    run: str
    # For messages.
    who: str
    # Unix time in seconds on the control node.
    since: float
    # Earlier runs of the same user on that control node, which have ended or were killed.
    dead: t.Sequence[str] = ()


class Token(t.NamedTuple):
    run: str
    who: str
    since: float
    # Whether the run may have changed this host.
    changes: bool
    # Seconds since boot, suspended or not.
    renewed: float
    # The runs from which this one took the host, and whether they were the last to change it.
    over: t.Mapping[str, bool]
    # The dead runs of its control node. Their remaining modules must not continue either while this run lasts.
    dead: t.Sequence[str] = ()
    # The run has ended. The token stays because of `over`.
    ended: bool = False

    def lapses_in(self, now: float) -> float:
        """The seconds until others may take it, if its run remains silent."""
        return 0 if self.ended else self.renewed + (CHANGING if self.changes else INSPECTING) - now


def _token(run: Run, now: float, found: Token | None, changes: bool = False, ended: bool = False) -> Token:
    """The token of a run that takes the host, possibly from the run of an existing token."""
    over = {} if found is None else {**found.over}
    if found and found.changes:
        # A run that changed the host before must not continue, even if its successor only inspects.
        over = dict.fromkeys(over, False)
    if found and not found.ended:
        over[found.run] = found.changes
    kept = [(name, changed) for name, changed in over.items() if name != run.run and name not in run.dead]
    return Token(run.run, run.who, run.since, changes, now, dict(kept[-_PREDECESSORS:]), (*run.dead,), ended)


def _dead(found: Token, run: Run, now: float) -> bool:
    """Whether the run of this token will not continue: it has ended, or has been silent for too long."""
    return found.run in run.dead or found.lapses_in(now) <= 0


def _waits(found: Token, run: Run) -> bool:
    """Whether this host was taken from a run that waited for its turn, by a run that has not changed anything yet. Then the first may take it back."""
    return bool(found.over.get(run.run)) and not found.changes and not found.ended


def begun(found: Token | None, run: Run, now: float) -> Token | None:
    """The token of a run that starts on this host. None if the host belongs to another run."""
    if found is None:
        return _token(run, now, None)
    if found.run == run.run:
        return found._replace(renewed=now, ended=False)
    if _waits(found, run):
        return _token(run, now, found)._replace(changes=True)
    tie = not found.changes and now - found.renewed < TIE
    older = (run.since, run.run) < (found.since, found.run)
    if run.run not in {*found.over, *found.dead} and (_dead(found, run, now) or (tie and older)):
        return _token(run, now, found)
    return None


def renewed(found: Token | None, run: Run, now: float) -> tuple[bool, Token | None]:
    """Whether a run may change this host, and its token from now on.

    It may not have a token: after a reboot of the host, or if a task of another host was delegated to this one."""
    if found is None:
        return True, None
    if found.run == run.run:
        return True, found._replace(changes=True, renewed=now, ended=False)
    if run.run in found.dead:
        return False, found
    if run.run in found.over:
        return (True, _token(run, now, found, changes=True)) if _waits(found, run) else (False, found)
    if found.ended:
        return True, found
    return (True, _token(run, now, found, ended=True)) if _dead(found, run, now) else (False, found)


def refusal(found: Token | None, run: Run, now: float) -> str:
    """Why a run must not change this host."""
    if found and run.run in found.over and _dead(found, run, now):
        return f"Another run has taken over this host since: {found.who}. Run this again."
    if found is None or found.ended or found.run in run.dead:
        return "A module of an earlier run is still running on this host: run this again when it has ended."
    left = found.lapses_in(now)
    return (
        f"Another run changes this host: {found.who}, last active {now - found.renewed:.0f} s ago. Run this again after it has ended, or set "
        f"cluster_lock_wait to the seconds to wait; if it is dead, its lock expires {f'in {left:.0f} s' if left > 0 else 'when its module here ends'}."
    )


# --- this host ---


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _path(name: str) -> str:
    return os.path.join(DIRECTORY, name)


def _read() -> Token | None:
    """The token on this host, or None if it is missing or incomplete. Only a crash of the host leaves an incomplete one, and /run does not survive that."""
    try:
        with open(_path("token"), encoding="utf-8") as stream:
            return Token(**json.load(stream))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _write(token: Token) -> None:
    """Replace the token, or remove it if it is no longer needed."""
    if token.ended and not token.over:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_path("token"))
        return
    with open(_path("token.new"), "w", encoding="utf-8") as stream:
        json.dump(token._asdict(), stream)
    os.replace(_path("token.new"), _path("token"))


@contextlib.contextmanager
def _alone(module: AnsibleModule) -> t.Iterator[None]:
    """Exclusive access to the token."""
    try:
        os.makedirs(DIRECTORY, mode=0o700, exist_ok=True)
        with _lock.held(DIRECTORY, _PATIENCE):
            yield
    except (OSError, _lock.BusyError) as error:
        module.fail_json(
            msg=f"The lock of this host, {DIRECTORY}, cannot be used ({error}): check /run, and run this again."
        )


def _lock_work(how: int) -> int:
    """The open file `work`, locked with flock(2) until it is closed. Raises BlockingIOError if another process holds it."""
    handle = os.open(_path("work"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    return handle


def _idle() -> bool:
    """Whether no module is running on this host."""
    try:
        os.close(_lock_work(fcntl.LOCK_EX))
    except BlockingIOError:
        return False
    return True


def _mine() -> Run | None:
    """The run to which this module belongs; None with --check, and in read-only playbooks. Only root takes locks."""
    told = os.environ.get(VARIABLE)
    return Run(**json.loads(told)) if told and os.geteuid() == 0 else None


def begin(module: AnsibleModule) -> None:
    """Take the token for the run of this module. If the host belongs to another run, the module fails. If it may succeed later, its answer names
    that run (`locked`).

    Waits for modules that an earlier run has left running."""
    run = _mine()
    if run is None:
        return
    deadline = _now() + _ORPHANS
    while True:
        with _alone(module):
            found, now = _read(), _now()
            token = begun(found, run, now)
            mine = found is not None and found.run == run.run
            if token and (mine or _idle()):
                _write(token)
                return
        left_behind = found is None or found.ended or found.run in run.dead
        if token is None or not left_behind or now > deadline:
            may_succeed_later = found is not None and run.run not in found.over
            module.fail_json(
                msg=refusal(found, run, now), **({"locked": found.who} if found and may_succeed_later else {})
            )
        time.sleep(0.2)


@contextlib.contextmanager
def held(module: AnsibleModule) -> t.Iterator[None]:
    """Wraps a module's changes: no other run takes over the host meanwhile. The module fails if the host belongs to another run.

    Also for module survey, after the inspection of all hosts and before the first change: if it passes, it has passed on all hosts before anything changes."""
    run = _mine()
    if run is None:
        yield
        return
    with _alone(module):
        found, now = _read(), _now()
        allowed, token = renewed(found, run, now)
        if token and token.run == run.run and token.ended:
            # The other run's token has expired, unless a module is running.
            allowed = _idle()
        if not allowed:
            module.fail_json(msg=refusal(found, run, now))
        if token and token != found:
            _write(token)
        # Only _idle locks it exclusively, and never at the same time.
        work = _lock_work(fcntl.LOCK_SH)
    try:
        yield
    finally:
        # The module has already returned its result, so nothing can be reported here.
        with contextlib.suppress(OSError, _lock.BusyError):
            _renew(run)
        os.close(work)


def renew(module: AnsibleModule) -> None:
    """Keep the token for the following modules."""
    with held(module):
        pass


def _renew(run: Run) -> None:
    if not os.path.isdir(DIRECTORY):
        return
    with _lock.held(DIRECTORY, _PATIENCE):
        found = _read()
        if found and found.run == run.run and not found.ended:
            _write(found._replace(renewed=_now()))


def end(module: AnsibleModule) -> None:
    """Release the token. The module fails if another run has taken over this host and changed it: its settings may differ."""
    run = _mine()
    if run is None:
        return
    with _alone(module):
        found = _read()
        if found and found.run == run.run:
            _write(found._replace(ended=True))
    if found and run.run in found.over and found.changes:
        module.fail_json(msg=refusal(found, run, _now()))


def remove(module: AnsibleModule) -> None:
    """Remove the lock directory, unless another run has this host."""
    run = _mine()
    if run is None:
        return
    with _alone(module):
        found = _read()
        if found is None or found.ended or found.run == run.run:
            shutil.rmtree(DIRECTORY)


class Quiet(AnsibleModule):
    """Does not log its options to the journal. AnsibleModule's own `no_log` is not enough, because the controller's value for the task replaces it."""

    def log(self, msg: str, log_args: t.Any = None) -> None:
        pass


def _has_secrets(spec: t.Mapping[str, t.Any], within: bool = False) -> bool:
    """Whether options within other options are secret.

    AnsibleModule logs such an option as the text of a list or dictionary, in which it does not find a secret with line breaks or quotes."""
    return any(
        (within and option.get("no_log")) or _has_secrets(option.get("options", {}), within=True)
        for option in spec.values()
    )


def main(
    spec: dict[str, t.Any], run: t.Callable[[AnsibleModule], dict[str, t.Any]], required_if: t.Sequence[tuple] = ()
) -> None:
    """The main function of a module that changes the host: with these options, returns what `run` returns."""
    kind = Quiet if _has_secrets(spec) else AnsibleModule
    # Ansible modifies the default of a dict with options.
    module = kind(argument_spec=copy.deepcopy(spec), required_if=required_if, supports_check_mode=True)
    with held(module):
        module.exit_json(**run(module))
