# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest

from lab import machine

DEB822 = """Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""


@pytest.mark.parametrize(
    ("texts", "mirror"),
    [
        ([DEB822], "http://mirror.example/debian"),
        (["deb [signed-by=/k.gpg] https://one.example/debian/ trixie main contrib\n"], "https://one.example/debian"),
        (["# deb http://off.example/debian trixie main\n", DEB822], "http://mirror.example/debian"),
        (["deb http://security.example/debian-security trixie-security main\n"], machine.DEFAULT_MIRROR),
        (
            ["Types: deb-src\nURIs: http://src.example/debian\nSuites: trixie\nComponents: main\n"],
            machine.DEFAULT_MIRROR,
        ),
        (
            ["Types: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: trixie\nComponents: main\n"],
            machine.DEFAULT_MIRROR,
        ),
        (
            ["Types: deb\nURIs: mirror+file:///etc/apt/debian\nSuites: trixie\nComponents: main\n"],
            machine.DEFAULT_MIRROR,
        ),
        (["deb http://archive.example/ubuntu noble main\n"], machine.DEFAULT_MIRROR),
        ([], machine.DEFAULT_MIRROR),
    ],
)
def test_debian_mirror(texts, mirror):
    assert machine.debian_mirror(texts) == mirror


@pytest.mark.parametrize(
    ("status", "has"),
    [
        ("CapEff:\t000001ffffffffff\nCapBnd:\t000001fffeffffff\n", False),
        ("CapBnd:\t000001ffffffffff\n", True),
        ("", True),
    ],
)
def test_has_capability(status, has):
    assert machine.has_capability(machine.CAP_SYS_RESOURCE, status) is has


def test_apt_settings_are_proxies_and_date_checks_only():
    dump = (
        'Acquire::http::Proxy "http://p:3128";\nAcquire::https::Proxy::one.example "DIRECT";\n'
        'Acquire::Check-Valid-Until "false";\nAcquire::GzipIndexes "true";\nAcquire::http::Timeout "9";\n'
    )
    assert machine.APT_SETTING.findall(dump) == [
        'Acquire::http::Proxy "http://p:3128";',
        'Acquire::https::Proxy::one.example "DIRECT";',
        'Acquire::Check-Valid-Until "false";',
    ]
