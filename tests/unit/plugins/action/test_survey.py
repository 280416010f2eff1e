# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

from ansible_collections.plainkube.cluster.plugins.action import survey


class Connection:
    class _shell:  # noqa: N801
        tmpdir = "/nowhere"


class Task:
    check_mode = False
    async_val = 0

    def __init__(self, args: dict) -> None:
        self.args = args


def test_what_was_asked_does_not_go_back(monkeypatch):
    """A worker sends its task's arguments and the result; ansible-playbook keeps both until all hosts are through."""
    asked = {"steps": [{"name": "docker", "module": "docker_rebridge"}]}
    task, sent = Task(dict(asked)), []
    plugin = survey.ActionModule(task, Connection, None, None, None, None)

    def execute(module_name, module_args, task_vars):
        sent.append((module_name, module_args))
        return {"changed": False, "to_do": [], "answers": {}, "invocation": {"module_args": module_args}}

    monkeypatch.setattr(plugin, "_execute_module", execute)
    result = plugin.run(task_vars={})
    assert sent == [("plainkube.cluster.survey", asked)]
    assert task.args == {}
    assert result == {"changed": False, "to_do": [], "answers": {}}
