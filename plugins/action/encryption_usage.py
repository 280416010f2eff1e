# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

from ansible_collections.plainkube.cluster.plugins.plugin_utils import _python


class ActionModule(_python.JustModule):
    """A playbook may run this first on a host."""
