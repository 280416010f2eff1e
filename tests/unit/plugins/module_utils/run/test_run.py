# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The lock of a host. Modules of other runs are real processes."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import types

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _run

ROOT = pathlib.Path(_run.__file__).parents[6]


def run(name, since=0.0, dead=()):
    return _run.Run(name, f"site.yml of {name}", since, dead)


A, B = run("A"), run("B", 1.0)
NOW = 1000.0


def token(of=A, changes=True, ago=10.0, over=(), **more):
    """over: the runs that changed the host before."""
    over = over if isinstance(over, dict) else dict.fromkeys(over, True)
    return _run.Token(of.run, of.who, of.since, changes, NOW - ago, over, **more)


# --- decisions -----------------------------------------------------------------------------------------------------


LAPSED = _run.CHANGING + 1


@pytest.mark.parametrize(
    ("found", "begins", "wins"),
    [
        (token(), B, False),
        (token(ago=_run.CHANGING - 1), B, False),
        (token(ago=LAPSED), B, True),
        (token(changes=False, ago=_run.INSPECTING - 1), B, False),
        (token(changes=False, ago=_run.INSPECTING + 1), B, True),
        (token(ended=True, ago=0), B, True),
        # Its control node knows that it is dead.
        (token(ago=0), run("B", 1.0, dead=("A",)), True),
        # Of two that start at the same time, the older one continues.
        (token(run("younger", 2.0), changes=False, ago=0), B, True),
        (token(run("younger", 2.0), changes=False, ago=_run.TIE + 1), B, False),
        (token(run("younger", 2.0), changes=True, ago=0), B, False),
        (token(run("C", 1.0), changes=False, ago=0), B, True),
        (token(run("A", 1.0), changes=False, ago=0), B, False),
        # It took over from this run.
        (token(ended=True, over=("B",)), B, False),
        (token(run("younger", 2.0), changes=False, ago=0, over={"B": False}), B, False),
        # This is what a killed run has left behind.
        (token(run("younger", 2.0), changes=False, ago=0, dead=("B",)), B, False),
        (token(ago=LAPSED, dead=("B",)), B, False),
    ],
)
def test_who_may_begin(found, begins, wins):
    taken = _run.begun(found, begins, NOW)
    assert (taken is not None) == wins
    if wins:
        assert taken[:5] == ("B", B.who, 1.0, False, NOW)
        assert not taken.ended
        # What it was taken from must not go on, if it still could.
        assert (found.run in taken.over) == (not found.ended and found.run not in begins.dead)


def test_a_free_host():
    assert _run.begun(None, B, NOW) == token(B, changes=False, ago=0)


def test_a_run_begins_again():
    assert _run.begun(token(B, over=("A",), ended=True), B, NOW) == token(B, ago=0, over=("A",))


def test_of_two_runs_that_begin_at_once_one_wins_on_every_host():
    """Whichever run reaches which host first."""
    for first, second in [(A, B), (B, A)]:
        found = _run.begun(None, first, NOW)
        found = _run.begun(found, second, NOW) or found
        assert found.run == "A"
        assert _run.renewed(found, B, NOW)[0] is False
        assert _run.renewed(found, A, NOW)[0] is True


def test_a_run_that_was_taken_over_twice_does_not_go_on():
    """Even if the last one has not changed anything: the one before it has."""
    found = _run.begun(_run.begun(token(B, ago=LAPSED), A, NOW)._replace(changes=True, renewed=0.0), run("C", 2.0), NOW)
    assert (found.run, found.changes) == ("C", False)
    assert _run.renewed(found, B, NOW) == (False, found)
    assert _run.begun(found, B, NOW) is None


def test_a_host_that_waits_for_its_turn_may_be_taken_back_when_a_rotation_goes_on():
    found = _run.begun(token(B, ago=LAPSED), A, NOW)
    assert _run.begun(found, B, NOW) == token(B, ago=0, over={"A": False})


def test_predecessors_are_bounded():
    found = token(over=[str(number) for number in range(_run._PREDECESSORS)], ago=LAPSED)
    assert [*_run.begun(found, B, NOW).over] == [*[*found.over][1:], "A"]


