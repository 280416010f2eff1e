# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

from ansible_collections.plainkube.cluster.plugins.module_utils.network import _addresses


def test_localhost_resolves():
    assert _addresses.resolved("localhost") == ["127.0.0.1"]
    assert _addresses.resolved("a" * 64 + ".example.net") == []
