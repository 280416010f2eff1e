# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The installed archive finds no difference on a cluster that this checkout installed."""

from __future__ import annotations

import pytest

from tests.packaging.archive import Installed, build


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return Installed(build(tmp_path_factory.mktemp("built")), tmp_path_factory.mktemp("installed"))


@pytest.mark.parametrize("playbook", ["status", "site"])
def test_a_playbook_of_the_installed_collection_changes_nothing(installed, cluster, playbook):
    run = installed.playbook(playbook, "-i", cluster.inventory).demand()
    assert set(run.recap) >= {*cluster.control_planes, *cluster.nodes}
    assert run.changed == 0, run.output
    assert "all is well" in run.output