@pytest.mark.parametrize(
    ("found", "allowed", "left"),
    [
        (None, True, None),
        (token(B), True, token(B, ago=0)),
        # It expired, but no other run took it.
        (token(B, ago=LAPSED), True, token(B, ago=0)),
        (token(B, ended=True, over=("A",)), True, token(B, ago=0, over=("A",))),
        (token(), False, token()),
        (token(changes=False), False, token(changes=False)),
        # It belongs to no run, and a task that was delegated to this host does not give it to this run. But its own run must not continue in parallel.
        (token(ago=LAPSED), True, token(B, changes=False, ago=0, over=("A",), ended=True)),
        (token(ended=True, over=("X",)), True, token(ended=True, over=("X",))),
        # It took over from this run, and has ended since.
        (token(ended=True, over=("B",)), False, token(ended=True, over=("B",))),
        (token(ago=LAPSED, over=("B",)), False, token(ago=LAPSED, over=("B",))),
        # It took over from this run, which waited for its turn here, and has only looked so far.
        (token(changes=False, over=("B",)), True, token(B, ago=0, over={"A": False})),
        # It was older, and this run had only looked itself.
        (token(changes=False, over={"B": False}), False, token(changes=False, over={"B": False})),
        (token(dead=("B",)), False, token(dead=("B",))),
    ],
)
def test_who_may_go_on(found, allowed, left):
    assert _run.renewed(found, B, NOW) == (allowed, left)


def test_refusals():
    assert _run.refusal(token(), B, NOW) == (
        "Another run changes this host: site.yml of A, last active 10 s ago. Run this again after it has ended, or set "
        "cluster_lock_wait to the seconds to wait; if it is dead, its lock expires in 290 s."
    )
    assert _run.refusal(token(ago=500), B, NOW).endswith("if it is dead, its lock expires when its module here ends.")
    taken = "Another run has taken over this host since: site.yml of A. Run this again."
    for found in (token(over=("B",), ended=True), token(over=("B",), ago=500)):
        assert _run.refusal(found, B, NOW) == taken
    assert _run.refusal(token(over=("B",)), B, NOW) == _run.refusal(token(), B, NOW)
    for found in (None, token(ended=True, over=("X",)), token(run("X"))):
        assert _run.refusal(found, run("B", dead=("X",)), NOW).startswith(
            "A module of an earlier run is still running on this host:"
        )


# --- a host --------------------------------------------------------------------------------------------------------


class Refused(Exception):
    pass


class Module:
    check_mode = False

    def fail_json(self, msg, locked=None):
        raise Refused(msg, locked)


@pytest.fixture
def act(monkeypatch, tmp_path):
    """A function that does something as a module of a run."""
    monkeypatch.setattr(_run, "DIRECTORY", str(tmp_path / "run"))
    monkeypatch.setattr(_run.os, "geteuid", lambda: 0)

    def do(what, of, **attributes):
        if of:
            monkeypatch.setenv(_run.VARIABLE, json.dumps(of._asdict()))
        else:
            monkeypatch.delenv(_run.VARIABLE, raising=False)
        module = Module()
        module.__dict__.update(attributes)
        return what(module)

    return do


def change(module):
    with _run.held(module):
        return "changed"


@pytest.fixture
def at_work(act, tmp_path):
    """A function that begins a module of a run, which is at work until its standard input is closed or it is killed."""
    script = f"""
import os, sys
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _run
_run.DIRECTORY = {str(tmp_path / "run")!r}
_run.os.geteuid = lambda: 0
class Module:
    check_mode = False
with _run.held(Module()):
    print("at work", flush=True)
    sys.stdin.read()
"""
    with contextlib.ExitStack() as stack:

        def begin(of):
            environment = {**os.environ, "PYTHONPATH": str(ROOT), _run.VARIABLE: json.dumps(of._asdict())}
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", script], env=environment, **pipes))
            stack.callback(process.stdin.close)
            assert process.stdout.readline() == "at work\n"
            return process

        yield begin


def clock(monkeypatch, seconds):
    monkeypatch.setattr(_run, "_now", lambda: seconds)


def test_a_whole_run(act, tmp_path):
    act(_run.begin, A)
    assert act(change, A) == "changed"
    with pytest.raises(Refused) as error:
        act(_run.begin, B)
    assert error.value.args[0].startswith("Another run changes this host: site.yml of A, last active 0 s ago.")
    assert error.value.args[1] == A.who
    with pytest.raises(Refused) as error:
        act(change, B)
    assert error.value.args[1] is None
    act(_run.end, A)
    assert sorted(os.listdir(tmp_path / "run")) == ["work"]
    act(_run.begin, B)


