# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import grp
import json
import os
import pwd

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.plainkube.cluster.plugins.module_utils.health import _probe
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import component
from ansible_collections.plainkube.cluster.plugins.module_utils.services import _stamp, _unit_files

OWNER = pwd.getpwuid(os.getuid()).pw_name
GROUP = grp.getgrgid(os.getgid()).gr_name


class Systemd:
    """The parts of systemd that the module uses: a start reads the unit's stamp into the process's environment."""

    def __init__(self, units):
        self.units = units
        self.calls = []
        self.active = False
        self.enabled = False
        self.stamp = ""
        self.fails = False
        self.stale = False

    def run(self, command):
        if command[0] != "systemctl":
            return 0, "the journal says why\n", ""
        self.calls.append(command[1])
        if command[1] == "restart":
            self.active = not self.fails
            self.stamp = str(_stamp.split((self.units / "x.service").read_text())[2])
        if command[1] == "enable":
            self.enabled = True
        if command[1] == "daemon-reload":
            self.stale = False
        state = ("active", "running", 42) if self.active else ("inactive", "dead", 0)
        show = "ActiveState={}\nSubState={}\nMainPID={}\n".format(*state)
        show += f"NeedDaemonReload={'yes' if self.stale else 'no'}\n"
        return 0, show + f"UnitFileState={'enabled' if self.enabled else ''}\n", ""

    @property
    def changes(self):
        return [call for call in self.calls if call != "show"]


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    units = tmp_path / "units"
    units.mkdir()
    fake = Systemd(units)
    monkeypatch.setattr(component, "UNITS", str(units))
    monkeypatch.setattr(_unit_files, "DIRECTORIES", (str(units), str(tmp_path / "vendor")))
    monkeypatch.setattr(AnsibleModule, "run_command", lambda self, command, **kwargs: fake.run(command))
    monkeypatch.setattr(_stamp, "of_process", lambda pid: fake.stamp if pid else "")
    return fake


@pytest.fixture
def apply(run_module, tmp_path, systemd):
    """Run the module for a component with one configuration file; return the result and the arguments of systemctl."""
    # The unit file belongs to root; the tests may run as any user.
    original = component._files.write

    def run(content="a: 1\n", check=False, replaced=(), **more):
        config = {"path": str(tmp_path / "x.yaml"), "content": content, "owner": OWNER, "group": GROUP}
        arguments = {
            "name": "x",
            "unit": "[Service]\nExecStart=/bin/x\n",
            "files": [config],
            "binary": "/bin/true",
            "wait": 0,
        }
        systemd.calls.clear()
        options = {"components": [{**arguments, **more}], "replaced": list(replaced)}
        result = run_module(component, **options, _ansible_check_mode=check)
        return result, systemd.changes

    component._files.write = lambda module, wanted: original(module, {**wanted, "owner": OWNER, "group": GROUP})
    yield run
    component._files.write = original


START = ["enable", "daemon-reload", "restart"]


def starts(result):
    return [action for action in result["actions"] if action[0] in ("start", "restart")]


def test_check_do_check_again_do_again(apply, systemd, tmp_path):
    planned, calls = apply(check=True)
    assert planned["actions"] == [
        ("write", f"{systemd.units}/x.service", ""),
        ("write", f"{tmp_path}/x.yaml", ""),
        ("start", "x", "it is not installed yet"),
    ]
    assert (planned["changed"], planned["components"], calls) == (True, {"x": {"running": False, "ready": False}}, [])
    assert not (tmp_path / "x.yaml").exists()

    done, calls = apply()
    assert calls == START
    assert {key: done[key] for key in ("changed", "actions", "diff")} == {
        key: planned[key] for key in ("changed", "actions", "diff")
    }
    assert (tmp_path / "x.yaml").read_text() == "a: 1\n"

    for check in (True, False):
        result, calls = apply(check=check)
        assert (result["changed"], result["actions"], result["diff"], calls) == (False, [], [], [])
        assert result["components"] == {"x": {"running": True, **({"ready": True} if check else {})}}


def test_changed_content_is_written_and_restarts(apply, tmp_path):
    apply()
    result, calls = apply(content="a: 2\n")
    assert starts(result) == [("restart", "x", f"{tmp_path}/x.yaml changes")]
    assert calls == ["daemon-reload", "restart"]
    assert (tmp_path / "x.yaml").read_text() == "a: 2\n"


