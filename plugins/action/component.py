# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _untrusted
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _steps


class ActionModule(_untrusted.HostModule):
    """Runs the module, and passes it the files that this run has already replaced, because in check mode they are still the old ones."""

    def run(self, tmp=None, task_vars=None):
        self._task.args.setdefault("replaced", _steps.replaced(task_vars))
        return super().run(tmp, task_vars)
