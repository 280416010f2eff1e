# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: costs
type: notification
short_description: Write down what each task cost the control node
version_added: 1.0.0
author: The plainkube authors (@plainkube)
description:
  - Writes a JSON line at the start of each task with the time and the CPU seconds so far, those of ended workers included.
  - Writes what C(certificate_sign) gave to the hosts, from which benchmarks/scale.py makes hosts that have it.
options:
  path:
    description: The file to write to.
    type: path
    env:
      - name: PLAINKUBE_COSTS
"""

import json
import os
import time

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "costs"
    CALLBACK_NEEDS_ENABLED = True

    def set_options(self, task_keys=None, var_options=None, direct=None):
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        self._play = ""
        self._stream = open(self.get_option("path"), "a", buffering=1, encoding="utf-8")  # noqa: SIM115

    def _write(self, **event):
        self._stream.write(json.dumps(event) + "\n")

    def _mark(self, name):
        self._write(task=name, seconds=time.monotonic(), cpu=sum(os.times()[:4]))

    def v2_playbook_on_play_start(self, play):
        # Under the strategy free, hosts are at different tasks: the play is the smallest thing to measure.
        self._play = play.get_name() if play.strategy.endswith("free") else ""
        self._mark(self._play or f"{play.get_name()} (start)")

    def v2_playbook_on_task_start(self, task, is_conditional):
        if not self._play:
            self._mark(task.get_name())

    def v2_runner_on_ok(self, result):
        # The result of a check of the CAs has no hosts.
        if result._task.action.endswith("certificate_sign") and "hosts" in result._result:
            self._write(signed={host: one["files"] for host, one in result._result["hosts"].items()})

    def v2_playbook_on_stats(self, stats):
        self._mark("")
