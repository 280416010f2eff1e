# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The type of each role variable, and the format of its text. No I/O.

Values end up in systemd units, YAML, TOML, Corefile and nft rules, so text that could mean something else there is refused. What depends
on other variables or on a host is up to _preflight and _endpoint.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import typing as t
import unicodedata
from collections.abc import Mapping
from urllib.parse import urlsplit

# Describes the problem with a value, as text after "NAME is VALUE, "; empty if it is valid.
Format = t.Callable[[t.Any], str]

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
SUBDOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")  # RFC 1123
# Name in the key, and value, of a Kubernetes label: apimachinery, pkg/util/validation.
LABEL_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
# DNS labels that YAML 1.1 reads as a boolean or null (yaml.org/type).
_YAML_WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
_LARGEST = 2**31 - 1


def _is_number(value: t.Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def shown(value: t.Any) -> str:
    """A value for a message, without the password of a URL."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if _is_number(value):
        return f"the number {value}"
    if isinstance(value, str):
        return repr(re.sub(r"(?s)//.*@", "//***@", value))
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, (list, tuple)) else f"the date {value}"  # YAML has no other types


# Types


def _text(value: t.Any) -> str:
    if value is None or isinstance(value, (Mapping, list, tuple)):
        return "where text is needed"
    if not isinstance(value, str):
        return "where text is needed: write it in quotes"
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in value):
        return "which has a line break or another control character: write it on one line"
    return ""


def _integer(value: t.Any) -> str:
    # Text is allowed, because `-e name=value` is text. In the format that the programs accept: no 06443, 6_443 or 6443.0.
    if isinstance(value, int) and not isinstance(value, bool):
        return ""
    if isinstance(value, str) and re.fullmatch(r"0|-?[1-9][0-9]*", value):
        return ""
    return "where a whole number is needed"


def _number(value: t.Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+(?:\.[0-9]+)?", value):
        return ""
    return "" if _is_number(value) and abs(value) <= _LARGEST else "where a number is needed"


def _boolean(value: t.Any) -> str:
    # What Ansible's filter `bool` accepts; it would read `y` as false.
    if str(value).lower() in ("true", "false", "yes", "no", "on", "off", "1", "0"):
        return ""
    return "where true or false is needed"


def _list(value: t.Any) -> str:
    if isinstance(value, (list, tuple)):
        return ""
    return "where a list is needed: write it as YAML, [a, b], or as JSON after -e"


def _mapping(value: t.Any) -> str:
    if isinstance(value, Mapping):
        return ""
    return "where a dict is needed: write it as YAML, {a: b}, or as JSON after -e"


def _texts(value: t.Any) -> str:
    """Text, or a list of texts."""
    return next(filter(None, map(_text, value if isinstance(value, (list, tuple)) else [value])), "")


_TYPES: dict[str, Format] = {
    "str": _text,
    "path": _text,
    "int": _integer,
    "float": _number,
    "bool": _boolean,
    "list": _list,
    "dict": _mapping,
    "raw": _texts,
}


# Formats


def some(value: str) -> str:
    return "" if value.strip() else "which is empty: set a value, or remove it to get the default"


def optional(wanted: Format) -> Format:
    """Either empty or in that format."""
    return lambda value: wanted(value) if value else ""


def whole(least: int, most: int = _LARGEST) -> Format:
    def check(value: t.Any) -> str:
        if least <= int(value) <= most:
            return ""
        return f"which is too {'small' if int(value) < least else 'large'}: use {least} to {most}"

    return check


def _at_least(least: float) -> Format:
    return lambda value: "" if float(value) >= least else f"which is too small: use {least} or more"


def _matching(pattern: str, advice: str) -> Format:
    compiled = re.compile(pattern)
    return lambda value: "" if compiled.fullmatch(value) else advice


def cluster_name(value: str) -> str:
    if not re.fullmatch(_LABEL, value) or not value[0].isalpha():
        return "which is not a DNS label: use lowercase letters, digits and dashes, starting with a letter, at most 63 characters"
    if value in _YAML_WORDS:
        return "which unquoted YAML reads as a boolean or null: choose another name"
    return ""


def domain(value: str) -> str:
    """An RFC 1123 subdomain, short enough for the prefixes that Kubernetes adds, that does not look like an address."""
    longest = 253 - len("kubernetes.default.svc.")
    if SUBDOMAIN.fullmatch(value) and not value.rpartition(".")[2].isdigit() and len(value) <= longest:
        return ""
    return f"which is not a DNS domain: use labels of lowercase letters, digits and dashes, separated by dots, at most {longest} characters"


def address(value: str) -> str:
    try:
        ipaddress.IPv4Address(value)
    except ValueError:
        return "which is not an IPv4 address: write one, like 192.0.2.11"
    return ""


def network(value: str) -> str:
    try:
        found = ipaddress.IPv4Network(value, strict=False)
    except ValueError:
        return "which is not an IPv4 network in CIDR notation, like 10.244.0.0/16"
    if str(found) == value:
        return ""
    if not re.fullmatch(r"[0-9.]+/[0-9]{1,2}", value):
        return "where a network in CIDR notation is needed, like 10.244.0.0/16"
    return f"which has host bits set; the network is {found}"


def service_network(value: str) -> str:
    problem = network(value)
    if problem:
        return problem
    length = ipaddress.IPv4Network(value).prefixlen
    # The smallest with a tenth address, for cluster_dns_address; the largest that kube-apiserver accepts (app/options/validation.go).
    if length > 28:
        return "which is too small: use a network of at least 16 addresses (/28)"
    return "which is larger than the API server accepts: use /12 or smaller" if length < 12 else ""


def alternative_name(value: str) -> str:
    """A subject alternative name: a DNS name, with or without a wildcard, or an IP address."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        name = value.lower()
        if len(name) <= 253 and SUBDOMAIN.fullmatch(name[2:] if name.startswith("*.") else name):
            return ""
        return "which is neither a DNS name nor an IP address: write one of them, without scheme and port"
    return ""


def resolver(value: str) -> str:
    """What CoreDNS's plugin `forward` accepts: an address, optionally with a port or as tls://, or a file."""
    if re.fullmatch(r"/[-\w./]+", value):
        return ""
    rest = re.sub(r"^(dns|tls)://", "", value)
    found = re.fullmatch(r"\[([^\]]+)\](?::(\d{1,5}))?", rest) or re.fullmatch(r"([\d.]+)(?::(\d{1,5}))?", rest)
    host, port = found.groups() if found else (rest, None)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "which is neither an IP address nor a file: write one of them, like 192.0.2.53, 192.0.2.53:5353 or /etc/resolv.conf"
    return "" if port is None or 1 <= int(port) <= 65535 else f"whose port {port} is out of range: use 1 to 65535"


def mirror(value: str) -> str:
    advice = "which is not a mirror: write http://…, https://… or file:///DIR, or the path of a directory on the control node"
    if "://" not in value:
        return ""
    parts = urlsplit(value)
    if re.search(r"\s", value) or parts.scheme not in ("http", "https", "file"):
        return advice
    return "" if (parts.path.startswith("/") if parts.scheme == "file" else parts.hostname) else advice


def server(value: str) -> str:
    try:
        parts = urlsplit(value)
        right = parts.scheme == "https" and parts.hostname and parts.port != 0 and not re.search(r"\s", value)
    except ValueError:
        right = False
    return "" if right else "which is not the URL of an API server: write one, like https://192.0.2.11:6443"


def label_key(value: str) -> str:
    prefix, slash, name = value.rpartition("/")
    if LABEL_NAME.fullmatch(name) and (not slash or (len(prefix) <= 253 and SUBDOMAIN.fullmatch(prefix))):
        return ""
    return "which is not a valid label key: write NAME or DOMAIN/NAME, of letters, digits, dashes, underscores and dots"


def label_value(value: str) -> str:
    if not value or LABEL_NAME.fullmatch(value):
        return ""
    return "which is not a valid label value: use at most 63 letters, digits, dashes, underscores and dots, starting and ending with a letter or digit"


_SEVERAL_LIMITS = "which is empty, and the API server does not start without a limit: remove it to get the defaults"
_LEVELS = ("None", "Metadata", "Request", "RequestResponse")
_RULE_KEYS = (
    *("level", "users", "userGroups", "verbs", "resources", "namespaces", "nonResourceURLs", "omitStages"),
    "omitManagedFields",
)


def audit_rule(value: Mapping[str, t.Any]) -> str:
    """k8s.io/apiserver, pkg/apis/audit: the API server does not start with any other key or level."""
    unknown = [str(key) for key in value if key not in _RULE_KEYS]
    if unknown:
        return f"which has {', '.join(unknown)}: a rule of an audit policy has {', '.join(_RULE_KEYS)}"
    if value.get("level") not in _LEVELS:
        return f"whose level is {shown(value.get('level'))}: use one of {', '.join(_LEVELS)}"
    if value.get("nonResourceURLs") and (value.get("resources") or value.get("namespaces")):
        return "which has nonResourceURLs together with resources or namespaces: split it into two rules"
    return ""


# kubernetes 1.37, pkg/kubeapiserver/options/plugins.go. The API server does not start with any other plugin.
_PLUGINS = [
    "AlwaysAdmit",
    "AlwaysDeny",
    "AlwaysPullImages",
    "CertificateApproval",
    "CertificateSigning",
    "CertificateSubjectRestriction",
    "ClusterTrustBundleAttest",
    "DefaultIngressClass",
    "DefaultStorageClass",
    "DefaultTolerationSeconds",
    "DenyServiceExternalIPs",
    "EventRateLimit",
    "ExtendedResourceToleration",
    "ImagePolicyWebhook",
    "LimitPodHardAntiAffinityTopology",
    "LimitRanger",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionWebhook",
    "NamespaceAutoProvision",
    "NamespaceExists",
    "NamespaceLifecycle",
    "NodeDeclaredFeatureValidator",
    "NodeRestriction",
    "OwnerReferencesPermissionEnforcement",
    "PersistentVolumeClaimResize",
    "PodGroupProtection",
    "PodNodeSelector",
    "PodResizeValidator",
    "PodSecurity",
    "PodTolerationRestriction",
    "PodTopologyLabels",
    "Priority",
    "ResourceQuota",
    "RuntimeClass",
    "ServiceAccount",
    "StorageObjectInUseProtection",
    "TaintNodesByCondition",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionWebhook",
]


def admission_plugin(value: str) -> str:
    if value in _PLUGINS:
        return ""
    close = difflib.get_close_matches(value, _PLUGINS, n=1)
    return f"which is not an admission plugin of Kubernetes: {f'did you mean {close[0]}?' if close else 'remove it'}"


PORT = whole(1, 65535)
SECONDS = whole(0)
DAYS = whole(0)
# All clients accept a certificates_validity_days of 825.
VALIDITY = whole(1, 825)
# Go's time.ParseDuration.
DURATION = _matching(
    r"0|(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+",
    "which is not a Go duration: write a number with a unit, like 5m or 1h30m",
)
ABSOLUTE_PATH = _matching(r"/.*", "which is not an absolute path: start it with a slash")
INTERFACE = _matching(r"[^\s/:]{1,15}", "which is not the name of a network interface: use one that `ip link` shows")
REGISTRY = _matching(
    r"[A-Za-z0-9][-A-Za-z0-9.]*(?::[0-9]{1,5})?(?:/[-a-z0-9._]+)*/?",
    "which is not the address of a registry: write HOST, HOST:PORT or HOST:PORT/PATH, without a scheme",
)
SOURCE = _matching(
    r"[-0-9A-Za-z_.:/]+", "which is neither an IP address, nor a network in CIDR notation, nor a group of hosts"
)
VERSION = _matching(r"[0-9]+\.[0-9]+\.[0-9]+", "which is not a full version: write it like 1.37.2, without a leading v")
KUBERNETES = _matching(
    r"[0-9]+\.[0-9]+\.[0-9]+(?:-(?:alpha|beta|rc)\.[0-9]+)?",
    "which is not a full version: write it like 1.37.2, without a leading v",
)
SHA256 = _matching(r"[0-9A-Fa-f]{64}", "which is not a SHA-256 checksum: write its 64 hexadecimal digits")
DIGEST = _matching(r"sha256:[0-9a-f]{64}", "which is not a digest: write sha256: and its 64 hexadecimal digits")
NAMESPACE = _matching(_LABEL, "which is not the name of a namespace: use lowercase letters, digits and dashes")

# By variable: the format of its value, of the elements of a list, or of the values of a dict; and as NAME.KEY, the format of the options of its
# elements. A variable without a format is text that cannot break anything, or is checked elsewhere.
FORMATS: dict[str, Format] = {
    "addons_coredns_replicas": whole(0),
    "addons_dns_upstream": resolver,
    "addons_wait": SECONDS,
    "artifacts_checksums": SHA256,
    "artifacts_image_digests": DIGEST,
    "artifacts_image_registry": optional(REGISTRY),
    "artifacts_mirror": mirror,
    "build_directory": some,
    "build_work_directory": some,
    "certificates_directory": some,
    "certificates_extra_sans": alternative_name,
    "certificates_renew_before_days": DAYS,
    "certificates_token_overlap_hours": _at_least(0),
    "certificates_validity_days": VALIDITY,
    "cluster_address": address,
    "cluster_api_balancers": address,
    "cluster_api_port": PORT,
    "cluster_cni_plugins_version": optional(VERSION),
    "cluster_containerd_version": optional(VERSION),
    "cluster_control_plane_group": some,
    "cluster_coredns_version": VERSION,
    "cluster_cri_dockerd_version": VERSION,
    "cluster_dns_address": address,
    "cluster_domain": domain,
    "cluster_etcd_version": VERSION,
    "cluster_flannel_version": VERSION,
    "cluster_hello_version": VERSION,
    # HAProxy runs as an unprivileged user, which cannot open ports below 1024; the next port is for its health endpoint.
    "cluster_load_balancer_port": whole(1024, 65534),
    "cluster_name": cluster_name,
    "cluster_pause_version": VERSION,
    "cluster_pod_network": network,
    "cluster_service_network": service_network,
    "cluster_version": KUBERNETES,
    "cluster_virtual_ip": optional(address),
    "cluster_virtual_ip_interface": optional(INTERFACE),
    "containerd_runc_path": optional(ABSOLUTE_PATH),
    "cluster_lock_wait": SECONDS,
    "containerd_wait": SECONDS,
    "control_plane_audit_log_maxage": DAYS,
    "control_plane_audit_log_maxbackup": whole(0),
    "control_plane_audit_log_maxsize": whole(0),
    "control_plane_audit_policy_rules": audit_rule,
    "control_plane_event_rate_limits.burst": whole(1),
    "control_plane_event_rate_limits.cacheSize": whole(0),
    "control_plane_event_rate_limits.qps": whole(1),
    "control_plane_extra_admission_plugins": admission_plugin,
    "control_plane_pod_security_exempt_namespaces": NAMESPACE,
    "control_plane_request_timeout": whole(1),
    "control_plane_shutdown_delay": SECONDS,
    "control_plane_wait": SECONDS,
    "docker_wait": SECONDS,
    "etcd_auto_compaction_retention": DURATION,
    "etcd_foreign_users": some,
    # In bytes. Someone who writes 8 means 8 GiB, and etcd with such a small quota accepts no writes at all.
    "etcd_quota_backend_bytes": whole(64 * 2**20, 2**63 - 1),
    "etcd_wait": SECONDS,
    "firewall_accept.sources": SOURCE,
    "firewall_api_sources": SOURCE,
    "firewall_hosts": SOURCE,
    "firewall_kubelet_sources": SOURCE,
    "firewall_node_port_sources": SOURCE,
    "firewall_revert_after": whole(1),
    "firewall_ssh_ports": PORT,
    "firewall_ssh_sources": SOURCE,
    "flannel_subnet_length": whole(0, 32),  # _flannel_network
    "flannel_wait": SECONDS,
    "kubeconfig_path": some,
    "kubeconfig_server": optional(server),
    "kubeconfig_validity_days": VALIDITY,
    "load_balancer_wait": SECONDS,
    "node_drain_timeout": SECONDS,
    "node_pod_pids_limit": whole(-1),
    "node_taints.key": label_key,
    "node_taints.value": label_value,
    "node_wait": SECONDS,
    "preflight_disk_mb": whole(0),
    "preflight_foreign_variables": some,
    "preflight_memory_mb": whole(0),
    "reset_wait": SECONDS,
    "status_certificate_days": DAYS,
    "status_wait": SECONDS,
    "verify_external_name": optional(domain),
    "verify_host_port": PORT,
    "verify_nodes": whole(1),
    "verify_wait": SECONDS,
}
# Lists that must not be empty, and why.
_NOT_EMPTY = {"control_plane_event_rate_limits": _SEVERAL_LIMITS}
# Text with several lines, which becomes a file.
_FILES = ("control_plane_authorization_webhooks.kubeconfig",)
# Text for which a number is fine, because it prints as intended.
_NUMBERS_TOO = ("firewall_accept.ports", "reset_confirm")


def problems(name: str, value: t.Any, option: Mapping[str, t.Any]) -> list[str]:
    """The problems with a variable, as sentences; `option` is its entry in meta/argument_specs.yml."""
    return _problems(name, name, value, option)


def _problems(path: str, name: str, value: t.Any, option: Mapping[str, t.Any]) -> list[str]:
    """`path` is the location of the value, such as node_taints[0].key, and `name` its key in FORMATS."""
    kind = option.get("type", "str")
    if value is None:
        return [f"{path} is null (an empty value in YAML): set a value, or remove it to get the default."]
    if name in _FILES and isinstance(value, str):
        return []
    if name in _NUMBERS_TOO and isinstance(value, int) and not isinstance(value, bool):
        return []
    wrong = _TYPES[kind](value)
    if wrong:
        return [f"{path} is {_of_wrong_type(kind, value)}, {wrong}."]
    if kind == "list":
        return _list_problems(path, name, value, option)
    if kind == "dict" and "options" in option:
        return _option_problems(path, name, value, option["options"])
    check = FORMATS.get(name)
    if kind == "dict":
        return _value_problems(path, value, check)
    wrong = check(value) if check and not option.get("choices") else ""
    return [f"{path} is {shown(value)}, {_ended(wrong)}"] if wrong else []


def _ended(text: str) -> str:
    return text if text.endswith("?") else f"{text}."


def _of_wrong_type(kind: str, value: t.Any) -> str:
    """Does not show values of a dict, which may be secrets."""
    if kind in ("list", "dict") and isinstance(value, str):
        return f"the text {shown(value)}" if kind == "list" else "the text"
    return shown(value)


def _list_problems(path: str, name: str, value: t.Sequence[t.Any], option: Mapping[str, t.Any]) -> list[str]:
    if not value and name in _NOT_EMPTY:
        return [f"{path} is a list {_NOT_EMPTY[name]}."]
    element = {**option, "type": option.get("elements", "str"), "elements": "str"}
    if element["type"] == "dict" and "options" not in option:
        check = FORMATS.get(name)
        return [
            f"{path}[{index}] is {shown(one)}, {wrong}."
            for index, one in enumerate(value)
            if (wrong := _mapping(one) or (check(one) if check else ""))
        ]
    return [problem for index, one in enumerate(value) for problem in _problems(f"{path}[{index}]", name, one, element)]


def _option_problems(path: str, name: str, value: Mapping[str, t.Any], options: Mapping[str, t.Any]) -> list[str]:
    return [
        problem
        for key, option in options.items()
        if key in value
        for problem in _problems(f"{path}.{key}", f"{name}.{key}", value[key], option)
    ]


def _value_problems(path: str, value: Mapping[t.Any, t.Any], check: Format | None) -> list[str]:
    """For a dict without options: with a format, its values are text, otherwise anything."""
    keys = [key for key in value if not isinstance(key, str)]
    if keys:
        return [f"{path} has {shown(key)} as a key, where text is needed: write it in quotes." for key in keys]
    if check is None:
        return []
    return [
        f"{path}['{key}'] is {shown(one)}, {wrong}."
        for key, one in value.items()
        if (wrong := _text(one) or check(one))
    ]
