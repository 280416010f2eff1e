# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import contextlib
import os
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.plainkube.cluster.plugins.modules import certificate_sign

display = Display()


class Here:
    """As much of an AnsibleModule as the signing asks for."""

    def __init__(self, params: dict[str, t.Any], check_mode: bool) -> None:
        self.params = params
        self.check_mode = check_mode
        self.temporary: list[str] = []

    def warn(self, text: str) -> None:
        display.warning(text)

    def add_cleanup_file(self, path: str) -> None:
        self.temporary.append(path)

    def clean_up(self) -> None:
        for path in self.temporary:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


class ActionModule(ActionBase):
    """Signs in this very process: it runs on the control node anyway, and a module of its own would cost half a second."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        dummy, params = self.validate_argument_spec(certificate_sign.ARGUMENT_SPEC)
        here = Here({**params, "directory": os.path.expanduser(params["directory"])}, self._task.check_mode)
        try:
            return {**result, **certificate_sign.result_of(here)}
        finally:
            here.clean_up()
