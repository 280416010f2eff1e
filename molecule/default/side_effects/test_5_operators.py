# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Settings of operators: flags of every component, single sign-on, an authorization webhook, labels and taints of existing Nodes. One run
sets all of them, another one removes them."""

from __future__ import annotations

import json
import time

import pytest

from lab import authorizer, network, oidc
from plugins.module_utils.host._wait import poll

TAINT = {"key": "plainkube.example/dedicated", "value": "batch", "effect": "PreferNoSchedule"}
BY_HAND = "example.org/by-hand"
# No kubelet may set the last one on itself.
LABELS = {"gpu": "true", "plainkube.example/rack": "r1", "node-role.kubernetes.io/batch": ""}

# Component, the operator's flags (variable without its suffix), and the expected arguments in the process's command line.
FLAGS = [
    (
        "kube-apiserver",
        "control_plane_kube_apiserver",
        {"strict-transport-security-directives": ["max-age=31536000", "includeSubDomains"], "goaway-chance": 0.002},
        [
            "--goaway-chance=0.002",
            "--strict-transport-security-directives=max-age=31536000",
            "--strict-transport-security-directives=includeSubDomains",
        ],
    ),
    # A text that systemd could interpret as specifiers, variables, quotes and words.
    (
        "kube-controller-manager",
        "control_plane_kube_controller_manager",
        {"cluster-name": "it's \"50%\" of $HOME \\ %d", "terminated-pod-gc-threshold": 900},
        ["--cluster-name=it's \"50%\" of $HOME \\ %d", "--terminated-pod-gc-threshold=900"],
    ),
    ("kube-scheduler", "control_plane_kube_scheduler", {"v": 3, "profiling": False}, ["--profiling=false", "--v=3"]),
    ("etcd", "etcd_etcd", {"cors": ["https://a.example:443", "https://b.example:443"]}, ["--cors=https://a.example:443,https://b.example:443"]),
    ("flanneld", "flannel_flanneld", {"iptables-resync": 7}, ["--iptables-resync=7"]),
    ("kubelet", "node_kubelet", {"max-pods": 77}, ["--max-pods=77"]),
    ("kube-proxy", "node_kube_proxy", {"v": 3}, ["--v=3"]),
    ("cri-dockerd", "node_cri_dockerd", {"log-level": "debug"}, ["--log-level=debug"]),
]  # fmt: skip
ON_CONTROL_PLANES = {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"}
ON_NODES = {"kubelet", "cri-dockerd"}


@pytest.fixture(scope="module")
def gateway(lab):
    """This machine's address in the network of the lab."""
    return network.subnet_and_gateway(network.find(lab.client, lab.name))[1]


@pytest.fixture(scope="module")
def issuer(gateway):
    with oidc.issuer(gateway) as made:
        yield made


@pytest.fixture(scope="module")
def webhook(gateway):
    with authorizer.webhook(gateway, "oidc:auditors") as made:
        yield made


@pytest.fixture(scope="module")
def wishes(issuer, webhook, tmp_path_factory):
    """Arguments of a run with the operator's variables."""
    jwt = {
        "issuer": {
            "url": issuer.url,
            "certificateAuthority": issuer.authority,
            "audiences": ["plainkube", "other-client"],
            "audienceMatchPolicy": "MatchAny",
        },
        "claimMappings": {
            "username": {"claim": "sub", "prefix": "oidc:"},
            "groups": {"claim": "groups", "prefix": "oidc:"},
        },
    }
    settings = {"failurePolicy": "NoOpinion", "authorizedTTL": "1s", "unauthorizedTTL": "1s"}
    variables = {
        "control_plane_authentication_jwt": [jwt],
        "control_plane_authorization_webhooks": [{"name": "audit", "kubeconfig": webhook[1], "settings": settings}],
        "node_labels": LABELS,
        "node_taints": [TAINT],
        **{f"{variable}_flags": flags for dummy, variable, flags, dummy in FLAGS},
    }
    path = tmp_path_factory.mktemp("wishes") / "variables.json"
    path.write_text(json.dumps(variables), encoding="utf-8")
    return ("-e", f"@{path}")


