# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""What role preflight checks on a host agrees with what the other roles create there."""

from __future__ import annotations

import pathlib
import re

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles

ROLES = pathlib.Path(__file__).parents[3] / "roles"
PARENTS = {"StateDirectory": "/var/lib", "LogsDirectory": "/var/log", "CacheDirectory": "/var/cache"}
PARTS = {
    "__cluster_is_etcd_member": {"etcd"},
    "__cluster_is_control_plane": {"control_plane", "flannel"},
    "__cluster_is_node": {"node", "flannel"},
}


def made_by_units(roles):
    """What systemd makes for the units of these roles."""
    units = [path.read_text(encoding="utf-8") for role in roles for path in (ROLES / role).rglob("*.service.j2")]
    found = re.findall(r"^(State|Logs|Cache)Directory=(\S+)$", "\n".join(units), re.MULTILINE)
    return {f"{PARENTS[f'{kind}Directory']}/{name}" for kind, name in found}


@pytest.mark.parametrize("part", PARTS)
def test_every_directory_that_systemd_makes_is_looked_at(part):
    known = {**_roles.variables(), **{name: name == part for name in PARTS}, "__cluster_facts": {}}
    templar = Templar(DataLoader(), variables={**known, "cluster_runtime": "docker", "groups": {}})
    footprints = templar.template(
        trust_as_template("{{ __cluster_catalogue | plainkube.cluster.components('footprints') }}")
    )
    assert {path for one in footprints for path in one["directories"]} == made_by_units(PARTS[part])
    assert made_by_units(PARTS[part])
