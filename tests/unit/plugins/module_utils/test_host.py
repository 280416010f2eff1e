# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils import _host


def test_os_release_is_unquoted():
    assert _host.parse_os_release('ID=debian\nVERSION_ID="13"\n# x=y\n') == {"ID": "debian", "VERSION_ID": "13"}


def test_memory_is_in_mib():
    assert _host.parse_memory_mb("MemTotal:        2097152 kB\nMemFree: 1 kB\n") == 2048


@pytest.mark.parametrize(
    ("bounding", "has"),
    [("000001ffffffffff", True), ("000001fffeffffff", False)],
)
def test_capability(bounding, has):
    assert _host.has_capability(f"Name:\tsystemd\nCapBnd:\t{bounding}\n", _host.CAP_SYS_RESOURCE) is has


@pytest.mark.parametrize(
    ("kernel", "nft", "usable"),
    [
        ("6.1.0-28-amd64", "nftables v1.0.6 (Lester Gooch #5)", True),
        ("6.12.0", "", True),
        ("5.10.0-30-amd64", "nftables v1.0.6", False),
        ("5.15.0", "nftables v0.9.8 (E.D.S.)", False),
    ],
)
def test_nftables(kernel, nft, usable):
    assert _host.nftables_usable(kernel, nft) is usable


@pytest.mark.parametrize(
    ("text", "swaps"),
    [
        ("Filename\tType\tSize\n", False),
        ("Filename\tType\tSize\n/dev/sda2 partition 1\n", True),
        ("Filename\tType\tSize\n/dev/zram0 partition 1\n", False),
        ("", False),
    ],
)
def test_swaps(text, swaps):
    assert _host.swaps(text) is swaps