def test_a_changed_mode_restarts_nothing(apply, tmp_path):
    apply()
    (tmp_path / "x.yaml").chmod(0o666)
    result, calls = apply()
    assert (result["actions"], calls) == ([("write", f"{tmp_path}/x.yaml", "")], [])
    assert (tmp_path / "x.yaml").stat().st_mode & 0o777 == 0o644


def test_a_stopped_service_is_started(apply, systemd):
    apply()
    systemd.active = False
    result, calls = apply()
    assert (result["actions"], calls) == ([("start", "x", "it is not running (inactive/dead)")], ["restart"])
    assert result["components"] == {"x": {"running": False}}


def test_a_service_that_would_not_start_at_boot_is_enabled(apply, systemd):
    apply()
    systemd.enabled = False
    planned, calls = apply(check=True)
    assert (planned["changed"], planned["actions"], calls) == (
        True,
        [("enable", "x", "it would not start at boot")],
        [],
    )
    done, calls = apply()
    assert (done["actions"], calls) == (planned["actions"], ["enable", "daemon-reload"])
    assert apply()[0]["actions"] == []


def test_a_unit_that_systemd_has_not_read_is_pending(apply, systemd):
    apply()
    systemd.stale = True
    planned, dummy = apply(check=True)
    assert (planned["changed"], planned["actions"]) == (
        False,
        [("wait", "x", "systemd has not loaded the current unit")],
    )
    result, calls = apply()
    assert (result["changed"], result["actions"], calls) == (False, [], ["daemon-reload"])


def test_a_component_that_is_not_ready_is_pending(apply, monkeypatch):
    url = "http://127.0.0.1:1/readyz"
    answers = [_probe.Answer(503, "starting", url)]
    monkeypatch.setattr(_probe, "get", lambda *dummy: answers[-1])
    apply(ready_url=url)
    planned, dummy = apply(check=True, ready_url=url, wait=5)
    assert (planned["changed"], planned["actions"]) == (
        False,
        [("wait", "x", f"it is not ready: {url} returns 503: starting")],
    )
    # Without a wait, it may become ready later.
    assert apply(check=True, ready_url=url, wait=0)[0]["actions"] == []
    answers.append(_probe.Answer(200, "ok"))
    assert apply(check=True, ready_url=url, wait=5)[0]["actions"] == []


@pytest.mark.parametrize("content", ["a: 1\n", "a: 2\n"])
def test_whether_it_is_ready_is_known_before_it_changes(apply, monkeypatch, systemd, content):
    """Also of a process that must be restarted: the rollout order depends on it."""
    url = "http://127.0.0.1:1/readyz"
    answers = [_probe.Answer(200, "ok")]
    monkeypatch.setattr(_probe, "get", lambda *dummy: answers[-1])

    def states(wait=5):
        return apply(content=content, check=True, ready_url=url, wait=wait)[0]["components"]["x"]

    apply(ready_url=url)
    assert states() == {"running": True, "ready": True}
    answers.append(_probe.Answer(503, "starting", url))
    assert states() == {"running": True, "ready": False}
    assert states(wait=0) == {"running": True, "ready": False}
    systemd.active = False
    assert states() == {"running": False, "ready": False}


def test_a_deleted_user_is_recreated(apply, monkeypatch):
    apply()
    made = []
    monkeypatch.setattr(component, "user_exists", lambda name: name in made)
    monkeypatch.setattr(component, "SYSUSERS", str(component.UNITS))
    monkeypatch.setattr(component, "ensure_user", lambda module, user: made.append(user))
    apply(user="someone")
    made.clear()
    planned, dummy = apply(check=True, user="someone")
    assert planned["actions"] == [("apply", "user someone", "it does not exist")]
    assert [entry["after_header"] for entry in planned["diff"]] == ["user someone"]
    done = apply(user="someone")[0]
    assert (done["actions"], done["diff"]) == (planned["actions"], planned["diff"])
    assert not apply(user="someone")[0]["changed"]


def test_a_run_that_was_killed_before_the_restart_is_completed(apply, systemd):
    apply()
    before = systemd.stamp
    apply(content="a: 2\n")
    systemd.stamp = before
    result, calls = apply(content="a: 2\n")
    why = "the process was started from an older unit, configuration or binary"
    assert (result["actions"], calls) == ([("restart", "x", why)], ["restart"])