def test_only_root_reads_it(act, tmp_path):
    act(_run.begin, A)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "run").iterdir()}
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    assert modes["work"] == 0o600


def test_a_run_that_was_taken_over_changes_nothing_any_more(act, monkeypatch):
    clock(monkeypatch, 0)
    act(_run.begin, A)
    act(change, A)
    clock(monkeypatch, _run.CHANGING + 1)
    act(_run.begin, B)
    act(change, B)
    for step in (change, change, _run.begin, _run.end):
        with pytest.raises(Refused):
            act(step, A)
    act(_run.end, B)
    with pytest.raises(Refused) as error:
        act(change, A)
    assert error.value.args[0] == "Another run has taken over this host since: site.yml of B. Run this again."
    # Another run of the same user is another run.
    act(_run.begin, run("A2", dead=("A", "B")))


def test_a_lock_does_not_lapse_while_a_module_is_at_work(act, at_work, monkeypatch):
    act(_run.begin, A)
    working = at_work(A)
    now = _run._now()
    clock(monkeypatch, now + 2 * _run.CHANGING)
    with pytest.raises(Refused):
        act(_run.begin, B)
    working.kill()
    working.wait()
    act(_run.begin, B)


NEXT = run("next", 2.0, dead=("A",))


def test_what_a_killed_run_has_left_at_work_ends_first(act, at_work, monkeypatch):
    """The control node knows that the run is dead, but not what that one's modules still do."""
    act(_run.begin, A)
    working = at_work(A)
    monkeypatch.setattr(_run.time, "sleep", lambda dummy: working.stdin.close() or working.wait())
    act(_run.begin, NEXT)
    assert working.returncode == 0
    with pytest.raises(Refused):
        act(change, A)
    with pytest.raises(Refused):
        act(_run.begin, A)
    act(_run.end, NEXT)
    assert _run._read() is None


def test_what_is_at_work_without_a_token_ends_first(act, at_work, monkeypatch):
    """Of a run that has another host's task delegated to this one."""
    working = at_work(A)
    monkeypatch.setattr(_run.time, "sleep", lambda dummy: working.stdin.close() or working.wait())
    act(_run.begin, B)
    assert working.returncode == 0


def test_a_delegated_task_does_not_pass_what_is_at_work(act, at_work, monkeypatch):
    act(_run.begin, A)
    at_work(A)
    now = _run._now()
    clock(monkeypatch, now + 2 * _run.CHANGING)
    with pytest.raises(Refused):
        act(change, B)


@pytest.mark.parametrize("has_token", [True, False])
def test_it_does_not_wait_for_ever(act, at_work, monkeypatch, has_token):
    if has_token:
        act(_run.begin, A)
    at_work(A)
    monkeypatch.setattr(_run, "_ORPHANS", 0)
    with pytest.raises(Refused):
        act(_run.begin, NEXT)


def test_a_host_that_waits_for_its_turn_is_not_lost_to_a_run_that_is_refused_elsewhere(act, monkeypatch):
    clock(monkeypatch, 0)
    act(_run.begin, A)
    act(change, A)
    clock(monkeypatch, LAPSED)
    act(_run.begin, B)
    assert act(change, A) == "changed"
    with pytest.raises(Refused):
        act(change, B)
    with pytest.raises(Refused) as error:
        act(_run.begin, B)
    # Waiting would be of no use.
    assert error.value.args[1] is None
    act(_run.end, A)


def test_modules_of_one_run_are_at_work_side_by_side(act, at_work):
    """Several hosts delegate tasks to one."""
    act(_run.begin, A)
    working = at_work(A)
    assert act(change, A) == "changed"
    assert working.poll() is None


def test_a_task_delegated_to_a_host_that_is_not_in_the_run_leaves_no_token(act, tmp_path):
    assert act(change, A) == "changed"
    assert sorted(os.listdir(tmp_path / "run")) == ["work"]


def test_what_belongs_to_no_run_asks_for_no_lock(act, tmp_path):
    act(_run.begin, None)
    assert act(change, None) == "changed"
    act(_run.end, None)
    act(_run.remove, None)
    assert not (tmp_path / "run").exists()


