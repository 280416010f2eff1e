# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: recorder
type: notification
short_description: Write down what a run does, task by task, and kill it where it is asked to
version_added: 1.0.0
author: The plainkube authors (@plainkube)
description:
  - Writes a JSON line for each task that begins and for each result, for the lab's tests (lab/runs.py).
  - Kills ansible-playbook with SIGKILL before a given task; lab/runs.py kills the workers that outlive it.
options:
  path:
    description: The file to write to.
    type: path
    env:
      - name: PLAINKUBE_RECORD
  kill_at:
    description: Number of the task, from 1, before which the run is killed. 0 kills none.
    type: int
    default: 0
    env:
      - name: PLAINKUBE_KILL_AT
"""

import json
import os
import signal
import time

from ansible import constants as C
from ansible.plugins.callback import CallbackBase
from ansible_collections.plainkube.cluster.plugins.plugin_utils.tables import _plan


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "recorder"
    CALLBACK_NEEDS_ENABLED = True

    def set_options(self, task_keys=None, var_options=None, direct=None):
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        self._count = 0
        self._stream = open(self.get_option("path"), "a", buffering=1, encoding="utf-8")  # noqa: SIM115

    def _write(self, **event):
        self._stream.write(json.dumps({"at": round(time.monotonic(), 3), **event}) + "\n")

    def v2_playbook_on_task_start(self, task, is_conditional):
        # Ansible itself does those, and tells of them once a host.
        if task.action in C._ACTION_META:
            return
        self._count += 1
        self._write(event="start", number=self._count, task=task.get_name())
        if self._count == self.get_option("kill_at"):
            os.kill(os.getpid(), signal.SIGKILL)

    def _result(self, event, result):
        answer = result._result
        self._write(
            event=event,
            host=result._host.get_name(),
            task=result._task.get_name(),
            action=result._task.action,
            changed=bool(answer.get("changed")),
            skipped=bool(answer.get("skipped")),
            msg=str(answer.get("msg", ""))[:8000],
            restarts=_plan.restarts(answer),
            installed=_plan.installed(answer),
            written=_plan.written(answer),
        )

    def v2_runner_on_ok(self, result):
        self._result("ok", result)

    def v2_runner_on_skipped(self, result):
        self._result("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._result("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_unreachable(self, result):
        self._result("unreachable", result)