def test_a_drop_in_of_the_administrator_is_an_input_and_stays(apply, systemd):
    apply()
    directory = systemd.units / "x.service.d"
    directory.mkdir()
    (directory / "own.conf").write_text("[Service]\nNice=5\n")
    result, calls = apply()
    assert [action[:2] for action in starts(result)] == [("restart", "x")]
    assert "restart" in calls
    assert (directory / "own.conf").read_text() == "[Service]\nNice=5\n"
    assert apply()[0]["changed"] is False


def test_a_drop_in_of_a_package_is_an_input_too(apply, systemd, tmp_path):
    apply()
    directory = tmp_path / "vendor/service.d"
    directory.mkdir(parents=True)
    (directory / "10-vendor.conf").write_text("[Service]\nTimeoutStopFailureMode=abort\n")
    assert apply()[1] == ["daemon-reload", "restart"]
    assert apply()[0]["changed"] is False


@pytest.mark.parametrize(("active", "reads"), [(True, ["reload-or-restart"]), (False, [])])
def test_networkd_reads_a_file_before_the_service_that_needs_it_starts(
    apply, systemd, monkeypatch, tmp_path, active, reads
):
    """Also if an earlier run has written the file, and has died before it told networkd."""
    monkeypatch.setattr(component, "_READERS", {str(tmp_path): "systemd-networkd.service"})
    states = {"x.service": {}, "systemd-networkd.service": {"ActiveState": "active" if active else "inactive"}}
    show = component._systemd.show
    monkeypatch.setattr(component._systemd, "show", lambda module, unit: states[unit] or show(module, unit))
    assert apply()[1] == ["enable", "daemon-reload", *reads, "restart"]
    systemd.stamp = "before"
    assert apply()[1] == [*reads, "restart"]
    assert apply()[1] == []


def test_a_secret_is_not_in_the_diff(apply, tmp_path):
    secret = {"path": str(tmp_path / "key"), "content": "very secret", "secret": True, "owner": OWNER, "group": GROUP}
    result, dummy = apply(files=[secret])
    assert "very secret" not in str(result["diff"])


def test_a_component_that_does_not_become_ready_fails_with_its_journal(apply, systemd):
    systemd.fails = True
    result, dummy = apply(wait=1)
    assert result["failed"]
    assert "x is not ready after 1 s: its state is inactive/dead" in result["msg"]
    assert "the journal says why" in result["msg"]


def test_ready_means_that_the_url_responds(apply, monkeypatch):
    answers = iter([_probe.Answer(503, "not yet"), _probe.Answer(200, "ok")])
    monkeypatch.setattr(_probe, "get", lambda url, ca: next(answers))
    result, dummy = apply(wait=5, ready_url="http://127.0.0.1:1/readyz")
    assert result["changed"]
    assert next(answers, None) is None


def test_the_old_process_is_not_mistaken_for_the_new_one(apply, systemd, tmp_path, monkeypatch):
    """systemd may not have started the restart yet when it is queried."""
    apply()
    old = systemd.stamp
    stamps = iter([old, old, old])
    monkeypatch.setattr(_stamp, "of_process", lambda pid: next(stamps, None) or systemd.stamp)
    asked = []
    monkeypatch.setattr(_probe, "get", lambda url, ca: asked.append(url) or _probe.Answer(200, "ok"))
    result, dummy = apply(content="a: 2\n", wait=5, ready_url="http://127.0.0.1:1/readyz")
    assert starts(result) == [("restart", "x", f"{tmp_path}/x.yaml changes")]
    assert len(asked) == 1
    assert next(stamps, None) is None


def test_several_are_written_and_announced_together_and_started_in_order(run_module, systemd, apply):
    specs = [{"name": name, "unit": "[Service]\n", "binary": "/bin/true", "wait": 0} for name in ("x", "y")]
    commands = []
    original = systemd.run
    systemd.run = lambda command: commands.append(command[1:]) or original(command)
    result = run_module(component, components=specs)
    assert [command for command in commands if command[0] != "show"] == [
        ["enable", "--quiet", "--no-reload", "x.service", "y.service"],
        ["daemon-reload"],
        ["restart", "--no-block", "x.service"],
        ["restart", "--no-block", "y.service"],
    ]
    assert list(result["components"]) == ["x", "y"]
    assert [action[:2] for action in starts(result)] == [("start", "x"), ("start", "y")]


