# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: failure
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: Why a task failed, in one line
description:
  - Takes a task's registered result, and returns the error message. If C(msg) only says that a command or module failed,
    returns the end of its output instead.
options:
  _input:
    description: The registered result.
    type: dict
    required: true
"""

EXAMPLES = r"""
why: "{{ result | plainkube.cluster.failure }}"
# -> unreachable: ssh: connect to host 192.0.2.21 port 22: No route to host
"""

RETURN = r"""
_value:
  description: The reason.
  type: str
"""

from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _answers


def failure(result) -> str:
    why = _answers.reason(result)
    return f"unreachable: {why}" if result.get("unreachable") else why


class FilterModule:
    def filters(self):
        return {"failure": failure}
