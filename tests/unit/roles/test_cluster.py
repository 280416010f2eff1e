# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Where the state of a run is read, and the steps that one host takes for the whole cluster."""

from __future__ import annotations

import pathlib
import re

import jinja2
import pytest
import yaml

ROLES = pathlib.Path(__file__).parents[3] / "roles"


def test_the_variables_of_a_role_read_no_result_of_another():
    found = {
        (path.relative_to(ROLES).parts[0], name)
        for path in ROLES.glob("*/vars/**/*.yml")
        for name in re.findall(r"\b__\w+_result\b", path.read_text(encoding="utf-8"))
    }
    assert ("control_plane", "__control_plane_result") in found
    assert {(role, name) for role, name in found if not name.startswith(f"__{role}_")} == set()


def test_the_shared_variables_do_not_depend_on_the_hosts_of_a_play():
    texts = [path.read_text(encoding="utf-8") for path in (ROLES / "cluster" / "vars" / "main").glob("*.yml")]
    assert len(texts) > 3
    assert not re.findall(r"ansible_play\w+", "".join(texts))


@pytest.mark.parametrize("task", ["addons/tasks/run.yml", "etcd/tasks/access.yml", "flannel/tasks/network.yml"])
@pytest.mark.parametrize(
    ("play", "takers"),
    [
        # Plays have their hosts in the order in which they were sorted into groups: k1, which has just booted, was the last.
        (["k2", "k3", "n1", "k1"], ["k1"]),
        (["n1", "k3", "k2"], ["k2"]),
        (["n1"], []),
    ],
)
def test_the_same_host_takes_the_step_whatever_the_order_of_a_play(task, play, takers):
    (step,) = yaml.safe_load((ROLES / task).read_text(encoding="utf-8"))
    holds = jinja2.Environment().compile_expression(step["when"])
    servers = ["k1", "k2", "k3"]

    def known(host):
        kinds = dict.fromkeys(("__cluster_is_control_plane", "__cluster_is_etcd_member"), host in servers)
        hosts = dict.fromkeys(("__cluster_control_planes", "__cluster_etcd_members"), servers)
        return {**kinds, **hosts, "ansible_play_hosts_all": play, "inventory_hostname": host}

    assert [host for host in play if holds(known(host))] == takers
