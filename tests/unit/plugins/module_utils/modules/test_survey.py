# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import certificate_request, survey
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions, _run


def files(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def step(name, module, **options):
    return {"name": name, "module": module, "options": options}


@pytest.fixture
def certificates(tmp_path):
    return {"directory": str(tmp_path / "pki"), "certificates": ["a", "etcd/b"]}


def test_it_says_what_a_module_would_do_and_does_nothing(run_module, certificates, tmp_path):
    steps = [step("certificates", "certificate_request", **certificates)]
    before = run_module(survey, steps=steps)
    assert before["changed"] is False
    assert _actions.has_work(before["answers"]["certificates"])
    assert before["answers"]["certificates"]["made"] == [
        f"{certificates['directory']}/{name}.key" for name in ("a", "etcd/b")
    ]
    assert files(tmp_path) == []

    run_module(certificate_request, **certificates)
    made = files(tmp_path)
    assert made
    after = run_module(survey, steps=steps)
    assert not _actions.has_work(after["answers"]["certificates"])
    real = run_module(certificate_request, **certificates)
    assert real["actions"] == []
    for key in set(real) - {"diff", "certificates"}:  # a request is signed, and no two signatures are alike
        assert after["answers"]["certificates"][key] == real[key]
    assert list(after["answers"]["certificates"]["certificates"]) == certificates["certificates"]
    assert files(tmp_path) == made


def test_a_step_runs_from_its_payload(run_module, monkeypatch, certificates, tmp_path):
    monkeypatch.setenv(_run.MODULE, "certificate_request")
    assert run_module(survey, **certificates)["changed"] is True
    assert "pki/a.key" in files(tmp_path)
    assert run_module(survey, **certificates)["changed"] is False


def test_a_step_that_fails_is_to_do_and_the_survey_goes_on(run_module, certificates):
    run_module(certificate_request, **certificates)
    done = run_module(
        survey,
        steps=[
            step("certificates", "certificate_request", **certificates),
            step("pins", "artifacts", artifacts=[], kinds=[], checksums={"a.tgz": "12"}),
            step("wrong", "docker_rebridge", no_such_option=1),
            step("again", "certificate_request", **certificates),
        ],
    )
    assert [name for name, answer in done["answers"].items() if _actions.has_work(answer)] == ["pins", "wrong"]
    assert "artifacts_checksums has '12' for a.tgz" in done["answers"]["pins"]["msg"]
    assert "no_such_option" in done["answers"]["wrong"]["msg"]
    assert not done["answers"]["again"].get("failed")


def test_a_module_that_raises_or_ends_by_itself(run_module, monkeypatch):
    def run(module):
        if module.params["state"] == "raise":
            raise ZeroDivisionError("division by zero")
        module.exit_json(changed=module.check_mode, state=module.params["state"])

    class Code:
        SPEC = {"state": {"type": "str", "default": "exit"}}

    Code.run = staticmethod(run)
    monkeypatch.setattr(survey, "load", lambda name: Code)
    done = run_module(survey, steps=[step("one", "component"), step("two", "component", state="raise")])
    assert done["answers"] == {
        "one": {"changed": True, "state": "exit"},
        "two": {"failed": True, "msg": "ZeroDivisionError: division by zero"},
    }


@pytest.mark.parametrize(
    ("answer", "work"),
    [
        ({"changed": False, "actions": []}, False),
        ({"changed": False, "actions": [], "missing_packages": ["socat"]}, False),
        ({"changed": True, "actions": [{"verb": "write", "subject": "/x", "reason": ""}]}, True),
        ({"changed": False, "failed": True}, True),
        ({"changed": False, "actions": [{"verb": "install", "subject": "packages socat", "reason": ""}]}, True),
        ({"changed": False, "actions": [{"verb": "wait", "subject": "x", "reason": "it is not ready"}]}, True),
    ],
)
def test_what_is_work(answer, work):
    assert _actions.has_work(answer) is work


def test_what_it_is_asked_is_not_logged_and_secrets_of_the_steps_are_in_no_answer(run_module, monkeypatch):
    logged = []

    class Code:
        SPEC = {"environment": {"type": "dict", "no_log": True}}

        @staticmethod
        def run(module):
            raise ValueError(f"cannot use {module.params['environment']['HTTP_PROXY']}")

    monkeypatch.setattr(_run.AnsibleModule, "log", lambda self, msg, log_args=None: logged.append(msg))
    monkeypatch.setattr(survey, "load", lambda name: Code)
    steps = [step("one", "component", environment={"HTTP_PROXY": "http://user:Geheim@proxy"})]
    # As the controller sends it.
    done = run_module(survey, steps=steps, _ansible_no_log=False)
    assert done["answers"]["one"]["failed"] is True
    assert "Geheim" not in str(done)
    assert logged == []


def test_the_secret_of_a_file_is_in_no_answer(run_module, monkeypatch):
    """Also where it is the fault of the step's own options that it is refused."""
    code = survey.load("component")

    class Code:
        SPEC = {**code.SPEC, "count": {"type": "int"}}

        @staticmethod
        def run(module):
            raise ValueError(f"cannot use {module.params['components'][0]['files'][0]['secret_content']}")

    monkeypatch.setattr(survey, "load", lambda name: Code)
    file = {"path": "/etc/secret", "secret_content": "Geheim"}
    options = {"components": [{"name": "etcd", "binary": "/bin/etcd", "unit": "[Service]", "files": [file]}]}
    asked = [
        {"name": "one", "module": "component", "options": options},
        {"name": "two", "module": "component", "options": {**options, "count": "Geheim"}},
    ]
    done = run_module(survey, steps=asked)
    assert [answer["failed"] for answer in done["answers"].values()] == [True, True]
    assert done["answers"]["one"]["msg"] == "ValueError: cannot use ********"
    assert "Geheim" not in str(done)


def test_secrets_are_masked_on_every_ansible_core():
    """Up to 2.21 ansible-core masks them in what a module returns, later ones only in what they print."""
    answer = {"msg": "cannot use http://user:Geheim@proxy", "list": [{"a": "Geheim"}], "changed": True, "number": 1}
    assert survey.masked(answer, {"Geheim", "http://user:Geheim@proxy", ""}) == {
        "msg": "cannot use ********",
        "list": [{"a": "********"}],
        "changed": True,
        "number": 1,
    }
