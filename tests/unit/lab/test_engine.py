# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

from lab.engine import daemon_config


def test_daemon_config_keeps_the_users_settings():
    user = {"mtu": 1400, "runtimes": {"crun": {"path": "/usr/bin/crun"}}, "default-runtime": "crun"}
    assert daemon_config(user, "/w") == {
        "mtu": 1400,
        "runtimes": {"crun": {"path": "/usr/bin/crun"}, "bounded": {"path": "/w"}},
        "default-runtime": "bounded",
    }
    assert user["default-runtime"] == "crun"
