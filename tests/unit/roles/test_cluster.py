# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""What role cluster derives from the inventory."""

from __future__ import annotations

import pathlib

import jinja2
import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

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


@pytest.mark.parametrize(
    ("cluster", "user"), [("plainkube", "system:node:n1"), (2024, "433e40"), ("no", "n"), ("a: b", 'a"b\\')]
)
def test_names_in_a_kubeconfig_are_text(cluster, user):
    source = (VARIABLES.parents[2] / "templates" / "kubeconfig.j2").read_text(encoding="utf-8")
    variables = {"cluster_name": cluster, "user": user, "certificate": "c", "key": "c.key", "__cluster_pki": "/pki"}
    variables["__cluster_api_server"] = "https://192.0.2.11:443"
    config = yaml.safe_load(Templar(DataLoader(), variables=variables).template(trust_as_template(source)))
    name = str(cluster)
    assert [one["name"] for kind in ("clusters", "users", "contexts") for one in config[kind]] == [
        name,
        user,
        f"{user}@{name}",
    ]
    assert config["contexts"][0]["context"] == {"cluster": name, "user": user}
    assert config["current-context"] == f"{user}@{name}"
    assert config["clusters"][0]["cluster"]["server"] == "https://192.0.2.11:443"
