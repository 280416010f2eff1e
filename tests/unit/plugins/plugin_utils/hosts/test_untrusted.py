# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Responses of hosts are not trusted; and the Python interpreter is discovered without a warning."""

from __future__ import annotations

import importlib
import json
import pathlib
import time
import types

import pytest
import yaml
from ansible import constants as C
from ansible.config.manager import ConfigManager
from ansible.module_utils.json_utils import _filter_non_json_lines
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.action import ActionBase, normal
from ansible.plugins.loader import module_loader
from ansible.template import Templar
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _run
from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _untrusted
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _alone


@pytest.fixture
def ansible_cfg(monkeypatch, tmp_path):
    """Have Ansible configured by a file, which is empty to begin with."""

    def write(text):
        path = tmp_path / "ansible.cfg"
        path.write_text(text)
        monkeypatch.setattr(C, "config", ConfigManager(str(path)))

    write("")
    return write


@pytest.fixture
def execute(monkeypatch, ansible_cfg):
    """Run a module, and tell which Python Ansible was asked for."""
    seen = {}

    def real(self, *args, task_vars=None, **options):
        seen.update(task_vars)
        return {}

    def run(variables, delegate_to=None):
        monkeypatch.setattr(ActionBase, "_execute_module", real)
        plugin = _untrusted.HostModule.__new__(_untrusted.HostModule)
        plugin._task = types.SimpleNamespace(delegate_to=delegate_to, vars={})
        plugin._execute_module(task_vars=variables)
        return seen

    return run


def test_python_is_found_without_a_warning(execute):
    assert execute({})["ansible_python_interpreter"] == "auto_silent"


@pytest.mark.parametrize("python", ["/opt/python", "auto_silent", "{{ mine }}"])
def test_what_somebody_has_said_holds(execute, python):
    assert execute({"ansible_python_interpreter": python}) == {"ansible_python_interpreter": python}


@pytest.mark.parametrize("python", ["/opt/python", "auto_silent"])
def test_what_ansible_cfg_says_holds(execute, ansible_cfg, python):
    ansible_cfg(f"[defaults]\ninterpreter_python = {python}\n")
    assert execute({}) == {}


def test_the_host_that_a_task_is_delegated_to(execute):
    seen = execute({"ansible_delegated_vars": {"k1": {}, "n1": {}}}, "n1")
    assert seen == {"ansible_delegated_vars": {"k1": {}, "n1": {"ansible_python_interpreter": "auto_silent"}}}


# --- the lock of a host --------------------------------------------------------------------------------------------


RUN = _run.Run("1", "site.yml of me", 0.5, ["2"])


@pytest.fixture
def alone(monkeypatch):
    """A function that makes this process a run that changes hosts."""
    monkeypatch.setattr(_alone, "_CURRENT", [])
    return lambda wait=0: _alone._CURRENT.append(_alone._Current(RUN, time.monotonic() + wait))


@pytest.fixture
def environment():
    """A function that returns the variables of a module's process."""

    def compute(of_the_task=(), action="", variables=types.MappingProxyType({})):
        plugin = _untrusted.HostModule.__new__(_untrusted.HostModule)
        plugin._task = types.SimpleNamespace(environment=[dict(of_the_task)], vars=variables, action=action)
        plugin._templar = types.SimpleNamespace(template=lambda value: value)
        plugin._connection = types.SimpleNamespace(_shell=types.SimpleNamespace(env_prefix=lambda **found: found))
        raw = {}
        assert plugin._compute_environment_string(raw) == raw
        return raw

    return compute


def test_modules_of_a_run_that_changes_hosts_know_its_name(environment, alone):
    assert environment({"A": "b"}) == {"A": "b"}
    alone()
    found = environment({"A": "b"})
    assert found.pop("A") == "b"
    assert _run.Run(**json.loads(found.pop(_run.VARIABLE))) == RUN
    assert found == {}