def test_a_binary_that_this_run_replaces_is_in_the_plan(apply, tmp_path):
    binary = tmp_path / "x"
    binary.write_text("old")
    apply(binary=str(binary))
    assert not apply(binary=str(binary), check=True)[0]["changed"]
    planned, calls = apply(binary=str(binary), check=True, replaced=[str(binary)])
    assert (starts(planned), calls) == ([("restart", "x", f"{binary} changes")], [])
    binary.write_text("new")
    done, calls = apply(binary=str(binary), replaced=[str(binary)])
    assert done["actions"] == planned["actions"]
    assert [entry["after_header"] for entry in done["diff"]] == [entry["after_header"] for entry in planned["diff"]]
    again, calls = apply(binary=str(binary), replaced=[str(binary)])
    assert (again["changed"], calls) == (False, [])


def test_absent_check_do_check_again_do_again(apply, systemd, tmp_path):
    apply()
    planned, calls = apply(check=True, state="absent")
    assert (planned["actions"], calls) == ([("remove", "x with its unit and files", "")], [])
    assert (tmp_path / "x.yaml").exists()

    done, calls = apply(state="absent")
    assert (done["diff"], done["actions"]) == (planned["diff"], planned["actions"])
    assert [(one["before_header"], one["after_header"]) for one in done["diff"]] == [
        (str(tmp_path / "x.yaml"), "/dev/null"),
        (str(systemd.units / "x.service"), "/dev/null"),
    ]
    assert calls == ["disable", "daemon-reload"]
    assert [(tmp_path / "x.yaml").exists(), (systemd.units / "x.service").exists()] == [False, False]

    for check in (True, False):
        result, calls = apply(check=check, state="absent")
        assert (result["changed"], result["actions"], result["diff"], calls) == (False, [], [], [])


def test_a_foreign_unit_stays(apply, systemd, tmp_path):
    (systemd.units / "x.service").write_text("[Service]\nExecStart=/usr/bin/x\n")
    (tmp_path / "x.yaml").write_text("theirs")
    result, calls = apply(state="absent")
    assert (result["changed"], calls) == (False, [])
    assert (tmp_path / "x.yaml").read_text() == "theirs"


def test_a_removal_that_was_killed_is_resumed(apply, systemd, tmp_path):
    """The unit is removed last."""
    apply()
    (tmp_path / "x.yaml").unlink()
    result, dummy = apply(state="absent")
    assert result["actions"] == [("remove", "x with its unit and files", "")]
    assert not (systemd.units / "x.service").exists()


def test_the_user_is_removed_and_a_secret_is_not_shown(apply, systemd, tmp_path, monkeypatch):
    made = ["someone"]
    monkeypatch.setattr(component, "user_exists", lambda name: name in made)
    monkeypatch.setattr(component, "SYSUSERS", str(systemd.units))
    secret = {"path": str(tmp_path / "key"), "content": "very secret", "secret": True, "owner": OWNER, "group": GROUP}
    apply(user="someone", files=[secret])
    commands = []
    original = systemd.run
    systemd.run = lambda command: commands.append(command) or original(command)
    result, dummy = apply(user="someone", files=[secret], state="absent")
    assert ["userdel", "someone"] in commands
    assert result["diff"][0]["before_header"] == "user someone"
    assert "very secret" not in str(result["diff"])
    assert not (systemd.units / "plainkube-someone.conf").exists()


def test_no_components_are_nothing_to_do(run_module, systemd):
    result = run_module(component, components=[])
    assert (result["changed"], result["actions"], result["components"], systemd.changes) == (False, [], {}, [])


# The operator's flags


def test_a_program_is_asked_for_the_operators_flags_before_anything_is_written(apply, systemd, tmp_path, monkeypatch):
    asked = []

    def run(self, command, **kwargs):
        if command[0] == "/bin/true":
            asked.append(command[1:])
            return 1, "", "Usage:\n\nError: unknown flag: --no-such\n"
        return systemd.run(command)

    monkeypatch.setattr(AnsibleModule, "run_command", run)
    for check in (True, False):
        result, calls = apply(flags={"no-such": [1, 2], "v": True}, check=check)
        assert result["failed"]
        assert result["msg"] == "x refuses its flags (flags): unknown flag: --no-such; nothing was changed."
        assert (calls, (tmp_path / "x.yaml").exists()) == ([], False)
    assert asked == [["--no-such=1", "--no-such=2", "--v=true", "--help"]] * 2


@pytest.fixture
def no_program(systemd, monkeypatch):
    """A function; after its call, only systemctl may run."""

    def run(self, command, **kwargs):
        assert command[0] == "systemctl"
        return systemd.run(command)

    return lambda: monkeypatch.setattr(AnsibleModule, "run_command", run)


