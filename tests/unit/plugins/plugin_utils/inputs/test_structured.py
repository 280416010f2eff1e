# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import copy

import pytest
import yaml
from ansible_collections.plainkube.cluster.plugins.plugin_utils.inputs import _structured

JWT = {
    "issuer": {"url": "https://sso.example/realm", "audiences": ["plainkube"]},
    "claimMappings": {"username": {"claim": "sub", "prefix": "oidc:"}},
}
KUBECONFIG = yaml.safe_dump(
    {
        "kind": "Config",
        "clusters": [{"name": "a"}],
        "users": [{"name": "a", "user": {"token": "hidden"}}],
        "contexts": [{"name": "a"}],
        "current-context": "a",
    }
)
WEBHOOK = {"name": "policy", "kubeconfig": KUBECONFIG, "settings": {"failurePolicy": "Deny"}}


def changed(original, path, value):
    """A copy with another value at a path of keys; without it where the value is None."""
    copied = copy.deepcopy(original)
    inner = copied
    *above, last = path.split(".")
    for key in above:
        inner = inner[key]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return copied


def test_what_is_right_is_let_through():
    expression = changed(JWT, "claimMappings.username", {"expression": "claims.sub"})
    assert _structured.authentication_problems([JWT, changed(expression, "issuer.url", "https://b.example")]) == []
    assert _structured.authorization_problems([WEBHOOK]) == []
    assert _structured.problems({}) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("issuer", None, "(entry 1) has no issuer URL"),
        ("issuer.url", "http://sso.example", "begins with https://"),
        ("issuer.url", "https://user@sso.example", "begins with https://"),
        ("issuer.audiences", None, "has no audiences"),
        ("issuer.audiences", "plainkube", "has no audiences"),
        ("issuer.audiences", ["a", "b"], "audienceMatchPolicy to MatchAny"),
        ("issuer.certificateAuthority", "/etc/ssl/ca.crt", "not to the path of a file"),
        ("claimMappings", None, "does not map a claim"),
        ("claimMappings.username", {"prefix": "a"}, "does not map a claim"),
        ("claimMappings.username", {"claim": "sub"}, "no prefix in claimMappings.username"),
        ("claimMappings.groups", {"claim": "groups"}, "no prefix in claimMappings.groups"),
        ("claimMappings.groups", {"claim": "groups", "expression": "claims.groups"}, "remove one of them"),
        ("anonymous", {"enabled": True}, "anonymous, which is not a field of a JWT authenticator"),
    ],
)
def test_an_issuer_that_the_api_server_would_end_for(path, value, said):
    found = _structured.problems({_structured.JWT: [changed(JWT, path, value)]})
    assert [said in sentence for sentence in found].count(True) == 1, found
    assert all(sentence.startswith("control_plane_authentication_jwt (") for sentence in found)


def test_an_issuer_is_named_once():
    (sentence,) = _structured.authentication_problems([JWT, JWT, JWT])
    assert sentence.startswith("control_plane_authentication_jwt has the issuer 'https://sso.example/realm' twice")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("name", "Policy", "has the name 'Policy'"),
        ("name", "a/../b", "has the name 'a/../b'"),
        ("name", "node", "has the name 'node'"),
        ("settings.failurePolicy", None, "failurePolicy None in the settings of policy"),
        ("settings.failurePolicy", "Allow", "failurePolicy 'Allow'"),
        ("settings.connectionInfo", {}, "connectionInfo"),
        ("kubeconfig", "password: hidden", "is not a kubeconfig"),
        ("kubeconfig", "a: [hidden", "is not a kubeconfig"),
        ("kubeconfig", KUBECONFIG.replace("current-context: a", ""), "has no current-context"),
        ("kubeconfig", {"kind": "Config"}, "is not a kubeconfig"),
    ],
)
def test_a_webhook_that_the_api_server_would_end_for(path, value, said):
    (sentence,) = _structured.problems({_structured.WEBHOOKS: [changed(WEBHOOK, path, value)]})
    assert said in sentence
    assert "hidden" not in sentence


def test_a_webhook_is_named_once():
    (sentence,) = _structured.authorization_problems([WEBHOOK, WEBHOOK])
    assert sentence.startswith("control_plane_authorization_webhooks has the name 'policy' twice")


def test_node_and_rbac_decide_too_and_a_webhook_before_or_after_rbac():
    late = {**WEBHOOK, "name": "late", "before_rbac": False}
    found = _structured.authorization([late, {**WEBHOOK, "before_rbac": True}])["authorizers"]
    assert [(one["type"], one["name"]) for one in found] == [
        ("Node", "node"),
        ("Webhook", "policy"),
        ("RBAC", "rbac"),
        ("Webhook", "late"),
    ]
    assert found[1]["webhook"] == {
        "timeout": "3s",
        "subjectAccessReviewVersion": "v1",
        "matchConditionSubjectAccessReviewVersion": "v1",
        "failurePolicy": "Deny",
        "connectionInfo": {
            "type": "KubeConfigFile",
            "kubeConfigFile": "/run/credentials/kube-apiserver.service/authorization-policy.conf",
        },
    }


def test_the_kubeconfig_is_a_secret_and_the_configuration_is_not():
    config, kubeconfig = _structured.authorization_files(
        [{**WEBHOOK, "settings": {"failurePolicy": "Deny", "timeout": "5s"}}]
    )
    assert config["path"] == "/etc/kubernetes/authorization.yaml"
    assert yaml.safe_load(config["content"])["authorizers"][2]["webhook"]["timeout"] == "5s"
    assert kubeconfig == {
        "path": "/etc/kubernetes/authorization-policy.conf",
        "secret_content": KUBECONFIG,
        "mode": "0600",
    }
    assert _structured.authorization_files([]) == []


def test_numbers_and_booleans_stay_what_they_are():
    assert _structured._plain({"a": (1, 1.5, True, None, "x", 0, False)}) == {"a": [1, 1.5, True, None, "x", 0, False]}
