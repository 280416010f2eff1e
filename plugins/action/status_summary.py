# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json
import os

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _answers, _facts
from ansible_collections.plainkube.cluster.plugins.plugin_utils.keys import _directory
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _steps
from ansible_collections.plainkube.cluster.plugins.plugin_utils.tables import _status_table

display = Display()


class ActionModule(ActionBase):
    """Prints directly, because callbacks quote and indent results. Uses no connection."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        problem = _facts.problem(task_vars)
        if problem:
            return {**result, "changed": False, "failed": True, "msg": problem}
        dummy, options = self.validate_argument_spec(
            {
                "cluster": {"type": "str", "required": True},
                "results": {"type": "dict", "required": True},
                "output": {"type": "str", "choices": ["text", "json"], "default": "text"},
                "file": {"type": "path", "default": ""},
                "wait": {"type": "int", "default": 0},
                "directory": {"type": "path", "default": ""},
                "control_planes": {"type": "list", "elements": "str", "default": []},
            }
        )
        results = {
            host: _answers.lost(host, _steps.results(), task_vars) or answer
            for host, answer in options["results"].items()
        }
        problems = []
        if options["directory"]:
            problems = _directory.problems(options["directory"], options["cluster"], results, options["control_planes"])
        found, again = _status_table.compared(options["cluster"], results, problems, options["wait"])
        if again:
            return {**result, "changed": False, "again": again, "msg": _status_table.verdict(found)}
        document = json.dumps(found)
        if options["output"] == "json":
            display.display(document)
        else:
            for line in _status_table.page(found):
                display.display(line)
        if options["file"] and not self._task.check_mode:
            with open(os.path.expanduser(options["file"]), "w", encoding="utf-8") as stream:
                stream.write(document + "\n")
        well = found["healthy"] and bool(found["hosts"])
        return {**result, "changed": False, "failed": not well, "again": {}, "msg": _status_table.verdict(found)}