def test_a_program_that_runs_with_its_flags_is_not_asked_again(apply, no_program):
    apply(flags={"v": 4})
    no_program()
    assert not apply(flags={"v": 4})[0]["changed"]


@pytest.mark.parametrize("more", [{"binary": "/nowhere"}, {"replaced": ["/bin/true"]}])
def test_a_plan_does_not_ask_a_program_that_is_not_installed_yet(apply, no_program, more):
    no_program()
    assert apply(flags={"v": 4}, check=True, **more)[0]["changed"]


# Secret and stale files


def test_a_secret_is_written_and_in_no_result(apply, tmp_path):
    secret = {"path": str(tmp_path / "s.conf"), "secret_content": "password", "owner": OWNER, "group": GROUP}
    for check in (True, False):
        result, dummy = apply(files=[{**secret, "mode": "0600"}], check=check)
        assert result["changed"]
        assert "password" not in str({key: value for key, value in result.items() if key != "invocation"})
        assert "password" not in str(result.get("invocation"))
        # Not only because Ansible masks secrets.
        assert [entry["after"] for entry in result["diff"] if entry["after_header"].endswith("s.conf")] == [
            f"# {OWNER}:{GROUP} 0600\n# secret content\n"
        ]
    assert (tmp_path / "s.conf").read_text() == "password"
    assert not apply(files=[{**secret, "mode": "0600"}])[0]["changed"]
    result, dummy = apply(files=[{**secret, "mode": "0600", "secret_content": "pass phrase"}])
    assert starts(result) == [("restart", "x", f"{tmp_path}/s.conf changes")]
    assert "pass phrase" not in str(result)


def test_a_file_that_no_longer_belongs_to_the_component_is_removed(apply, tmp_path):
    pattern = [str(tmp_path / "hook-*.conf")]
    old, kept, foreign = (tmp_path / name for name in ("hook-a.conf", "hook-b.conf", "other.conf"))
    for path in (old, kept, foreign):
        path.write_text("text\n")
    file = {"path": str(kept), "content": "text\n", "owner": OWNER, "group": GROUP, "mode": "0644"}
    planned, dummy = apply(files=[file], stale=pattern, check=True)
    gone = [entry["before_header"] for entry in planned["diff"] if entry["after_header"] == "/dev/null"]
    assert (gone, old.exists()) == ([str(old)], True)
    assert ("remove", str(old), "") in planned["actions"]
    done, dummy = apply(files=[file], stale=pattern)
    assert (done["changed"], done["actions"], done["diff"]) == (True, planned["actions"], planned["diff"])
    assert (old.exists(), kept.exists(), foreign.exists()) == (False, True, True)
    assert not apply(files=[file], stale=pattern)[0]["changed"]


# --- variables that only root may read ---

PROXY = "http://user:Geheim@proxy:3128"


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """The path of the component's variables."""
    monkeypatch.setattr(component._environment, "DIRECTORY", str(tmp_path))
    return tmp_path / "plainkube-x.env"


def test_variables_are_written_and_restart_and_are_seen_nowhere(apply, environment, systemd, capfd):
    apply()
    for value in (PROXY, PROXY.replace("proxy", "other")):
        planned, calls = apply(check=True, environment={"HTTP_PROXY": value})
        assert (starts(planned), calls) == ([("restart", "x", f"{environment} changes")], [])
        done, calls = apply(environment={"HTTP_PROXY": value})
        assert calls == ["daemon-reload", "restart"]
        assert (done["actions"], done["diff"]) == (planned["actions"], planned["diff"])
        assert environment.read_text().endswith(f'HTTP_PROXY="{value}"\n')
        assert environment.stat().st_mode & 0o777 == 0o600
        assert "Geheim" not in str(done) + str(planned) + (systemd.units / "x.service").read_text()
        assert apply(environment={"HTTP_PROXY": value})[1] == []


def test_the_stamp_which_any_user_can_read_does_not_reveal_the_variables(apply, environment, systemd, tmp_path):
    """Otherwise a password could be guessed: at the first start, the stamp is the same for any password."""
    stamps = set()
    for value in ("http://one", "http://two"):
        for path in (environment, tmp_path / "x.yaml", systemd.units / "x.service"):
            path.unlink(missing_ok=True)
        systemd.active = False
        apply(environment={"HTTP_PROXY": value})
        stamps.add(systemd.stamp)
    assert len(stamps) == 1


