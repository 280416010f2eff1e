#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: survey
short_description: Compare a host with the desired state, in one task
version_added: 1.0.0
description:
  - Determines which steps of C(plainkube.cluster.site) a host needs. Changes nothing.
  - A step is a task of this collection's roles that has the variable C(builds_on), the names of the steps on which it depends. This module reads the
    steps from the playbook and the roles' tasks, evaluates their conditions and options with the variables of all roles, and runs their modules in
    check mode, one after the other in one process.
  - A task costs 0.4 seconds of CPU time on the host, nearly all of it for Python and Ansible. So a run without changes needs only this task; the
    tasks of other steps are skipped.
  - A host on which nothing is installed is not surveyed; it needs all steps that concern it.
options:
  steps:
    description: The steps to check on the host. Set by the action plugin.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the step in RV(answers).
        type: str
        required: true
      module:
        description: The step's module.
        type: str
        required: true
      options:
        description: The module's options.
        type: dict
        default: {}
extends_documentation_fragment: [plainkube.cluster.common]
attributes:
  diff_mode:
    support: N/A
seealso:
  - plugin: plainkube.cluster.pending
    plugin_type: lookup
  - plugin: plainkube.cluster.rollout
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Compare the host with the desired state
  plainkube.cluster.survey:
  register: __survey_result
"""

RETURN = r"""
answers:
  description:
    - The result of each step's module, without its diff.
    - If a module fails, or its options are invalid, C(failed) and C(msg); the survey itself does not fail.
  type: dict
  returned: success
running:
  description: The names of the steps with a service that is running, or may be.
  type: list
  elements: str
  returned: success
steps:
  description: The names of the steps that concern the host.
  type: list
  elements: str
  returned: success
survey:
  description: A random number that identifies the results of the same pass.
  type: str
  returned: success
to_do:
  description:
    - The names of the needed steps - those that would change something or fail, and those that depend on one of them.
    - Empty if nothing differs.
  type: list
  elements: str
  returned: success
waiting:
  description: The names of the steps with pending work that does not count as a change.
  type: list
  elements: str
  returned: success
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.survey import main

if __name__ == "__main__":
    main()
