# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""Runs kubectl once on a host; _objects parses the output."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _objects

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

_MISSING = -1


class Answer(t.NamedTuple):
    """The result of a kubectl command; _MISSING if it could not be run."""

    code: int
    out: str
    complaint: str

    @property
    def nobody(self) -> bool:
        """Whether no API server is reachable."""
        return self.code == _MISSING or (self.code != 0 and _objects.silent(self.complaint))

    @property
    def early(self) -> bool:
        """Whether a retry may succeed."""
        return self.code != 0 and _objects.early(self.complaint)


def binary(module: AnsibleModule) -> str | None:
    return module.get_bin_path("kubectl", opt_dirs=["/usr/local/bin"])


def run(module: AnsibleModule, *arguments: str, **how: t.Any) -> Answer:
    """Run kubectl with the module's kubeconfig; `how` has options of run_command."""
    kubeconfig, path = module.params["kubeconfig"], binary(module)
    if path is None:
        return Answer(
            _MISSING, "", "kubectl is not installed on this host; role artifacts installs it on control planes"
        )
    if not os.path.exists(kubeconfig):
        return Answer(_MISSING, "", "this host does not have the file, which role control_plane writes")
    return Answer(
        *_command.run(module, [path, f"--kubeconfig={kubeconfig}", "--request-timeout=20s", *arguments], **how)
    )