def test_a_run_that_was_killed_before_it_wrote_the_variables_is_completed(apply, environment, systemd, monkeypatch):
    apply()
    write = component._files.write

    def die(module, wanted):
        if wanted["path"] == str(environment):
            module.fail_json(msg="killed")
        write(module, wanted)

    monkeypatch.setattr(component._files, "write", die)
    assert apply(environment={"HTTP_PROXY": PROXY})[0]["failed"]
    monkeypatch.setattr(component._files, "write", write)
    result, calls = apply(environment={"HTTP_PROXY": PROXY})
    assert (starts(result), calls[-1]) == ([("restart", "x", f"{environment} changes")], "restart")
    assert apply(environment={"HTTP_PROXY": PROXY})[1] == []


def test_unwanted_variables_are_removed(apply, environment):
    apply(environment={"HTTP_PROXY": PROXY})
    planned, calls = apply(check=True)
    assert (planned["changed"], calls, environment.exists()) == (True, [], True)
    assert ("remove", str(environment), "") in planned["actions"]
    done, calls = apply()
    assert (
        done["diff"]
        == planned["diff"]
        == [
            {
                "before_header": str(environment),
                "after_header": "/dev/null",
                "before": "# content not shown\n",
                "after": "",
            }
        ]
    )
    assert not environment.exists()
    assert apply()[0]["changed"] is False


def test_variables_are_removed_with_the_component(apply, environment):
    apply(environment={"HTTP_PROXY": PROXY})
    result, dummy = apply(state="absent")
    assert result["actions"] == [("remove", "x with its unit and files", "")]
    assert not environment.exists()
    assert "Geheim" not in str(result)


def test_neither_the_result_nor_the_log_has_the_variables(apply, environment, systemd, capfd, monkeypatch):
    """The complete result, with the arguments that ansible-core 2.20 adds."""
    logged = []
    monkeypatch.setattr(AnsibleModule, "log", lambda self, msg, log_args=None: logged.append(f"{msg} {log_args}"))
    options = {"name": "x", "unit": "[Service]\n", "binary": "/bin/true", "wait": 0}
    arguments = {"components": [{**options, "environment": {"HTTP_PROXY": PROXY}}]}
    with patch_module_args({**arguments, "_ansible_diff": True}), pytest.raises(SystemExit):
        component.main()
    out = capfd.readouterr().out
    answer = {key: value for key, value in json.loads(out).items() if not key.startswith("_ansible_")}
    assert answer["changed"] is True
    assert logged == []
    assert "Geheim" not in str(answer)


# --- the operator's flags ---


def unit(*own):
    flags = "".join(f" \\\n  {flag}" for flag in own)
    return f"[Service]\nExecStartPre=/bin/y --a\nExecStart=/bin/x{flags}\nExecStop=/bin/x --b=1\n"


OURS = ("--bind-address=127.0.0.1", "--key-file=%d/server.key", "--node-ip=${DEFAULT_IPV4}", "--profiling=false")


def test_without_flags_of_the_operator_a_unit_stays_as_it_is():
    assert component.with_flags("kubelet", unit(*OURS), {}) == unit(*OURS)


@pytest.mark.parametrize(
    ("own", "flags", "result"),
    [
        (
            OURS,
            {"v": 4, "profiling": True, "feature-gates": ["A=true", "B=false"]},
            (*OURS[:3], "--feature-gates=A=true", "--feature-gates=B=false", "--profiling=true", "--v=4"),
        ),
        # Kubernetes takes underscores for dashes.
        (["--node-ip=1"], {"node_ip": "2"}, ["--node_ip=2"]),
        (["--tls-cert=1"], {"tls": "2"}, ["--tls-cert=1", "--tls=2"]),
        (['"--a=1 2"', "--b=2"], {"a": "50%"}, ["--b=2", "--a=50%%"]),
        (["--a=1", "--b=2"], {"b": []}, ["--a=1"]),
        (["--a=1"], {"a": []}, []),
        ([], {"b": 2}, ["--b=2"]),
    ],
)
def test_the_operators_flags_replace_ours_and_follow_sorted(own, flags, result):
    assert component.with_flags("kubelet", unit(*own), flags) == unit(*result)


def test_the_unit_is_written_with_the_operators_flags(apply, systemd):
    result, dummy = apply(unit="[Service]\nExecStart=/bin/x \\\n  --a=1 \\\n  --b=2\n", flags={"b": "3 4"})
    assert 'ExecStart=/bin/x \\\n  --a=1 \\\n  "--b=3 4"\n' in (systemd.units / "x.service").read_text()
    assert ("write", f"{systemd.units}/x.service", "") in result["actions"]
