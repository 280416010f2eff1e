# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

from ansible.plugins.action import ActionBase
from ansible_collections.plainkube.cluster.plugins.plugin_utils.keys import _authority_rotation, _here


class ActionModule(ActionBase):
    """Runs in Ansible's own process, on the control node."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        dummy, params = self.validate_argument_spec(_authority_rotation.ARGUMENT_SPEC)
        return {**result, **_here.run(_authority_rotation, params, self._task.check_mode)}
