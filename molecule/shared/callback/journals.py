# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: journals
type: notification
short_description: Print the journals of a lab when a playbook failed
version_added: 1.0.0
author: The plainkube authors (@plainkube)
description:
  - The hosts are gone when molecule is done, so their journals are printed right after the playbook that failed.
"""

import os
import subprocess
import sys

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "journals"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_stats(self, stats):
        name = os.environ.get("MOLECULE_SCENARIO_NAME", "")
        if name and (stats.failures or stats.dark):
            command = [sys.executable, "-m", "lab", "journals", name]
            checkout = os.environ["MOLECULE_PROJECT_DIRECTORY"]
            done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
            self._display.display(done.stdout or done.stderr)
