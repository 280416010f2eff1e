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
        (["deb http://security.example/debian-security trixie-security main\n"], ""),
        (
            ["Types: deb-src\nURIs: http://src.example/debian\nSuites: trixie\nComponents: main\n"],
            "",
        ),
        (
            ["Types: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: trixie\nComponents: main\n"],
            "",
        ),
        (
            ["Types: deb\nURIs: mirror+file:///etc/apt/debian\nSuites: trixie\nComponents: main\n"],
            "",
        ),
        (["deb http://archive.example/ubuntu noble main\n"], ""),
        ([], ""),
    ],
)
def test_debian_mirror(texts, mirror):
    assert machine.debian_mirror(texts) == mirror


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


def test_inotify_instances_are_raised_and_never_lowered(tmp_path):
    path = tmp_path / "max_user_instances"
    for before, after in (("128", 2048), ("2048", 2048), ("8192", 8192)):
        path.write_text(f"{before}\n")
        machine.raise_inotify(path)
        assert int(path.read_text()) == after
