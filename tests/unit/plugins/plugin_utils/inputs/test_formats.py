# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import datetime
import pathlib

import pytest
import yaml
from ansible_collections.plainkube.cluster.plugins.module_utils.services._flags import VARIABLES
from ansible_collections.plainkube.cluster.plugins.plugin_utils.inputs import _formats

ROLES = pathlib.Path(__file__).parents[5] / "roles"
SPECS = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(ROLES.glob("*/meta/argument_specs.yml"))]
OPTIONS = {
    name: option
    for spec in SPECS
    for entry in spec["argument_specs"].values()
    for name, option in entry.get("options", {}).items()
}


def problems(name, value):
    return _formats.problems(name, value, OPTIONS[name])


def needing_a_format():
    """Variables, and keys of their elements, whose values are not told by choices and types alone."""
    for name, option in OPTIONS.items():
        if "options" in option:
            keys = option["options"].items()
            yield from (f"{name}.{key}" for key, one in keys if "choices" not in one and one["type"] != "bool")
        elif "choices" not in option and option["type"] != "bool":
            yield name


# Variables without a format: what checks them, or why any text will do.
FREE = (
    *VARIABLES.values(),  # _operator_flags
    "build_go",  # a path or nothing
    "certificates_rotate",  # module authority_rotation
    "cluster_api_endpoint",  # _endpoint
    "cluster_etcd_group",  # a name or nothing
    "cluster_http_proxy",  # _proxy
    "cluster_https_proxy",  # _proxy
    "cluster_no_proxy",  # _proxy
    "cluster_node_group",  # a name or nothing
    "cluster_unsafe_flags",  # _operator_flags
    "control_plane_authentication_jwt",  # _structured
    "control_plane_authorization_webhooks.kubeconfig",  # _structured
    "control_plane_authorization_webhooks.name",  # _structured
    "control_plane_authorization_webhooks.settings",  # _structured
    "docker_fixed_cidr",  # _preflight
    "docker_options",  # _proxy, and JSON, which holds anything
    "firewall_accept.name",  # _firewall
    "firewall_accept.ports",  # _firewall
    "kubeconfig_user",  # module kubeconfig
    "node_kube_proxy_config",  # YAML that a filter writes
    "node_kubelet_config",  # YAML that a filter writes
    "node_labels",  # _preflight
    "reset_confirm",  # the name of the cluster, or nothing is reset
    "reset_hosts",  # _reset
    "status_file",  # a path or nothing
)


def test_every_variable_has_a_format():
    assert sorted([*_formats.FORMATS, *FREE]) == sorted(needing_a_format())


def plain_defaults():
    """Defaults that are no expressions."""
    for path in sorted(ROLES.glob("*/defaults/main.yml")):
        for name, value in yaml.safe_load(path.read_text()).items():
            if "{{" not in str(value):
                yield name, value


@pytest.mark.parametrize(("name", "value"), [*plain_defaults()], ids=lambda one: str(one)[:40])
def test_defaults_are_right(name, value):
    assert problems(name, value) == []


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_null_is_no_value_of_any_variable(name):
    assert problems(name, None) == [
        f"{name} is null (an empty value in YAML): set a value, or remove it to get the default."
    ]


DATE = (datetime.date(2024, 1, 2), "the date 2024-01-02")
WRONG = {
    "str": [(True, "the boolean true"), (2024, "the number 2024"), (1.1, "the number 1.1"), ([], "a list"), ({}, "a mapping"), DATE],
    "path": [(False, "the boolean false"), (5, "the number 5")],
    "int": [(True, "the boolean true"), ("https", "'https'"), ("", "''"), (6443.0, "the number 6443.0"), ("06443", "'06443'"), ("6_443", "'6_443'")],
    "float": [(True, "the boolean true"), ("a day", "'a day'"), (float("inf"), "the number inf")],
    "bool": [("maybe", "'maybe'"), ("y", "'y'"), (2, "the number 2"), ("", "''")],
    "list": [("a", "the text 'a'"), (5, "the number 5"), ({}, "a mapping"), (True, "the boolean true")],
    "dict": [("secret", "the text"), ([], "a list"), (5, "the number 5")],
    "raw": [(5, "the number 5"), ({}, "a mapping"), ([None], "a list")],
}  # fmt: skip
OF_A_TYPE = [
    (name, value, words)
    for name, option in sorted(OPTIONS.items())
    for value, words in WRONG[option["type"]]
    if (name, type(value)) != ("reset_confirm", int)
]


