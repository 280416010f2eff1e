# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _untrusted


class ActionModule(_untrusted.HostModule):
    """Runs the task's module, and does not trust the host's answer. meta/runtime.yml names it for every module on hosts without its own plugin."""
