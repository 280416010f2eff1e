# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.plugin_utils.inputs import _operator_flags as _flags


def problems(component, flags, unsafe=()):
    return _flags.problems({_flags.VARIABLES[component]: flags, "cluster_unsafe_flags": list(unsafe)})


@pytest.mark.parametrize(
    ("component", "flag", "value", "reason"),
    [
        ("kube-apiserver", "oidc-issuer-url", "https://a.example", "set control_plane_authentication_jwt instead"),
        ("kube-apiserver", "oidc_client_id", "a", "set control_plane_authentication_jwt instead"),
        ("kube-apiserver", "anonymous-auth", False, "does not accept it with --authentication-config"),
        ("kube-apiserver", "authorization-mode", "AlwaysAllow", "control_plane_authorization_webhooks"),
        ("kube-apiserver", "profiling", True, "profiling"),
        ("kube-apiserver", "tls-min-version", "VersionTLS10", "before 1.2"),
        ("kube-apiserver", "tls-cipher-suites", ["TLS_RSA_WITH_AES_128_CBC_SHA"], "four ciphers"),
        ("kube-apiserver", "disable-admission-plugins", "LimitRanger,NodeRestriction", "NodeRestriction"),
        ("kube-apiserver", "service-account-issuer", "https://a.example", "tokens of running pods"),
        ("kube-apiserver", "service-node-port-range", "1-2", "firewall"),
        ("kube-controller-manager", "kubeconfig", "/x", "systemd passes it"),
        ("kube-controller-manager", "leader-elect", False, "lead"),
        ("kube-scheduler", "secure-port", 1, "loopback"),
        ("kube-scheduler", "config", "/x", "--kubeconfig"),
        ("etcd", "data-dir", "/x", "/var/lib/etcd"),
        ("etcd", "listen-client-http-urls", "http://0.0.0.0:1", "ports"),
        ("etcd", "unsafe-no-fsync", True, "on disk"),
        ("flanneld", "iface", ["eth1"], "cluster_address"),
        ("kubelet", "anonymous-auth", "true", "anonymous"),
        ("kubelet", "read-only-port", 10255, "read-only port"),
        ("kubelet", "node-labels", "a=b", "set node_labels"),
        ("kube-proxy", "proxy-mode", "iptables", "node_kube_proxy_config"),
        ("cri-dockerd", "network-plugin", "cni", "docker0"),
        *((component, "version", True, "exits") for component in _flags.VARIABLES),
    ],
)
def test_a_flag_that_contradicts_ours_or_undoes_a_promise_is_refused_unless_it_is_listed(
    component, flag, value, reason
):
    (sentence,) = problems(component, {flag: value})
    assert sentence.startswith(f"{_flags.VARIABLES[component]} has {flag!r}, which is refused: ")
    assert reason in sentence
    entry = f"{component}/{flag.replace('_', '-')}"
    assert sentence.endswith(f"To set it anyway, list {entry} in cluster_unsafe_flags.")
    assert problems(component, {flag: value}, [entry]) == []
    # Listed for another component, it is refused all the same.
    other = next(name for name in _flags.VARIABLES if name != component)
    assert problems(component, {flag: value}, [f"{other}/{flag}"]) == [sentence]


@pytest.mark.parametrize(
    ("component", "flag", "value"),
    [
        ("kube-apiserver", "max-requests-inflight", 800),
        ("kube-apiserver", "profiling", False),
        ("kube-apiserver", "tls-min-version", "VersionTLS13"),
        ("kube-apiserver", "tls-cipher-suites", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        ("kube-apiserver", "disable-admission-plugins", ["LimitRanger"]),
        (
            "kube-apiserver",
            "service-account-issuer",
            ["https://a.example", "https://kubernetes.default.svc.cluster.local"],
        ),
        ("kube-apiserver", "authentication-token-webhook-config-file", "/etc/kubernetes/hook.conf"),
        ("kube-controller-manager", "cluster-signing-duration", "24h"),
        ("kube-scheduler", "v", 4),
        ("etcd", "log-level", "debug"),
        ("flanneld", "iptables-resync", 5),
        ("kubelet", "max-pods", 50),
        ("kube-proxy", "v", 4),
        ("cri-dockerd", "log-level", "debug"),
    ],
)
def test_what_is_well_is_let_through(component, flag, value):
    assert problems(component, {flag: value}) == []


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--v", 4),
        ("v=4", ""),
        ("feature gates", "a"),
        ("", "a"),
        (4, "a"),
        ("v", None),
        ("v", [4, None]),
        ("v", {"a": 1}),
        ("v", "a\nb"),
    ],
)
def test_what_has_not_the_form_of_a_flag_is_refused(flag, value):
    (sentence,) = problems("kubelet", {flag: value}, ["kubelet/v"])
    assert sentence.startswith(f"node_kubelet_flags has {flag!r}, which is not in the form of a flag: ")


@pytest.mark.parametrize("entry", ["anonymous-auth", "apiserver/anonymous-auth", "kubelet/", "kubelet/--v", 5, None])
def test_an_exception_that_means_no_flag_is_refused(entry):
    (sentence,) = _flags.problems({"cluster_unsafe_flags": [entry]})
    assert sentence.startswith(f"cluster_unsafe_flags has {str(entry)!r}: write COMPONENT/FLAG")


def test_what_is_no_mapping_is_for_the_argument_specs_to_refuse():
    assert _flags.problems({"node_kubelet_flags": "v: 4", "cluster_unsafe_flags": "a"}) == []