@pytest.fixture
def locked(monkeypatch, ansible_cfg):
    """A function that runs a module on a host which belongs to another run, the first so many times; what it answered, and what was displayed."""
    said = []
    monkeypatch.setattr(_untrusted.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(_untrusted.display, "display", said.append)

    def run(answer, times, kind=_untrusted.HostModuleThatBegins):
        answers = iter([answer] * times + [{"found": 1}])
        monkeypatch.setattr(ActionBase, "_execute_module", lambda self, *dummy, **more: next(answers))
        plugin = kind.__new__(kind)
        plugin._task = types.SimpleNamespace(delegate_to=None, vars={})
        return plugin._execute_module(task_vars={"inventory_hostname": "n1"}), said

    return run


def test_a_run_waits_for_another_one_that_changes_a_host(locked, alone):
    alone(60)
    answer, said = locked({"failed": True, "locked": "site.yml of\nyou"}, 3)
    assert answer == {"found": 1}
    assert said == ["Waiting up to 60 s for another run that changes host n1: site.yml of you."]


def test_it_does_not_wait_unless_it_is_told_to(locked, alone):
    alone()
    answer = {"failed": True, "locked": "site.yml of you"}
    assert locked(answer, 1) == (answer, [])


def test_no_other_module_waits(locked, alone):
    """A host that lies could have each of them wait."""
    alone(60)
    answer = {"failed": True, "locked": "site.yml of you"}
    assert locked(answer, 1, _untrusted.HostModule) == (answer, [])


def test_a_host_that_answers_otherwise_is_not_waited_for(locked, alone):
    alone(60)
    answer = {"failed": True, "locked": ["x"]}
    assert locked(answer, 1) == (answer, [])


@pytest.mark.parametrize(
    ("module", "given", "args"),
    [
        ("plainkube.cluster.component", {}, {"replaced": ["/a"]}),
        ("plainkube.cluster.component", {"replaced": ["/b"]}, {"replaced": ["/b"]}),
        ("plainkube.cluster.docker_rebridge", {}, {}),
    ],
)
def test_a_component_is_told_what_the_run_has_replaced(monkeypatch, module, given, args):
    plugin = _untrusted.HostModule.__new__(_untrusted.HostModule)
    plugin._task = types.SimpleNamespace(action=module, args=dict(given))
    monkeypatch.setattr(normal.ActionModule, "run", lambda self, tmp=None, task_vars=None: self._task.args)
    assert plugin.run(task_vars={"inventory_hostname": "k1", "__artifacts_result": {"replaced": ["/a"]}}) == args


# --- what a host answers -------------------------------------------------------------------------------------------


LIE = "\x1b[2J\x1b[31mok: [n2]\r\x9b\u202e"
SHOWN = "\\x1b[2J\\x1b[31mok: [n2]\\x0d\\x9b\\x202e"


@pytest.fixture
def answered(monkeypatch, ansible_cfg):
    """What Ansible gets to read of what a module prints."""
    seen = []

    def run(stdout, stderr=""):
        monkeypatch.setattr(ActionBase, "_parse_returned_data", lambda self, res, *more: seen.append((res, more)))
        plugin = _untrusted.HostModule.__new__(_untrusted.HostModule)
        plugin._parse_returned_data({"rc": 0, "stdout": stdout, "stderr": stderr}, "legacy")
        result, more = seen.pop()
        assert (result["rc"], more) == (0, ("legacy",))
        return result

    return run


def test_nothing_that_a_host_answers_is_a_variable_or_a_host(answered):
    lies = {
        "ansible_facts": {"artifacts_mirror": "/", "discovered_interpreter_python": "/tmp/python"},
        "add_host": {"host_name": "evil", "groups": ["control_plane"]},
        "add_group": "control_plane",
        "ansible_stats": {"data": {}},
        "ansible_included_var_files": ["/etc/passwd"],
    }
    for key, value in lies.items():
        assert json.loads(answered(json.dumps({"changed": True, key: value}))["stdout"]) == {"changed": True}
    # JSON has several ways to write a name.
    assert json.loads(answered('{"changed": true, "\\u0061dd_host": {}, "add\\u005fgroup": "x"}')["stdout"]) == {
        "changed": True
    }


FACTS = '{"changed": true, "ansible_facts": {"artifacts_mirror": "/"}}'


@pytest.mark.parametrize(
    "stdout",
    [
        # Ansible begins to read at the first line that begins like an object, and ends at the last one that ends like one.
        "x{\n" + FACTS,
        "{\n" + FACTS,
        "[\n" + FACTS,
        "  " + FACTS + "\n}",
        FACTS[:-1],
        # It makes objects of its own types of what is marked so.
        json.dumps({"__ansible_type": "_AnsibleTaggedDict", "tags": [], "value": json.loads(FACTS)}),
    ],
)
def test_no_other_way_to_write_an_answer_gets_them_past(answered, stdout):
    read = answered(stdout)["stdout"]
    kept, dummy = _filter_non_json_lines(read, objects_only=True) if "{" in read else ("{}", [])
    assert "ansible_facts" not in kept


@pytest.mark.parametrize("ascii_only", [True, False])
def test_nothing_that_a_host_answers_controls_the_terminal(answered, ascii_only):
    lies = {"msg": LIE, "list": [{LIE: LIE}], "warnings": [LIE], "number": 1, "none": None}
    shown = {"msg": SHOWN, "list": [{SHOWN: SHOWN}], "warnings": [SHOWN], "number": 1, "none": None}
    assert json.loads(answered(json.dumps(lies, ensure_ascii=ascii_only))["stdout"]) == shown


def test_nor_does_what_is_no_answer(answered):
    assert answered(LIE, LIE) == {"rc": 0, "stdout": SHOWN, "stderr": SHOWN}
    # Ansible would warn of what surrounds an answer, in its words.
    assert json.loads(answered(f'{LIE}\n{{"changed": true}}\n{LIE}')["stdout"]) == {"changed": True}


def test_an_honest_answer_is_read_as_it_is(answered):
    text = json.dumps({"msg": "two lines,\n\ta tab, and ü →", "path": "C:\\\\a", "changed": False})
    assert answered(text)["stdout"] is text


COLLECTION = pathlib.Path(_untrusted.__file__).parents[3]
ACTIONS = "ansible_collections.plainkube.cluster.plugins.action"
# These run in ansible-playbook itself, by what hosts have answered before.
HERE = (
    "authority_rotation",
    "certificate_sign",
    "certificate_summary",
    "plan_summary",
    "role_variables",
    "status_summary",
)


@pytest.mark.parametrize("name", sorted(path.stem for path in (COLLECTION / "plugins" / "modules").glob("*.py")))
def test_every_module_of_the_collection_is_run_like_that(name):
    """Ansible takes the action plugin that meta/runtime.yml names for a module, and else one of the module's name."""
    routes = yaml.safe_load((COLLECTION / "meta" / "runtime.yml").read_text())["plugin_routing"]["modules"]
    route = routes.get(name, {}).get("action_plugin", f"plainkube.cluster.{name}")
    action = importlib.import_module(f"{ACTIONS}.{route.removeprefix('plainkube.cluster.')}").ActionModule
    assert issubclass(action, _untrusted.OnHost) != (name in HERE)


# --- steps of site.yml ---------------------------------------------------------------------------------------------


@pytest.fixture(params=["__docker_result", {"__docker_result": "an expression of ansible-core 2.21"}])
def take(monkeypatch, request):
    """Take step docker on k1, and tell what Ansible gets of it."""

    def take(*, step=True, **variables):
        plugin = _untrusted.HostModule.__new__(_untrusted.HostModule)
        plugin._task = types.SimpleNamespace(
            delegate_to=None,
            vars={"builds_on": []} if step else {},
            register=request.param,
            action="plainkube.cluster.docker_rebridge",
        )
        known = {"inventory_hostname": "k1", "groups": {}, "ansible_python_interpreter": "/p", **variables}
        monkeypatch.setattr(
            normal.ActionModule, "run", lambda self, tmp=None, task_vars=None: self._execute_module(task_vars=task_vars)
        )
        monkeypatch.setattr(ActionBase, "_execute_module", lambda self, **dummy: {"changed": True, "survey": "forged"})
        return plugin.run(task_vars=known)

    return take


def survey(*to_do):
    return {"survey": "now", "steps": ["docker"], "to_do": [*to_do]}


def test_a_step_to_take_is_marked_with_its_pass(take):
    assert take(__survey_result=survey("docker")) == {"changed": True, "survey": "now"}


def test_a_host_is_not_asked_to_take_a_step_for_nothing(take):
    assert take(__survey_result=survey()) == {"changed": False}


def test_a_step_that_was_taken_keeps_its_result(take):
    """The play that migrates nodes takes steps that a later play has too."""
    earlier = {"changed": True, "survey": "now", "actions": []}
    found = take(__survey_result=survey("docker"), __docker_result=earlier)
    assert found == {**earlier, "changed": False}


def test_a_role_in_a_play_without_a_survey_takes_all_steps(take):
    assert take() == {"changed": True, "survey": "forged"}


def test_a_task_that_is_no_step_is_always_sent(take):
    assert take(step=False, __survey_result=survey())["changed"] is True


@pytest.mark.parametrize("changed", [False, True])
def test_all_steps_are_to_take_with_another_network(take, changed):
    members = {"k1": {"__flannel_network_result": {"changed": changed, "survey": "now"}, "__survey_result": survey()}}
    known = {"groups": {"plainkube_etcd": ["k1"]}, "hostvars": members, "__survey_result": survey()}
    assert take(**known)["changed"] is changed


@pytest.fixture
def payload(environment):
    """A function that returns the source that Ansible sends to a host for a task with this module, and what the module's process knows."""

    def build(name, **variables):
        plugin = _untrusted.HostModule.__new__(_untrusted.HostModule)
        plugin._task = types.SimpleNamespace(
            action=name, vars=variables, environment=[], async_val=0, collections=[], delegate_to=None
        )
        plugin._templar = Templar(loader=DataLoader())
        plugin._play_context = types.SimpleNamespace(become=False, become_user=None)
        shell = types.SimpleNamespace(_IS_WINDOWS=False, tmpdir=None, env_prefix=lambda **found: "")
        plugin._connection = types.SimpleNamespace(
            _shell=shell, become=None, module_implementation_preferences=[""], _is_windows=False
        )
        plugin._shared_loader_obj = types.SimpleNamespace(module_loader=module_loader)
        bits, path = plugin._configure_module(name, {}, {"ansible_python_interpreter": "/usr/bin/python3"})
        assert bits.b_module_data
        return pathlib.Path(path).stem, environment(action=name, variables=variables).get(_run.MODULE)

    return build


def test_all_steps_share_one_payload(payload):
    for module in ("component", "etcd_rbac"):
        assert payload(f"plainkube.cluster.{module}", builds_on=[]) == ("survey", module)


def test_what_is_no_step_has_its_own_payload(payload):
    assert payload("plainkube.cluster.component") == ("component", None)


def test_what_ansible_adds_to_a_step_has_its_own_payload(payload, monkeypatch):
    """With `async`, Ansible configures its wrapper in the same way."""
    monkeypatch.setattr(_untrusted.HostModule, "_is_step", lambda self: True)
    plugin = _untrusted.HostModule.__new__(_untrusted.HostModule)
    plugin._task = types.SimpleNamespace(action="plainkube.cluster.component")
    monkeypatch.setattr(ActionBase, "_configure_module", lambda self, module_name, **dummy: module_name)
    assert plugin._configure_module("ansible.legacy.async_wrapper", {}, {}) == "ansible.legacy.async_wrapper"