def test_a_user_who_is_not_root_has_no_lock(act, tmp_path, monkeypatch):
    """Role preflight refuses that one."""
    monkeypatch.setattr(_run.os, "geteuid", lambda: 1000)
    act(_run.begin, A)
    assert not (tmp_path / "run").exists()


def test_removal_leaves_nothing(act, tmp_path):
    act(_run.begin, A)

    def removal(module):
        with _run.held(module):
            _run.remove(module)

    act(removal, A)
    assert not (tmp_path / "run").exists()


def test_a_module_that_fails_has_renewed_the_token(act, monkeypatch):
    clock(monkeypatch, 0)
    act(_run.begin, A)

    def fail(module):
        with _run.held(module):
            clock(monkeypatch, 50)
            module.fail_json("problem")

    with pytest.raises(Refused):
        act(fail, A)
    assert _run._read().renewed == 50


def test_removal_leaves_another_runs_token(act, tmp_path):
    act(_run.begin, A)
    act(_run.remove, B)
    assert _run._read().run == "A"


def test_removal_after_a_reboot(act, tmp_path):
    act(_run.remove, A)
    assert not (tmp_path / "run").exists()


def test_removal_leaves_nothing_of_earlier_runs(act, monkeypatch, tmp_path):
    clock(monkeypatch, 0)
    act(_run.begin, A)
    act(change, A)
    clock(monkeypatch, LAPSED)
    act(_run.begin, B)
    act(change, B)
    act(_run.remove, B)
    assert not (tmp_path / "run").exists()


def test_a_directory_that_cannot_be_used(act, tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(Refused) as error:
        act(_run.begin, A)
    assert error.value.args[0].startswith(f"The lock of this host, {tmp_path}/run, cannot be used ([Errno 17]")


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"run": 1}'])
def test_a_token_that_cannot_be_read_is_none(act, tmp_path, text):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/token").write_text(text)
    act(_run.begin, A)
    assert act(change, A) == "changed"


# --- the modules ---------------------------------------------------------------------------------------------------


def test_the_main_function_of_modules_holds_the_lock(act, run_module):
    act(_run.begin, A)

    def while_it_runs(module):
        return {"changed": False, "asked": module.params["name"], "idle": _run._idle()}

    module = types.SimpleNamespace(main=lambda: _run.main({"name": {"type": "str"}}, while_it_runs))
    assert run_module(module, name="x") == {"changed": False, "asked": "x", "idle": False}
    assert _run._idle()


@pytest.mark.parametrize("within", ["list", "dict", "no other"])
def test_no_secret_of_a_module_gets_into_the_journal(run_module, monkeypatch, within):
    """The text of a list has a key with escapes, in which its lines are not found."""
    key = "-----BEGIN EC PRIVATE KEY-----\nGeheim\n-----END EC PRIVATE KEY-----\n"
    options = {"name": {"type": "str"}, "content": {"type": "str", "no_log": True}}
    given = {"name": "x", "content": key}
    logged = []
    monkeypatch.setattr(_run.AnsibleModule, "log", lambda self, msg, log_args=None: logged.append((msg, log_args)))
    spec = {"key": {"type": within, "no_log": False, "options": options}}
    if within == "list":
        spec["key"]["elements"] = "dict"
        given = [given]
    spec, given = (options, given) if within == "no other" else (spec, {"key": given})
    module = types.SimpleNamespace(main=lambda: _run.main(spec, lambda module: {"changed": False}), __name__="x")
    assert run_module(module, **given) == {"changed": False}
    assert "Geheim" not in str(logged)
    # Others are logged, as an administrator expects.
    assert bool(logged) == (within == "no other")


def test_every_module_that_changes_a_host_holds_its_lock():
    """Exceptions are modules that only inspect, or that run on the control node."""
    looks = {"encryption_usage", "kube_checkstatus", "host_facts"}
    here = {"authority_rotation", "certificate_sign", "certificate_summary", "plan_summary", "role_variables"}
    here |= {"status_summary", "kubeconfig", "artifact_build"}
    plugins = pathlib.Path(_run.__file__).parents[2]
    held = set()
    for path in (plugins / "module_utils/modules").glob("*.py"):
        if "_run.held(module)" in path.read_text() or "_run.main(SPEC, run" in path.read_text():
            held.add(path.stem)
    assert held == {path.stem for path in (plugins / "modules").glob("*.py")} - looks - here - {"__init__"}
