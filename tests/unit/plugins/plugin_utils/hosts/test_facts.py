# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.action import certificate_sign, certificate_summary, status_summary
from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _facts


def variables(**facts):
    hosts = {"k1": {}, "n1": {"ansible_facts": {"plainkube": {}, "distribution": "Debian", **facts}}}
    return {"ansible_play_hosts_all": ["k1", "n1"], "hostvars": hosts, "inventory_hostname": "k1"}


def test_facts_that_are_nobodys_variables():
    assert _facts.problem({}) == ""
    assert _facts.problem(variables(node_name="n1", cluster="x", plainkube_unreached=False)) == ""


@pytest.mark.parametrize("name", ["certificates_directory", "kubeconfig_path", "__certificates_home", "plainkube_node"])
def test_a_fact_that_is_a_variable_of_the_collection(name):
    assert _facts.problem(variables(**{name: "/"})).startswith(f"n1 sets {name} by facts, which override the inventory")


class Connection:
    class _shell:  # noqa: N801
        tmpdir = "/nowhere"


class Task:
    check_mode = False
    async_val = 0
    args: dict = {}


@pytest.mark.parametrize("action", [certificate_sign, certificate_summary, status_summary])
def test_nothing_is_signed_or_written_with_such_facts(action, monkeypatch):
    """A task between may have run any module on the host, so it is asked again."""
    plugin = action.ActionModule(Task(), Connection, None, None, None, None)
    monkeypatch.setattr(plugin, "validate_argument_spec", lambda spec: (None, {"answers": {}, "state": "present"}))
    result = plugin.run(task_vars=variables(status_file="/root/.bashrc"))
    assert result["failed"]
    assert result["msg"].startswith("n1 sets status_file by facts")