@pytest.fixture(scope="module")
def by_hand(lab, cluster):
    """A label and a taint that were set with kubectl, on the first node."""
    node = cluster.nodes[0]
    lab.kubectl("k1", "label", "node", node, f"{BY_HAND}=label")
    lab.kubectl("k1", "taint", "node", node, f"{BY_HAND}=taint:PreferNoSchedule")
    yield node
    lab.kubectl("k1", "label", "node", node, f"{BY_HAND}-")
    lab.kubectl("k1", "taint", "node", node, f"{BY_HAND}-")


@pytest.fixture(scope="module")
def granted(lab, cluster, site, wishes, by_hand):
    """The plan and the run that set all of it."""
    plan = site.plan("-vvv", *wishes)
    run, started = site.apply(*wishes)
    return plan, run, started


def node_object(lab, name):
    found = json.loads(lab.kubectl("k1", "get", "node", name, "--output=json"))
    taints = {(one["key"], one.get("value"), one["effect"]) for one in found["spec"].get("taints", [])}
    return found["metadata"]["labels"], taints, found


def ask(cluster, path, token=None, **options):
    """The API server's response to a request with a token, or without one."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return cluster.api(path, headers=headers, **options)


def who(cluster, token):
    """Status, and the name and groups that the API server derives from a token."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    answer = ask(cluster, path, token, method="POST", json=review)
    user = answer.json().get("status", {}).get("userInfo", {}) if answer.status_code == 201 else {}
    return answer.status_code, user.get("username"), set(user.get("groups", []))


# Before anything is set


def test_flags_that_contradict_are_refused_together_and_nothing_changes(site, lab, tmp_path):
    variables = {
        "control_plane_kube_apiserver_flags": {"oidc-issuer-url": "https://a.example", "anonymous-auth": True},
        "etcd_etcd_flags": {"--data-dir": "/elsewhere"},
        "node_kubelet_flags": {"read-only-port": 10255, "node-labels": "a=b", "v": None},
        "node_kube_proxy_flags": {"proxy-mode": "iptables"},
        "cluster_unsafe_flags": ["kubelet/node-labels", "anonymous-auth"],
        "control_plane_authentication_jwt": [{"issuer": {"url": "http://a.example", "audiences": []}}],
        "control_plane_authorization_webhooks": [{"name": "rbac", "kubeconfig": "secret text", "settings": {}}],
    }
    path = tmp_path / "variables.json"
    path.write_text(json.dumps(variables), encoding="utf-8")
    before = lab.invocations()
    run = site.run("-e", f"@{path}")
    assert (run.code != 0, run.changed) == (True, 0)
    assert lab.invocations() == before
    for sentence in (
        "control_plane_kube_apiserver_flags has 'oidc-issuer-url', which is refused: ",
        "control_plane_kube_apiserver_flags has 'anonymous-auth', which is refused: ",
        "etcd_etcd_flags has '--data-dir', which is not in the form of a flag: ",
        "node_kubelet_flags has 'read-only-port', which is refused: ",
        "node_kubelet_flags has 'v', which is not in the form of a flag: ",
        "node_kube_proxy_flags has 'proxy-mode', which is refused: ",
        "cluster_unsafe_flags has 'anonymous-auth': write COMPONENT/FLAG",
        "control_plane_authentication_jwt (issuer http://a.example) has no issuer URL",
        "control_plane_authorization_webhooks has the name 'rbac'",
    ):
        assert sentence in run.output, sentence
    assert "node_kubelet_flags has 'node-labels'" not in run.output
    assert "secret text" not in run.output


