# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pathlib

import pytest
from ansible.template import trust_as_template
from ansible_collections.plainkube.cluster.plugins.action import role_variables

ROLES = pathlib.Path(__file__).parents[4] / "roles"
DIRECTORIES = sorted(path.name for path in ROLES.iterdir())


HOST = {
    "inventory_hostname": "n1",
    "group_names": ["node"],
    "groups": {"all": ["n1"], "node": ["n1"]},
    "hostvars": {"n1": {"inventory_dir": "/srv"}},
}


@pytest.fixture
def check(action_plugin):
    """What the task says of a node with these variables."""

    def check(variables, tags=(), **args):
        known = {**HOST, **variables}
        return action_plugin(role_variables, args, tags, known).run(task_vars=known)

    return check


def test_a_run_of_some_tags_only_is_refused(check, monkeypatch):
    monkeypatch.setattr(role_variables.context, "CLIARGS", {"tags": ("etcd",), "skip_tags": ()})
    result = check({}, tags=["always"])
    assert (result["failed"], result["changed"]) == (True, False)
    assert "--tags etcd skips their steps: run the whole playbook" in result["msg"]


def test_what_an_earlier_run_left_in_a_fact_cache_is_forgotten(check):
    stale = {"plainkube": {"address": "192.0.2.9"}, "plainkube_unreached": True, "distribution": "Debian"}
    forgotten = {"plainkube": {}, "plainkube_unreached": False, "plainkube_address": ""}
    assert check({"ansible_facts": stale})["ansible_facts"] == forgotten
    assert "ansible_facts" not in check({"ansible_facts": {"distribution": "Debian"}})


@pytest.mark.parametrize("name", ["artifacts_mirror", "status_file", "__cluster_hosts", "plainkube_hosts"])
def test_a_variable_that_is_a_fact_of_the_host_is_refused(check, name):
    """Ansible has made it a variable, over the inventory's."""
    variables = {"inventory_hostname": "n1", "ansible_facts": {name: "/", "distribution": "Debian", "plainkube": {}}}
    result = check(variables)
    assert result["failed"]
    assert result["msg"].startswith(f"n1 sets {name} by facts, which override the inventory: remove them")


def test_keys_of_a_ca_are_never_kept_beside_the_playbook(check):
    listed = {"groups": {"all": ["k1"], "node": ["n1"]}, "hostvars": {"k1": {"inventory_dir": None}}}
    assert check(listed)["failed"] is False
    listed["cluster_control_plane_group"] = "all"
    result = check(listed)
    assert (result["failed"], result["msg"]) == (True, role_variables._preflight.NO_HOME)
    assert check({**listed, "certificates_directory": "/srv/pki"})["failed"] is False
    assert check({**listed, "hostvars": {"k1": {"inventory_dir": "/srv"}}})["failed"] is False


def test_every_role_has_its_options_described():
    assert sorted(role_variables._roles.options()) == DIRECTORIES


def test_good_variables(check):
    variables = {"cluster_api_port": "6443", "node_labels": {}, "ansible_host": "n1", "inventory_hostname": "n1"}
    assert check(variables)["failed"] is False


@pytest.mark.parametrize("role", DIRECTORIES)
def test_a_misspelt_variable_of_any_role(check, role):
    result = check({f"{role}_no_such_thing": 1})
    assert result["failed"]
    assert result["msg"].startswith(f"{role}_no_such_thing is not a variable of plainkube.cluster: ")


def test_types_choices_and_unknown_ones_in_one_go_and_no_values_of_those(check):
    variables = {"cluster_api_port": "https", "docker_foreign_containers": "kill", "node_lables": "secret"}
    lines = check(variables)["msg"].splitlines()
    assert "cluster_api_port is 'https', where a whole number is needed." in lines
    assert any("docker_foreign_containers must be one of: refuse, restart, got: kill" in line for line in lines)
    assert any(
        "node_lables is not a variable of plainkube.cluster: did you mean node_labels?" in line for line in lines
    )
    assert len(lines) == 3
    assert "secret" not in "".join(lines)


def test_a_text_is_neither_list_nor_dict(check):
    lines = check({"certificates_extra_sans": "api.example.org", "node_labels": "secret=1"})["msg"].splitlines()
    assert lines == [
        "certificates_extra_sans is the text 'api.example.org', where a list is needed: write it as YAML, [a, b], or as JSON after -e.",
        "node_labels is the text, where a dict is needed: write it as YAML, {a: b}, or as JSON after -e.",
    ]


