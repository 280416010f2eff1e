# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Who gets which keys, and what the playbooks of certificates tell the operator."""

from __future__ import annotations

import pathlib
import re

import jinja2
import pytest
import yaml

TOP = pathlib.Path(__file__).parents[3]


def variables(role):
    return yaml.safe_load((TOP / "roles" / role / "vars" / "main.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("program", ["apiserver", "controller-manager", "scheduler"])
def test_a_control_plane_gets_the_keys_that_its_units_load_and_use(program):
    keys = {*variables("control_plane")[f"__control_plane_{program.replace('-', '_')}_keys"]}
    group = variables("certificates")["__certificates_of"]["control_plane"]
    assert keys <= {*group["files"], *(f"{one['name']}.key" for one in group["certificates"])}
    unit = (TOP / "roles/control_plane/templates" / f"kube-{program}.service.j2").read_text(encoding="utf-8")
    used = {name for name in re.findall(r"=%d/(\S+)", unit) if name != f"{program}.conf"}
    # A kubeconfig refers to the key beside it.
    assert used | {f"{program}.key"} == keys


def hinted(known):
    """Whether certificates.yml says that existing kubeconfigs are no longer accepted."""
    plays = yaml.safe_load((TOP / "playbooks" / "certificates.yml").read_text(encoding="utf-8"))
    task = next(task for play in plays for task in play.get("tasks", []) if "kubeconfigs" in str(task))
    return jinja2.Environment().compile_expression(task["when"])(ansible_check_mode=False, **known)


@pytest.mark.parametrize(
    ("options", "replaced", "expected"),
    [
        ({"certificates_rotate": ["kubernetes"]}, ["kubernetes"], True),
        # A run without options resumes the rotation of an earlier one.
        ({"certificates_rotate": []}, ["kubernetes"], True),
        ({"certificates_rotate": ["front-proxy"]}, ["front-proxy"], False),
    ],
)
def test_a_new_kubernetes_ca_needs_new_kubeconfigs(options, replaced, expected):
    assert hinted({**options, "__certificates_done": True, "__certificates_replaced": replaced}) is expected


def test_without_a_rotation_kubeconfigs_are_accepted():
    assert hinted({"certificates_rotate": []}) is False


def test_the_report_on_encryption_has_the_sentence_of_the_key():
    template = jinja2.Environment().from_string(variables("certificates")["__certificates_encryption"])

    def report(**sentences):
        rotation = {"sentences": {"etcd": "encryption of etcd's clients", **sentences}}
        return template.render(__certificates_in_use={"key-1": 7}, __certificates_rotation=rotation)

    assert report(encryption="encryption: a new key is used") == (
        "['Secrets and ConfigMaps in etcd: 7 with key-1', 'encryption: a new key is used']"
    )
    assert report().endswith("'encryption: no rotation in progress']")


def test_the_clients_of_etcd_are_its_users_and_its_members_are_none():
    groups = variables("certificates")["__certificates_of"].values()
    issued = [one for group in groups for one in group.get("certificates", []) if one["authority"] == "etcd"]
    names = {
        usage: {one["common_name"] for one in issued if one["usages"] == usage.split()}
        for usage in ("client", "server client")
    }
    catalogue = yaml.safe_load((TOP / "roles/cluster/vars/main/components.yml").read_text(encoding="utf-8"))
    users = {one["name"] for one in catalogue["__cluster_etcd_users"]}
    assert names["client"] == users
    unit = (TOP / "roles/etcd/templates/etcd.service.j2").read_text(encoding="utf-8")
    (member,) = re.findall(r"--peer-cert-allowed-cn=(\S+)", unit)
    assert names["server client"] == {member, "{host}"}
    assert member not in users
