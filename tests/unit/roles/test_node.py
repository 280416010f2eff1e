# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pathlib

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = pathlib.Path(__file__).parents[3] / "roles" / "node"
CLUSTER = ROLE.parent / "cluster"
TAINT = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]


@pytest.mark.parametrize(
    ("control_planes", "nodes", "is_control_plane", "taints"),
    [
        (["k1"], ["k1"], True, []),  # all that there is
        (["k1", "k2", "k3"], ["k1", "k2", "k3"], True, []),
        (["k1"], ["k1", "n1"], True, TAINT),
        (["k1"], ["k1", "n1"], False, []),  # n1
    ],
)
def test_a_control_plane_is_tainted_where_there_are_other_nodes(control_planes, nodes, is_control_plane, taints):
    text = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))["__node_taints"]
    overall = yaml.safe_load((CLUSTER / "vars" / "main" / "topology.yml").read_text(encoding="utf-8"))[
        "__cluster_overall"
    ]
    variables = {
        "__cluster_control_planes": control_planes,
        "__cluster_nodes": nodes,
        "__cluster_is_control_plane": is_control_plane,
        "__cluster_overall": {name: trust_as_template(value) for name, value in overall.items()},
    }
    assert Templar(DataLoader(), variables=variables).template(trust_as_template(text)) == taints
