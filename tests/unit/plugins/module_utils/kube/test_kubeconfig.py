# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json

import pytest
import yaml
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _kubeconfig
from ansible_collections.plainkube.cluster.plugins.module_utils.kube._kubeconfig import Access

PATHS = Access("https://192.0.2.11:6443", "/pki/ca.crt", "/pki/anna.crt", "/pki/anna.key", embedded=False)
EMBEDDED = Access("https://192.0.2.11:6443", "CA\n", "CERT\n", "KEY\n", embedded=True)


@pytest.mark.parametrize("access", [PATHS, EMBEDDED])
def test_a_rendered_kubeconfig_is_parsed_again(access):
    text = _kubeconfig.render("c", "anna", access)
    # kubectl writes the same content in a different order.
    for document in (json.loads(text), yaml.safe_load(text), yaml.safe_load(yaml.safe_dump(json.loads(text)))):
        assert document["current-context"] == "anna@c"
        assert document["contexts"] == [{"name": "anna@c", "context": {"cluster": "c", "user": "anna"}}]
        assert _kubeconfig.parse(document) == access
        assert _kubeconfig.clusters(document) == ["c"]


@pytest.mark.parametrize(("cluster", "user"), [("no", "433e40"), ("a: b", 'a"b\\\n')])
def test_names_are_text_to_a_yaml_parser(cluster, user):
    document = yaml.safe_load(_kubeconfig.render(cluster, user, PATHS))
    assert (document["clusters"][0]["name"], document["users"][0]["name"]) == (cluster, user)


def test_the_current_context_counts():
    one, other = (json.loads(_kubeconfig.render(name, name, PATHS._replace(server=f"https://{name}"))) for name in "ab")
    both = {**one, **{key: one[key] + other[key] for key in ("clusters", "users", "contexts")}}
    assert _kubeconfig.parse({**both, "current-context": "b@b"}).server == "https://b"
    assert _kubeconfig.clusters(both) == ["a", "b"]


def test_relative_paths():
    document = json.loads(_kubeconfig.render("c", "u", PATHS._replace(ca="pki/ca.crt", certificate="u.crt")))
    assert _kubeconfig.parse(document, "/etc")[1:4] == ("/etc/pki/ca.crt", "/etc/u.crt", "/pki/anna.key")


@pytest.mark.parametrize(
    "document", [None, [], "junk", 3, {"kind": "Pod"}, {"clusters": []}, {"kind": "Config", "clusters": [3]}]
)
def test_not_a_kubeconfig(document):
    with pytest.raises(ValueError, match="not a kubeconfig"):
        _kubeconfig.parse(document)


def test_missing_fields_are_empty():
    assert _kubeconfig.parse({"kind": "Config", "clusters": None}) == Access("", "", "", "", embedded=False)
    document = json.loads(_kubeconfig.render("c", "u", EMBEDDED))
    document["users"][0]["user"]["client-key-data"] = "%%%"
    del document["users"][0]["user"]["client-certificate-data"]
    assert _kubeconfig.parse(document) == EMBEDDED._replace(certificate="", key="")
