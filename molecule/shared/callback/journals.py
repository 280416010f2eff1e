# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: journals
type: notification
short_description: Tell why a playbook failed, and print the journals of its lab
version_added: 1.0.0
author: The plainkube authors (@plainkube)
description:
  - The hosts are gone when molecule is done, so their journals are printed right after the playbook that failed.
  - What failed goes to C(.ansible/failures) as well, which C(make molecule) prints at its end.
"""

import os
import pathlib
import subprocess
import sys
import time

from ansible.plugins.callback import CallbackBase

LINES = 20


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "journals"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_failed(self, result, ignore_errors=False):
        if not ignore_errors:
            message = result.result.get("msg", "")
            lines = message if isinstance(message, list) else str(message).splitlines()
            self._note(f"{result.host.get_name()}, {result.task.get_name()}", lines)

    def v2_runner_on_unreachable(self, result):
        self._note(f"{result.host.get_name()}, {result.task.get_name()}", ["unreachable"])

    def _note(self, where, lines):
        path = pathlib.Path(os.environ["MOLECULE_PROJECT_DIRECTORY"], ".ansible", "failures")
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            said = "\n".join(f"  {line}" for line in lines[-LINES:])
            stream.write(f"{os.environ.get('MOLECULE_SCENARIO_NAME', '')}: {where}:\n{said}\n")

    def v2_playbook_on_stats(self, stats):
        name = os.environ.get("MOLECULE_SCENARIO_NAME", "")
        self._display.display(time.strftime("It is %X."))
        if name and (stats.failures or stats.dark):
            command = [sys.executable, "-m", "lab", "journals", name]
            checkout = os.environ["MOLECULE_PROJECT_DIRECTORY"]
            done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
            self._display.display(done.stdout or done.stderr)
