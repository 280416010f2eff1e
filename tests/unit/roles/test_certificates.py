# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""What the playbooks of certificates tell the operator."""

from __future__ import annotations

import pathlib

import jinja2
import pytest
import yaml

TOP = pathlib.Path(__file__).parents[3]


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
    variables = yaml.safe_load((TOP / "roles" / "certificates" / "vars" / "main.yml").read_text(encoding="utf-8"))
    template = jinja2.Environment().from_string(variables["__certificates_encryption"])

    def report(**sentences):
        rotation = {"sentences": {"etcd": "encryption of etcd's clients", **sentences}}
        return template.render(__certificates_in_use={"key-1": 7}, __certificates_rotation=rotation)

    assert report(encryption="encryption: a new key is used") == (
        "['Secrets and ConfigMaps in etcd: 7 with key-1', 'encryption: a new key is used']"
    )
    assert report().endswith("'encryption: no rotation in progress']")
