# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Lookups pending and rollout: the hosts of the plays of site.yml."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.plainkube.cluster.plugins.lookup import pending, rollout

RUNNING = {"etcd": {"components": {"etcd": {"running": True}}}, "etcd_member": {"live": True}}


def host(name, to_do=("etcd",), answers=None, state="member"):
    return {
        "inventory_hostname": name,
        "groups": {"control_plane": ["k1", "k2", "k3"]},
        "ansible_facts": {"plainkube": {"etcd_state": state}},
        "__survey_result": {
            "survey": "now",
            "to_do": [*to_do],
            "steps": ["etcd", "docker"],
            "answers": answers or {},
        },
    }


def inspect(plugin, *terms, hosts):
    known = {one["inventory_hostname"]: one for one in hosts}
    groups = {"all": ["k1", "k2", "k3"], "plainkube_hosts": [*known]}
    loader = DataLoader()
    made = plugin.LookupModule(loader=loader, templar=Templar(loader=loader))
    return made.run(list(terms), {"groups": groups, "hostvars": known})[0]


def test_hosts_with_steps_to_take():
    hosts = [host("k2", to_do=["docker"]), host("k1", to_do=["etcd"]), host("k3", to_do=[])]
    assert inspect(pending, hosts=hosts) == ["k1", "k2"]
    assert inspect(pending, "docker", "node", hosts=hosts) == ["k2"]
    assert inspect(pending, "firewall", hosts=hosts) == []
    assert inspect(pending, hosts=[]) == []
    with pytest.raises(AnsibleLookupError, match="there is no step etdc"):
        inspect(pending, "etdc", hosts=hosts)


def test_running_members_change_one_at_a_time():
    """k3 is not part of the run, and the inventory has three members: what is not running joins a cluster."""
    hosts = [host("k1", answers=RUNNING), host("k2", state="none")]
    assert inspect(rollout, "etcd", hosts=hosts) == [["k2"], ["k1"]]
    assert inspect(rollout, "control_plane", hosts=hosts) == []
    assert inspect(rollout, "etcd", hosts=[host("k1", to_do=[])]) == []


def test_members_of_a_new_cluster_start_together():
    hosts = [host(name, state="none") for name in ("k1", "k2", "k3")]
    assert inspect(rollout, "etcd", hosts=hosts) == [["k1", "k2", "k3"]]


@pytest.mark.parametrize("components", [{"etcd": {}}, "none", None])
def test_a_host_whose_answer_is_none_may_run_what_it_does_not_tell_of(components):
    answers = {"etcd": {"components": components}, "etcd_member": {"live": True}}
    assert inspect(rollout, "etcd", hosts=[host("k1", answers=answers)]) == [["k1"]]