def test_what_cannot_be_evaluated_is_told_unless_something_else_is_wrong(check):
    made = {"cluster_dns_address": trust_as_template("{{ nothing }}")}
    message = check(made)["msg"]
    assert message.startswith("cluster_dns_address cannot be evaluated (")
    assert message.endswith("'nothing' is undefined): correct it, or the variables that it refers to.")
    assert check({**made, "cluster_service_network": "10.96.0.0/30"})["msg"] == (
        "cluster_service_network is '10.96.0.0/30', which is too small: use a network of at least 16 addresses (/28)."
    )


def test_a_wrong_proxy_is_refused_and_its_password_is_in_no_message(check):
    variables = {"cluster_http_proxy": "https://user:Geheim@proxy", "cluster_no_proxy": ["a,b"]}
    result = check(variables)
    assert result["failed"]
    assert [line.split()[0] for line in result["msg"].splitlines()] == ["cluster_http_proxy", "cluster_no_proxy"]
    assert "Geheim" not in str(result)


def test_variables_of_others_can_be_listed(check):
    assert check({"node_exporter_port": 9100}, foreign=["node_exporter_*"])["failed"] is False
    assert check({"node_exporter_port": 9100}, foreign=["node_other_*"])["failed"] is True
    variables = {"node_exporter_port": 9100, "preflight_foreign_variables": ["node_exporter_*"]}
    assert check(variables)["failed"] is False


@pytest.mark.parametrize("value", [5, "node_*", {"node_exporter_port": 1}])
def test_a_list_of_variables_of_others_that_is_none(check, value):
    result = check({"preflight_foreign_variables": value})
    assert result["failed"]
    assert [line.split()[0] for line in result["msg"].splitlines()] == ["preflight_foreign_variables"]


@pytest.fixture
def grouped(monkeypatch):
    """What group_by is asked for."""
    asked = []
    monkeypatch.setattr(
        role_variables.GroupBy, "run", lambda self, tmp, task_vars: asked.append(self._task.args) or {"changed": True}
    )
    return asked


def test_a_host_with_right_variables_is_put_into_groups(check, grouped):
    result = check({"cluster_api_port": 6443, "group_names": ["node", "etcd"]}, group=True)
    assert (result["failed"], result["changed"]) == (False, False)
    groups = ["plainkube_hosts", "plainkube_node"]
    assert grouped == [{"key": "__".join(groups), "parents": groups}]
    assert check({}, group=False)["failed"] is False
    assert len(grouped) == 1


def test_one_with_wrong_variables_is_not(check, grouped):
    assert check({"cluster_verion": "1"}, group=True)["failed"]
    assert grouped == []


def test_no_variable_of_a_host_outside_the_cluster_matters(check, grouped):
    result = check({"cluster_verion": "1", "group_names": ["database"]}, group=True)
    assert result == {"changed": False, "msg": "This host is in no group of the cluster."}
    assert grouped == []


def test_an_inventory_without_hosts_of_the_cluster_is_refused(check, grouped):
    result = check({"group_names": [], "groups": {"all": ["n1"]}, "cluster_node_group": "workers"}, group=True)
    assert (result["failed"], result["msg"]) == (
        True,
        "The inventory has no host in the group control_plane (cluster_control_plane_group) nor in workers (cluster_node_group): add a control plane.",
    )
    assert grouped == []


def test_a_group_that_is_no_name_is_told(check):
    lines = check({"cluster_node_group": ["workers"]}, group=True)["msg"].splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("cluster_node_group")


def test_flags_issuers_and_webhooks_that_cannot_be(check):
    variables = {
        "node_kubelet_flags": {"anonymous-auth": True},
        "control_plane_authentication_jwt": [{"issuer": {"url": "http://a.example", "audiences": ["a"]}}],
        "control_plane_authorization_webhooks": [{"name": "rbac", "kubeconfig": "secret", "settings": {}}],
    }
    message = check(variables)["msg"]
    for start in (
        "node_kubelet_flags has 'anonymous-auth', which is refused: ",
        "control_plane_authentication_jwt (issuer http://a.example) has no issuer URL",
        "control_plane_authorization_webhooks has the name 'rbac'",
    ):
        assert any(line.startswith(start) for line in message.splitlines()), start
    assert "secret" not in message
    listed = {"node_kubelet_flags": {"anonymous-auth": True}, "cluster_unsafe_flags": ["kubelet/anonymous-auth"]}
    assert check(listed)["failed"] is False
