# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _answers, _facts
from ansible_collections.plainkube.cluster.plugins.plugin_utils.keys import _authorities, _directory
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _steps
from ansible_collections.plainkube.cluster.plugins.plugin_utils.tables import _certificate_table

display = Display()


class ActionModule(ActionBase):
    """Prints directly, like status_summary. Uses no connection."""

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
                "rotation": {"type": "dict", "default": {}},
                "output": {"type": "str", "choices": ["text", "json"], "default": "text"},
                "directory": {"type": "path", "default": ""},
                "control_planes": {"type": "list", "elements": "str", "default": []},
            }
        )
        results = {
            host: _answers.lost(host, _steps.results(), task_vars) or answer
            for host, answer in options["results"].items()
        }
        refusal = self._refusal(options, results)
        rotation = {"failed": True, "msg": refusal} if refusal else options["rotation"]
        found = _certificate_table.document(options["cluster"], results, rotation)
        for line in [json.dumps(found)] if options["output"] == "json" else _certificate_table.page(found):
            display.display(line)
        verdict = _certificate_table.verdict(found)
        return {**result, "changed": False, "failed": bool(refusal), "msg": refusal or verdict}

    def _refusal(self, options, results) -> str:
        """The problems with the directory on the control node, if there is one. Access by other users is a warning, as in site.yml."""
        if not options["directory"]:
            return ""
        exposure = _authorities.exposure(options["directory"])
        if exposure:
            display.warning(exposure)
        return _directory.refusal(options["directory"], options["cluster"], results, options["control_planes"])
