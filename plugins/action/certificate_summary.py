# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.plainkube.cluster.plugins.plugin_utils import _certificate_table

display = Display()


class ActionModule(ActionBase):
    """Prints by itself, as status_summary does. Uses no connection."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        dummy, options = self.validate_argument_spec(
            {
                "cluster": {"type": "str", "required": True},
                "results": {"type": "dict", "required": True},
                "rotation": {"type": "dict", "default": {}},
                "output": {"type": "str", "choices": ["text", "json"], "default": "text"},
            }
        )
        found = _certificate_table.document(options["cluster"], options["results"], options["rotation"])
        for line in [json.dumps(found)] if options["output"] == "json" else _certificate_table.page(found):
            display.display(line)
        return {**result, "changed": False, "msg": _certificate_table.verdict(found)}