@pytest.mark.parametrize(("name", "value", "words"), OF_A_TYPE)
def test_values_of_another_type(name, value, words):
    (problem,) = problems(name, value)
    assert problem.startswith(f"{name} is {words}, where ")
    assert problem.endswith(".")


@pytest.mark.parametrize(
    "name", [name for name, option in sorted(OPTIONS.items()) if option["type"] in ("str", "path")]
)
@pytest.mark.parametrize("value", ["a\nExecStartPre=/bin/sh", "a\tb", "a\r", "\x00", "a\x7f", "a\u2028b"])
def test_text_is_one_line(name, value):
    (problem,) = problems(name, value)
    assert problem == (
        f"{name} is {value!r}, which has a line break or another control character: write it on one line."
    )


@pytest.mark.parametrize("name", [name for name, option in sorted(OPTIONS.items()) if option.get("elements") == "str"])
@pytest.mark.parametrize("value", [None, True, 1.5, ["a"], "a\nb"])
def test_elements_that_are_no_text(name, value):
    (problem,) = problems(name, [value])
    assert problem.startswith(f"{name}[0] is ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cluster_api_port", 443),
        # What -e name=value gives.
        ("cluster_api_port", "443"),
        ("node_pod_pids_limit", "-1"),
        ("firewall_enabled", "yes"),
        ("firewall_enabled", "False"),
        ("certificates_token_overlap_hours", "0.5"),
        ("certificates_token_overlap_hours", 1),
        ("cluster_name", "a" * 63),
        ("cluster_name", "prod-2"),
        ("cluster_domain", "k8s.example.org"),
        ("cluster_domain", "local"),
        ("cluster_address", "192.0.2.11"),
        ("cluster_service_network", "10.96.0.0/28"),
        ("cluster_service_network", "10.96.0.0/12"),
        ("cluster_containerd_version", ""),
        ("cluster_virtual_ip", ""),
        ("cluster_virtual_ip_interface", "bond0.12"),
        ("cluster_etcd_group", ""),
        ("addons_dns_upstream", ["192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:53", "tls://9.9.9.9", "/etc/resolv.conf"]),
        ("addons_dns_upstream", []),
        ("artifacts_checksums", {"etcd.tar.gz": "AB" * 32}),
        ("artifacts_image_digests", {"registry.k8s.io/pause:3.10.2": "sha256:" + "a" * 64}),
        ("artifacts_image_registry", "mirror.example.org:5000/k8s"),
        ("artifacts_mirror", "https://user:secret@mirror.example.org/plainkube"),
        ("artifacts_mirror", "file:///srv/mirror"),
        ("artifacts_mirror", "~/.cache/plainkube/my mirror"),
        ("certificates_extra_sans", ["API.example.org", "*.example.org", "192.0.2.9", "2001:db8::9"]),
        ("containerd_runc_path", "/usr/local/bin/my runc"),
        ("control_plane_audit_policy_rules", [{"level": "None", "users": ["system:kube-proxy"]}]),
        ("control_plane_extra_admission_plugins", ["AlwaysPullImages"]),
        ("control_plane_pod_security_exempt_namespaces", ["1st"]),
        ("docker_options", {"log-opts": {"max-size": None}}),
        ("etcd_auto_compaction_retention", "1h30m"),
        ("etcd_auto_compaction_retention", "0"),
        ("firewall_accept", [{"name": "metrics", "ports": [9100, "9200-9210"], "sources": ["hosts"]}]),
        ("kubeconfig_server", "https://[2001:db8::9]:6443"),
        ("node_kubelet_config", {"evictionHard": None}),
        ("node_labels", {"gpu": "true"}),
        ("node_taints", [{"key": "example.org/gpu", "value": "", "effect": "NoSchedule"}]),
        ("reset_confirm", 2024),
        ("reset_hosts", ["n1"]),
        ("reset_hosts", "n1,n2"),
    ],
)  # fmt: skip
def test_right_values(name, value):
    assert problems(name, value) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("cluster_name", "", "cluster_name is '', which is not a DNS label"),
        ("cluster_name", "2024", "cluster_name is '2024', which is not a DNS label"),
        ("cluster_name", "433e40", "which is not a DNS label"),
        ("cluster_name", "no", "which unquoted YAML reads as a boolean or null"),
        ("cluster_name", "y", "which unquoted YAML reads as"),
        ("cluster_name", "null", "which unquoted YAML reads as"),
        ("cluster_name", "my cluster", "which is not a DNS label"),
        ("cluster_name", "prod/eu", "which is not a DNS label"),
        ("cluster_name", "a: b", "which is not a DNS label"),
        ("cluster_name", "Prod", "which is not a DNS label"),
        ("cluster_name", "prod-", "which is not a DNS label"),
        ("cluster_name", "a.b", "which is not a DNS label"),
        ("cluster_name", "a" * 64, "which is not a DNS label"),
        ("cluster_name", "%i", "which is not a DNS label"),
        ("cluster_domain", "cluster.local.", "which is not a DNS domain"),
        ("cluster_domain", "", "which is not a DNS domain"),
        ("cluster_domain", "foo bar", "which is not a DNS domain"),
        ("cluster_domain", "5", "which is not a DNS domain"),
        ("cluster_domain", "10.0.0.1", "which is not a DNS domain"),
        ("cluster_domain", "a..b", "which is not a DNS domain"),
        ("cluster_domain", "Cluster.local", "which is not a DNS domain"),
        ("cluster_domain", ".".join(["a" * 63] * 4), "which is not a DNS domain"),
        ("cluster_address", "192.0.2.300", "which is not an IPv4 address: write one, like 192.0.2.11"),
        ("cluster_address", "fd00::1", "which is not an IPv4 address"),
        ("cluster_address", "n1.example.org", "which is not an IPv4 address"),
        ("cluster_address", "", "which is not an IPv4 address"),
        ("cluster_dns_address", "dns", "which is not an IPv4 address"),
        ("cluster_dns_address", "10.96.0.256", "which is not an IPv4 address"),
        ("cluster_api_balancers", ["balancer.example.org"], "cluster_api_balancers[0] is 'balancer.example.org', which is not an IPv4"),
        ("cluster_version", "v1.37.2", "cluster_version is 'v1.37.2', which is not a full version: write it like 1.37.2"),
        ("cluster_version", "1.37", "which is not a full version"),
        ("cluster_version", "1.38.0-beta", "which is not a full version"),
        ("cluster_version", "1.38.0-beta.0/../x", "which is not a full version"),
        ("cluster_etcd_version", "latest", "which is not a full version"),
        ("cluster_pause_version", "3.10", "which is not a full version"),
        ("cluster_containerd_version", "2.2", "which is not a full version"),
        ("cluster_virtual_ip", "192.0.2.9/24", "which is not an IPv4 address"),
        ("cluster_virtual_ip", "fd00::1", "which is not an IPv4 address"),
        ("cluster_virtual_ip_interface", "eth0 {", "which is not the name of a network interface"),
        ("cluster_pod_network", "10.244.0.1/16", "has host bits set; the network is 10.244.0.0/16"),
        ("cluster_pod_network", "10.244.0.0", "where a network in CIDR notation is needed, like 10.244.0.0/16"),
        ("cluster_pod_network", "fd00::/64", "which is not an IPv4 network in CIDR notation"),
        ("cluster_pod_network", "10.244.0.0/40", "which is not an IPv4 network in CIDR notation"),
        ("cluster_pod_network", "pods", "which is not an IPv4 network in CIDR notation"),
        ("cluster_service_network", "10.96.0.0/30", "which is too small: use a network of at least 16 addresses (/28)"),
        ("cluster_service_network", "10.0.0.0/8", "which is larger than the API server accepts: use /12 or smaller"),
        ("cluster_api_port", 0, "cluster_api_port is the number 0, which is too small: use 1 to 65535"),
        ("cluster_api_port", "70000", "cluster_api_port is '70000', which is too large: use 1 to 65535"),
        ("cluster_load_balancer_port", 443, "use 1024 to 65534"),
        ("cluster_load_balancer_port", 65535, "use 1024 to 65534"),
        ("cluster_control_plane_group", "", "which is empty: set a value"),
        ("addons_dns_upstream", ["dns.example.org"], "addons_dns_upstream[0] is 'dns.example.org', which is neither an IP address nor a file"),
        ("addons_dns_upstream", ["192.0.2.53 {"], "which is neither an IP address nor a file"),
        ("addons_dns_upstream", ["192.0.2.53:0"], "whose port 0 is out of range: use 1 to 65535"),
        ("addons_coredns_replicas", -1, "which is too small"),
        ("artifacts_checksums", {"a.tgz": "abc"}, "artifacts_checksums['a.tgz'] is 'abc', which is not a SHA-256 checksum"),
        ("artifacts_checksums", {"a.tgz": None}, "artifacts_checksums['a.tgz'] is null, where text is needed"),
        ("artifacts_image_digests", {"pause": "a" * 64}, "which is not a digest"),
        ("artifacts_image_registry", "https://mirror", "which is not the address of a registry: write HOST"),
        ("artifacts_mirror", "ftp://u:secret@mirror", "artifacts_mirror is 'ftp://***@mirror', which is not a mirror"),
        ("artifacts_mirror", "http://mirror/a b", "which is not a mirror"),
        ("artifacts_mirror", "file://srv", "which is not a mirror"),
        ("certificates_directory", "", "which is empty"),
        ("certificates_extra_sans", ["https://api"], "which is neither a DNS name nor an IP address"),
        ("certificates_extra_sans", ["api.example.org:6443"], "which is neither a DNS name nor an IP address"),
        ("certificates_token_overlap_hours", -1, "which is too small"),
        ("certificates_validity_days", 900, "which is too large: use 1 to 825"),
        ("containerd_runc_path", "runc", "which is not an absolute path"),
        ("control_plane_audit_policy_rules", [{"level": "none"}], "control_plane_audit_policy_rules[0] is a mapping, whose level is 'none': use one of None,"),
        ("control_plane_audit_policy_rules", [{"level": None}], "whose level is null"),
        ("control_plane_audit_policy_rules", [{"level": "None", "user": ["a"]}], "which has user: a rule of an audit policy has"),
        ("control_plane_audit_policy_rules", [{"level": "None", "nonResourceURLs": ["/"], "resources": [{}]}], "split it into two rules"),
        ("control_plane_audit_policy_rules", [None], "is null, where a dict is needed"),
        ("control_plane_event_rate_limits", [], "which is empty, and the API server does not start without a limit"),
        ("control_plane_event_rate_limits", [{"type": "Server", "qps": 0, "burst": 1}], "control_plane_event_rate_limits[0].qps is the number 0"),
        ("control_plane_extra_admission_plugins", ["AlwaysPullImage"], "which is not an admission plugin of Kubernetes: did you mean AlwaysPullImages?"),
        ("control_plane_extra_admission_plugins", ["A,B"], "which is not an admission plugin of Kubernetes: remove it."),
        ("control_plane_pod_security_exempt_namespaces", ["Kube"], "which is not the name of a namespace"),
        ("control_plane_request_timeout", 0, "which is too small"),
        ("control_plane_wait", -1, "which is too small"),
        ("etcd_auto_compaction_retention", "5", "which is not a Go duration: write a number with a unit, like 5m"),
        ("etcd_auto_compaction_retention", "5 m", "which is not a Go duration"),
        ("etcd_quota_backend_bytes", 8, "which is too small"),
        ("firewall_accept", [{"name": "x", "ports": [True], "sources": []}], "firewall_accept[0].ports[0] is the boolean true, where text"),
        ("firewall_accept", [{"name": "x", "ports": None, "sources": []}], "firewall_accept[0].ports is null"),
        ("firewall_hosts", ["fe80::1%eth0"], "firewall_hosts[0] is 'fe80::1%eth0', which is neither an IP address, nor"),
        ("firewall_ssh_ports", ["ssh"], "firewall_ssh_ports[0] is 'ssh', where a whole number is needed"),
        ("firewall_ssh_ports", [0], "firewall_ssh_ports[0] is the number 0, which is too small"),
        ("flannel_subnet_length", 33, "which is too large"),
        ("kubeconfig_server", "k1:6443", "which is not the URL of an API server"),
        ("kubeconfig_server", "https://k1:99999", "which is not the URL of an API server"),
        ("kubeconfig_server", "http://k1", "which is not the URL of an API server"),
        ("node_labels", {True: "a"}, "node_labels has the boolean true as a key, where text is needed"),
        ("node_taints", [{"key": "a b", "effect": "NoSchedule"}], "node_taints[0].key is 'a b', which is not a valid label key"),
        ("node_taints", [{"key": "gpu", "value": True, "effect": "NoSchedule"}], "node_taints[0].value is the boolean true, where text"),
        ("node_taints", [{"key": "gpu", "value": "a b", "effect": "NoSchedule"}], "which is not a valid label value"),
        ("verify_host_port", 0, "which is too small"),
    ],
)  # fmt: skip
def test_wrong_values(name, value, words):
    (problem,) = problems(name, value)
    assert words in problem
    assert problem.startswith(name)
    assert problem[-1] in ".?"


def test_the_password_of_a_url_is_not_shown():
    for value in ("ftp://user:p@ss/word@mirror", "http://user:se\ncret@mirror"):
        (problem,) = problems("artifacts_mirror", value)
        assert problem.startswith(f"artifacts_mirror is '{value.partition(':')[0]}://***@mirror', which ")


def test_no_value_of_a_dict_is_shown():
    assert "secret" not in problems("node_kubelet_config", "secret")[0]
