# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""What role cluster derives from the inventory."""

from __future__ import annotations

import pathlib

import jinja2
import pytest
import yaml

VARIABLES = pathlib.Path(__file__).parents[3] / "roles" / "cluster" / "vars" / "main" / "topology.yml"


@pytest.mark.parametrize(
    ("play", "first"),
    [
        # Plays have their hosts in the order in which they were sorted into groups: k1, which has just booted, was the last.
        (["k2", "k3", "n1", "k1"], "k1"),
        (["n1", "k3", "k2"], "k2"),
        (["n1"], ""),
    ],
)
def test_the_first_control_plane_is_the_same_whatever_the_order_of_a_play(play, first):
    text = yaml.safe_load(VARIABLES.read_text(encoding="utf-8"))["__cluster_overall"]["first_control_plane"]
    known = {"ansible_play_hosts_all": play, "__cluster_control_planes": ["k1", "k2", "k3"]}
    assert jinja2.Environment().from_string(text).render(known) == first