def test_what_a_program_does_not_know_stops_the_run_before_any_host_loses_it(site, lab):
    before = lab.invocations()
    run = site.run("-e", json.dumps({"node_kubelet_flags": {"no-such-flag": 1}}))
    assert (run.code != 0, run.changed) == (True, 0)
    said = "kubelet refuses its flags (node_kubelet_flags): unknown flag: --no-such-flag"
    assert said in run.output.replace("\\n", " ")
    assert lab.invocations() == before


# Flags


def test_the_plan_tells_what_the_run_starts_again(granted, cluster):
    plan, run, started = granted
    assert plan.restarts == run.restarts
    assert {name for name in started if name.startswith("k1/")} >= {
        f"k1/{component}" for component in ON_CONTROL_PLANES
    }
    planned = {f"{host}/{unit}" for host, units in plan.restarts.items() for unit in units}
    assert planned == started


@pytest.mark.parametrize(("component", "variable", "flags", "said"), FLAGS)
def test_every_process_has_the_operators_flags(granted, lab, cluster, component, variable, flags, said):
    hosts = {*cluster.control_planes, *cluster.nodes}
    hosts = set(cluster.control_planes) if component in ON_CONTROL_PLANES else hosts
    hosts = set(cluster.nodes) if component in ON_NODES else hosts
    for host in hosts:
        shell = f"cat /proc/$(systemctl show --property=MainPID --value {component})/cmdline"
        output = lab.demand(host, "sh", "-c", shell)
        arguments = output.rstrip("\0").split("\0")
        assert [one for one in arguments if one in said] == said
        names = {one.partition("=")[0] for one in said}
        assert sorted(one for one in arguments if one.partition("=")[0] in names) == sorted(said)


def test_they_do_something(granted, lab, cluster):
    header = ask(cluster, "/livez").headers["Strict-Transport-Security"]
    assert header == "max-age=31536000; includeSubDomains"
    node = cluster.nodes[0]
    found = json.loads(lab.kubectl("k1", "get", "--raw", f"/api/v1/nodes/{node}/proxy/configz"))
    assert found["kubeletconfig"]["maxPods"] == 77


# Authentication


@pytest.mark.parametrize("key", ["rsa", "ecdsa"])
def test_a_token_is_accepted_with_its_groups(granted, cluster, issuer, key):
    token = issuer.token(key, sub="ada", aud="plainkube", groups=["developers", "ops"])
    # The API server fetches the issuer's keys after its start.
    answer = poll(lambda: who(cluster, token), lambda found: found[0] != 401, 20)
    assert answer == (201, "oidc:ada", {"oidc:developers", "oidc:ops", "system:authenticated"})


def test_groups_of_the_cluster_cannot_be_had_from_the_issuer(granted, cluster, issuer):
    token = issuer.token(sub="system:admin", aud="other-client", groups=["system:masters"])
    assert who(cluster, token) == (201, "oidc:system:admin", {"oidc:system:masters", "system:authenticated"})
    assert ask(cluster, "/api/v1/secrets", token).status_code == 403


def test_other_tokens_are_refused(granted, cluster, issuer, gateway):
    good = {"sub": "ada", "aud": "plainkube", "groups": ["developers"]}
    assert who(cluster, issuer.token(**good))[0] == 201
    with oidc.issuer(gateway) as other:
        stranger, forged = other.token(**good), other.token(**{**good, "iss": issuer.url})
    bad = {
        "another audience": issuer.token(**{**good, "aud": "somebody-else"}),
        "expired": issuer.token(**good, exp=int(time.time()) - 60),
        "another issuer": stranger,
        "signed by another": forged,
        "changed": issuer.token(**good)[:-8] + "AAAAAAAA",
    }
    found = {why: who(cluster, token) for why, token in bad.items()}
    assert found == {why: (401, None, set()) for why in bad}


def test_anonymous_requests_see_health_paths_only(granted, cluster):
    seen = {path: ask(cluster, path).status_code for path in ("/livez", "/readyz", "/healthz")}
    assert seen == dict.fromkeys(seen, 200)
    unseen = {path: ask(cluster, path).status_code for path in ("/version", "/api", "/api/v1/namespaces", "/metrics", "/livez/etcd")}  # fmt: skip
    assert unseen == dict.fromkeys(unseen, 401)


