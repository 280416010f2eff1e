# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest

from lab import hosts


@pytest.mark.parametrize(
    ("name", "others", "address"),
    [
        ("k1", [], "172.30.6.11"),
        ("k9", [], "172.30.6.19"),
        ("n1", [], "172.30.6.21"),
        ("n150", [], "172.30.6.170"),
        ("k10", [], "172.30.6.201"),
        ("e1", ["172.30.6.201"], "172.30.6.202"),
        ("bastion", [], "172.30.6.201"),
        ("n", [], "172.30.6.201"),
    ],
)
def test_address(name, others, address):
    assert hosts.address(name, "172.30.6.0/24", others) == address
