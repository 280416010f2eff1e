# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: alone
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: The hosts of a play that changes them, once no other run of this control node does
description:
  - For the C(hosts) of a play, which ansible-playbook evaluates itself, so that it holds the lock until it ends. The kernel takes the lock from a process
    that dies.
  - The lock belongs to the cluster's C(certificates_directory). If another run of the same user holds it, waits C(cluster_lock_wait) seconds, and then
    fails with a sentence that says who holds it since when.
  - Names the run to all modules that change a host. They hold the lock of that host, against runs of other users and other control nodes.
  - Takes no lock with C(--check), or if the cluster has no hosts.
options:
  _terms:
    description: The hosts of the play, as a pattern.
    type: list
    elements: str
    required: true
  needed:
    description: Whether the play changes anything. Otherwise, no lock is taken.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Change all hosts
  hosts: "{{ lookup('plainkube.cluster.alone', 'all:&plainkube_hosts') }}"
"""

RETURN = r"""
_raw:
  description: The terms, unchanged.
  type: list
  elements: str
"""

import os

from ansible import constants as C
from ansible import context
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles
from ansible_collections.plainkube.cluster.plugins.plugin_utils.run import _alone

display = Display()
_READ_ONLY = ("check", "syntax", "listhosts", "listtasks", "listtags")


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        if self.get_option("needed") and not any(context.CLIARGS.get(name) for name in _READ_ONLY):
            # groups.yml has added the hosts of the run to this group. With --limit, there may be no control plane among them.
            for host in variables.get("groups", {}).get("plainkube_hosts", [])[:1]:
                control_planes = self._scope(host, variables).variable("__cluster_control_planes")
                self._take(self._scope((control_planes or [host])[0], variables))
        return terms

    def _scope(self, host, variables):
        hosts = variables["hostvars"]
        return _roles.Scope(self._templar, {**hosts.raw_get(host), "hostvars": hosts})

    def _take(self, scope):
        playbook = ", ".join(os.path.basename(str(name)) for name in context.CLIARGS.get("args") or ())
        cluster, seconds = str(scope.variable("cluster_name")), int(scope.variable("cluster_lock_wait"))
        directory = os.path.expanduser(str(scope.variable("certificates_directory")))
        file = _alone.path(C.config.get_config_value("ANSIBLE_HOME"), directory)
        try:
            other = _alone.take(
                file,
                playbook,
                seconds,
                lambda who: display.display(
                    f"Waiting up to {seconds} s for another run that changes cluster {cluster}: {who}."
                ),
            )
        except OSError as error:
            raise AnsibleLookupError(
                f"The lock {error.filename or file} cannot be taken ({error.strerror}): set ANSIBLE_HOME to a directory that this user can write to."
            ) from None
        if other:
            raise AnsibleLookupError(
                f"Another run changes cluster {cluster}: {other}. Run this again after it has ended, or set cluster_lock_wait to the seconds to wait."
            )