# Authorization


def test_the_webhook_is_asked_beside_rbac(granted, lab, cluster, issuer, webhook):
    made, dummy = webhook
    tokens = {group: issuer.token(sub="ada", aud="plainkube", groups=[group]) for group in ("auditors", "developers")}
    assert (
        poll(lambda: ask(cluster, "/api/v1/namespaces", tokens["auditors"]).status_code, lambda code: code != 401, 20)
        == 200
    )
    before = len(made.asked)
    assert ask(cluster, "/api/v1/secrets", tokens["auditors"]).status_code == 403
    assert ask(cluster, "/api/v1/namespaces", tokens["developers"]).status_code == 403
    # The webhook is not asked about requests that RBAC allows; an API server that is starting has not read its roles yet.
    lab.kubectl("k1", "get", "--raw", "/api/v1/nodes", "--as=system:kube-scheduler")
    asked = {(spec["user"], (spec.get("resourceAttributes") or {}).get("resource")) for spec in made.asked[before:]}
    assert asked >= {("oidc:ada", "secrets"), ("oidc:ada", "namespaces")}
    assert ("system:kube-scheduler", "nodes") not in asked
    # It sent its credentials each time.
    assert made.strangers == 0


def test_the_webhooks_password_is_in_no_output_log_or_open_file(granted, lab, webhook):
    plan, run, dummy = granted
    secret = webhook[0].secret
    assert secret not in plan.output
    assert secret not in run.output
    code, output = lab.run("k1", "stat", "--format=%a %U", "/etc/kubernetes/authorization-audit.conf")
    assert (code, output.strip()) == (0, "600 root")
    code, output = lab.run(
        "k1",
        "sh",
        "-c",
        f"grep --count {secret} /etc/kubernetes/authorization-audit.conf; journalctl --quiet --grep {secret}",
    )
    assert output.strip() == "1"


# Labels and taints


def test_a_live_node_has_the_inventorys_labels_and_taints(granted, lab, cluster, by_hand):
    for name in cluster.nodes:
        labels, taints, dummy = node_object(lab, name)
        assert {key: labels.get(key) for key in LABELS} == LABELS
        assert (TAINT["key"], TAINT["value"], TAINT["effect"]) in taints
    labels, taints, dummy = node_object(lab, by_hand)
    assert labels[BY_HAND] == "label"
    assert (BY_HAND, "taint", "PreferNoSchedule") in taints


def test_a_second_run_changes_nothing(granted, site, wishes):
    run, started = site.apply(*wishes)
    assert (run.changed, started) == (0, set())


def test_all_of_it_is_taken_back(granted, site, lab, cluster, issuer, by_hand, wishes):
    # A label of the inventory that was changed in the meantime no longer belongs to the inventory.
    lab.kubectl("k1", "label", "node", by_hand, "--overwrite", "gpu=by-hand")
    site.apply()
    for name in cluster.nodes:
        labels, taints, found = node_object(lab, name)
        assert labels.get("gpu") == ("by-hand" if name == by_hand else None)
        assert "plainkube.example/rack" not in labels
        assert TAINT["key"] not in {key for key, *_rest in taints}
        assert "plainkube.io/labels-and-taints" not in found["metadata"].get("annotations", {})
    labels, taints, dummy = node_object(lab, by_hand)
    assert (labels[BY_HAND], (BY_HAND, "taint", "PreferNoSchedule") in taints) == ("label", True)
    lab.kubectl("k1", "label", "node", by_hand, "gpu-")
    assert who(cluster, issuer.token(sub="ada", aud="plainkube"))[0] == 401
    code, output = lab.run("k1", "sh", "-c", "ls /etc/kubernetes/authorization*")
    assert code != 0, output
