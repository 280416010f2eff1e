# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
import yaml
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _kubeconfig


def test_what_is_rendered_is_read_back():
    text = _kubeconfig.render("c", "https://10.0.0.1:6443", "CA\n", "anna", "CERT\n", "KEY\n")
    document = yaml.safe_load(text)
    assert document["current-context"] == "anna@c"
    assert document["contexts"] == [{"name": "anna@c", "context": {"cluster": "c", "user": "anna"}}]
    assert _kubeconfig.parse(document) == (("c",), "https://10.0.0.1:6443", "CA\n", "CERT\n", "KEY\n")


def test_names_stay_scalars():
    text = _kubeconfig.render("c: [", "https://x", "", 'an"na\n', "", "")
    assert yaml.safe_load(text)["users"][0]["name"] == 'an"na\n'


@pytest.mark.parametrize(
    "document", [[], "junk", 3, {"kind": "Pod"}, {"clusters": []}, {"kind": "Config", "clusters": [3]}]
)
def test_what_is_no_kubeconfig(document):
    assert _kubeconfig.parse(document) is None


def test_an_empty_file_and_an_empty_kubeconfig_hold_nothing():
    assert _kubeconfig.parse(None) == _kubeconfig.EMPTY
    assert _kubeconfig.parse({"kind": "Config", "clusters": None}) == _kubeconfig.EMPTY


def test_data_that_is_not_base64_is_none():
    document = yaml.safe_load(_kubeconfig.render("c", "https://x", "", "u", "", "KEY"))
    document["users"][0]["user"]["client-key-data"] = "%%%"
    assert _kubeconfig.parse(document).key == ""


def test_the_server_in_use_is_asked_first():
    assert _kubeconfig.in_order(["a", "b", "c"], "b") == ["b", "a", "c"]
    assert _kubeconfig.in_order(["a", "b"], "x") == ["a", "b"]
