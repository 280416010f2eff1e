# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations


class ModuleDocFragment:
    """The result of a module that changes something (module_utils/run/_actions.py); each module adds a sample."""

    RETURN = r"""
actions:
  description:
    - What was, or would be, done.
  returned: success
  type: list
  elements: dict
  contains:
    verb:
      description: The kind of action. V(wait) is pending work that does not count as a change.
      type: str
      choices: [install, issue, join, drain, write, apply, enable, start, restart, stop, remove, wait]
    subject:
      description: What it affects.
      type: str
    reason:
      description: The reason, as text. Empty if there is nothing to say.
      type: str
"""
