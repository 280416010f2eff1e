# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The operator's component flags: which ones are refused and why. No I/O, except for reading the roles' variables."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places
from ansible_collections.plainkube.cluster.plugins.module_utils.services._flags import VARIABLES, normal, texts
from ansible_collections.plainkube.cluster.plugins.plugin_utils.roles import _roles

UNSAFE = "cluster_unsafe_flags"
_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# The roles' own settings, which an operator's flag must not undo.
_TLS_VERSION = _roles.variables()["__cluster_tls_version"]
_ETCD_TLS_VERSION = _roles.variables()["__cluster_etcd_tls_version"]
_CIPHERS = " ".join(_roles.variables()["__cluster_tls_ciphers"])
_ADMISSION_PLUGINS = ["PodSecurity", *_roles.variables()["__control_plane_own_admission_plugins"]]


class Rule(t.NamedTuple):
    """Flags that are refused (names; a final `*` matches any suffix), why, and the values that are accepted nevertheless.

    With `only`, just these values are refused. The reason completes "is refused: "."""

    flags: tuple[str, ...]
    reason: str
    safe: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def means(self, flag: str) -> bool:
        return any(flag.startswith(one[:-1]) if one.endswith("*") else flag == one for one in self.flags)

    def allows(self, values: t.Sequence[str]) -> bool:
        items = [item for value in values for item in value.split(",")]
        if self.only:
            return not set(items) & set(self.only)
        return bool(items) and all(item in self.safe for item in items)


def _rule(flags: str, reason: str, safe: str = "", only: str = "") -> Rule:
    return Rule(tuple(flags.split()), reason, tuple(safe.split()), tuple(only.split()))


def _instead(flags: str, variable: str) -> Rule:
    return _rule(flags, f"set {variable} instead, which other parts of the cluster use too")


_HARDENED = "which docs/hardening.md promises"
_EXITS = _rule("help h version buildinfo write-config-to", "with it, the program only prints something and exits")
_PROFILING = _rule(
    "profiling contention-profiling", f"it switches profiling on, which is off everywhere, {_HARDENED}", "false"
)
_TLS = (
    _rule("tls-min-version", f"no version of TLS before 1.2 is spoken, {_HARDENED}", f"{_TLS_VERSION} VersionTLS13"),
    _rule("tls-cipher-suites", f"only four ciphers are used, {_HARDENED}", _CIPHERS),
)
_CERTIFICATES = "the collection manages the certificates and CAs, and renews and rotates them (docs/certificates.md)"
_CREDENTIALS = "the collection creates this file, and systemd passes it to the process"
_SERVICES = _instead("service-cluster-ip-range", "cluster_service_network")

# Controller manager and scheduler.
_LEADERS = (
    _EXITS,
    _PROFILING,
    *_TLS,
    _rule("kubeconfig master authentication-kubeconfig authorization-kubeconfig", _CREDENTIALS),
    _rule("tls-cert-file tls-private-key-file cert-dir client-ca-file requestheader-*", _CERTIFICATES),
    _rule(
        "bind-address secure-port",
        "it listens on loopback only, on the port that plainkube.cluster.status and the firewall expect",
    ),
    _rule(
        "authorization-always-allow-paths authentication-tolerate-lookup-failure authentication-skip-lookup",
        f"anonymous requests can only access the health endpoints, {_HARDENED}",
    ),
    _rule("leader-elect", "one of several must be the leader, and a restart waits until one is", "true"),
    _rule("leader-elect-resource-*", "a restart of another control plane waits for the lease of this name"),
)

RULES: dict[str, tuple[Rule, ...]] = {
    "kube-apiserver": (
        _EXITS,
        _PROFILING,
        *_TLS,
        _rule(
            "oidc-*",
            "the API server accepts no --oidc flag with --authentication-config; set control_plane_authentication_jwt instead",
        ),
        _rule(
            "anonymous-auth",
            f"anonymous requests can only access the health endpoints, {_HARDENED}, and the API server does not accept it with --authentication-config",
        ),
        _rule("authentication-config", "set control_plane_authentication_jwt instead, which is written to that file"),
        _rule("token-auth-file", "static tokens never expire, and the CIS benchmark forbids them (docs/hardening.md)"),
        _rule(
            "authorization-mode authorization-policy-file authorization-webhook-* authorization-config",
            "set control_plane_authorization_webhooks instead; Node and RBAC are always enabled",
        ),
        _rule(
            "admission-control-config-file",
            "set control_plane_pod_security_enforce, control_plane_pod_security_exempt_namespaces and control_plane_event_rate_limits instead",
        ),
        _rule(
            "enable-admission-plugins",
            "set control_plane_extra_admission_plugins instead, which adds to the collection's plugins",
        ),
        _rule(
            "disable-admission-plugins",
            f"{', '.join(_ADMISSION_PLUGINS[:-1])} and {_ADMISSION_PLUGINS[-1]} are enabled, {_HARDENED}",
            only=" ".join(_ADMISSION_PLUGINS),
        ),
        _rule("audit-policy-file", "set control_plane_audit_policy_rules instead"),
        _rule("audit-log-path", f"the audit log is {_places.API_SERVER_LOGS}/audit.log, {_HARDENED}"),
        _instead("advertise-address", "cluster_address"),
        _instead("secure-port", "cluster_api_port"),
        _rule(
            "bind-address",
            "load balancers, plainkube.cluster.status and local clients connect to the host's address and to loopback",
        ),
        _rule(
            "etcd-servers* etcd-cafile etcd-certfile etcd-keyfile etcd-prefix",
            "etcd's members, users and rights are the collection's",
        ),
        _rule(
            "etcd-compaction-interval",
            "etcd compacts itself (etcd_auto_compaction_retention), and the API server has no permission to",
            "0",
        ),
        _rule(
            "encryption-provider-config*", "the collection creates and rotates the key (plainkube.cluster.encryption)"
        ),
        _rule(
            "client-ca-file tls-cert-file tls-private-key-file cert-dir kubelet-certificate-authority kubelet-client-* proxy-client-* requestheader-*",
            _CERTIFICATES,
        ),
        _rule("service-account-key-file service-account-signing-*", _CERTIFICATES),
        _rule("service-account-extend-token-expiration", f"tokens expire as stated, {_HARDENED}", "false"),
        _rule("service-account-lookup", f"tokens of deleted service accounts are rejected, {_HARDENED}", "true"),
        _rule("enable-bootstrap-token-auth", f"bootstrap tokens are disabled, {_HARDENED}", "false"),
        _SERVICES,
        _rule("service-node-port-range", "the firewall opens 30000-32767 for NodePorts"),
        _rule(
            "shutdown-*",
            "systemd's stop timeout is derived from control_plane_shutdown_delay; set that instead",
        ),
    ),
    "kube-controller-manager": (
        *_LEADERS,
        _rule("root-ca-file service-account-private-key-file", _CERTIFICATES),
        _rule(
            "cluster-signing-cert-file cluster-signing-key-file cluster-signing-kube* cluster-signing-legacy*",
            _CERTIFICATES,
        ),
        _rule(
            "use-service-account-credentials",
            "each controller has its own permissions, as the CIS benchmark requires (docs/hardening.md)",
            "true",
        ),
        _rule("allocate-node-cidrs", "flannel allocates each host's subnet", "false"),
        _SERVICES,
    ),
    "kube-scheduler": (
        *_LEADERS,
        _rule("config", "with it, the scheduler ignores --kubeconfig and --leader-elect"),
    ),
    "etcd": (
        _EXITS,
        _rule("enable-pprof", f"it switches profiling on, which is off everywhere, {_HARDENED}", "false"),
        _rule("name data-dir wal-dir", "membership, snapshots and resets use the inventory's name and /var/lib/etcd"),
        _rule(
            "listen-* advertise-client-urls",
            "API servers, flanneld, plainkube.cluster.status and the firewall expect these addresses and ports",
        ),
        _rule("initial-* discovery*", "plainkube.cluster.site decides which cluster a member joins"),
        _rule("force-new-cluster*", "each start of the service would remove the other members from the cluster"),
        _rule("config-file", "with it, etcd ignores all flags"),
        _rule("client-cert-auth peer-client-cert-auth", f"clients must have a certificate, {_HARDENED}", "true"),
        _rule("auto-tls peer-auto-tls", _CERTIFICATES, "false"),
        _rule(
            "trusted-ca-file cert-file key-file client-cert-file client-key-file client-cert-allowed-* peer-trusted-ca-file "
            "peer-cert-file peer-key-file peer-client-cert-file peer-client-key-file peer-cert-allowed-*",
            _CERTIFICATES,
        ),
        _rule(
            "tls-min-version",
            f"no version of TLS before 1.2 is spoken, {_HARDENED}, and etcd does not accept 1.3 with --cipher-suites",
            _ETCD_TLS_VERSION,
        ),
        _rule("tls-max-version", "etcd does not accept --cipher-suites with TLS 1.3", _ETCD_TLS_VERSION),
        _rule("cipher-suites", f"only four ciphers are used, {_HARDENED}", _CIPHERS),
        _rule(
            "unsafe-no-fsync",
            "the unit may kill etcd, which loses nothing because all acknowledged writes are on disk",
            "false",
        ),
        _rule("strict-reconfig-check", "without it, a membership change may lose the quorum", "true"),
    ),
    "flanneld": (
        _EXITS,
        _rule("etcd-*", "etcd's members, users and rights are the collection's"),
        _rule(
            "kube-subnet-mgr kube-api-url kube-annotation-prefix kubeconfig-file net-config-path",
            "flannel's state is in etcd",
            "false",
        ),
        _rule("subnet-file", "Docker and containerd get their subnet from /var/lib/flannel/subnet.env"),
        _rule("iface* public-ip*", "set cluster_address instead, which other parts of the cluster read too"),
        _rule("healthz-*", "its health is on loopback only, on the port that plainkube.cluster.status expects"),
        _rule("ip-masq", "Docker and containerd leave that to flannel", "true"),
    ),
    "kubelet": (
        _EXITS,
        _PROFILING,
        _rule("config config-dir", "set node_kubelet_config instead, which is written to that file"),
        _rule("kubeconfig bootstrap-kubeconfig cert-dir", "the collection creates these files"),
        _rule("hostname-override", "the Node has the inventory's name, as its certificate has"),
        _instead("node-ip address", "cluster_address"),
        _rule("node-labels", "set node_labels instead, which also applies to existing Nodes"),
        _rule("register-with-taints", "set node_taints instead, which also applies to existing Nodes"),
        _rule("register-node", "plainkube.cluster.site waits for the Node", "true"),
        _rule("root-dir", "the collection manages /var/lib/kubelet"),
        _rule("container-runtime-endpoint image-service-endpoint", "set cluster_runtime instead"),
        _rule("anonymous-auth", f"the kubelet rejects anonymous requests, {_HARDENED}", "false"),
        _rule("authentication-token-webhook", f"the API server decides who may do what, {_HARDENED}", "true"),
        _rule("authorization-mode", f"the API server decides who may do what, {_HARDENED}", "Webhook"),
        _rule("client-ca-file tls-cert-file tls-private-key-file rotate-server-certificates", _CERTIFICATES),
        *_TLS,
        _rule("rotate-certificates", "its client certificate would expire", "true"),
        _rule("read-only-port", f"the read-only port is disabled, {_HARDENED}", "0"),
        _rule(
            "seccomp-default",
            f"pods use the runtime's seccomp profile, {_HARDENED}; set seccompDefault in node_kubelet_config instead",
            "true",
        ),
        _rule(
            "protect-kernel-defaults",
            f"it refuses other kernel settings, {_HARDENED}; set protectKernelDefaults in node_kubelet_config instead",
            "true",
        ),
        _rule("make-iptables-util-chains", "the CIS benchmark requires it (docs/hardening.md)", "true"),
        _rule(
            "port healthz-port healthz-bind-address",
            "plainkube.cluster.status and the firewall expect these addresses and ports",
        ),
        _rule(
            "fail-swap-on fail-cgroupv1",
            "plainkube.cluster.site checks in node_kubelet_config whether the kubelet would start; set it there",
        ),
        _instead("cluster-dns", "cluster_dns_address"),
        _instead("cluster-domain", "cluster_domain"),
        _rule("pod-max-pids", "set node_pod_pids_limit instead"),
    ),
    "kube-proxy": (
        _EXITS,
        _rule("cleanup init-only", "with it, kube-proxy does only that and exits", "false"),
        _rule("config", "set node_kube_proxy_config instead, which is written to that file"),
        _rule("hostname-override", "the Node has the inventory's name, as its certificate has"),
    ),
    "cri-dockerd": (
        _EXITS,
        _rule(
            "container-runtime-endpoint cri-dockerd-root-directory docker-endpoint",
            "the kubelet, Docker and plainkube.cluster.status expect this path",
        ),
        _rule("network-plugin cni-* pod-cidr", "pods are on docker0, which is on flannel's subnet"),
        _rule(
            "pod-infra-container-image", "set cluster_pause_version instead; plainkube.cluster.site loads that image"
        ),
        _rule("streaming-bind-addr", "exec, attach and port-forward come only from the kubelet, over loopback"),
    ),
}
# With --config, kube-proxy silently ignores all flags except these (cmd/kube-proxy/app/options.go), so the others are refused.
_KUBE_PROXY_READS = (
    "v",
    "vmodule",
    "logging-format",
    "log-flush-frequency",
    "log-json-*",
    "log-text-*",
    "hostname-override",
    "config",
)
_KUBE_PROXY_SILENT = "with --config, kube-proxy ignores it; set it in node_kube_proxy_config instead"


def _form_problem(name: t.Any, value: t.Any) -> str:
    """The problem with the form of a flag, regardless of its meaning."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return "write the flag's name without leading dashes, with lowercase letters, digits and dashes, and its value after a colon"
    values = value if isinstance(value, (list, tuple)) else [value]
    if any(one is None or isinstance(one, (dict, list, tuple)) for one in values):
        return "set it to text, a number, true or false, or a list of these"
    if any(_CONTROL.search(str(one)) for one in values):
        return "remove control characters and line breaks from its value"
    return ""


def _reason(component: str, name: str, value: t.Any) -> str:
    """Why a flag is refused; empty if it is not."""
    flag = normal(name)
    for rule in RULES[component]:
        if rule.means(flag) and not rule.allows(texts(value)):
            return rule.reason
    if component == "kube-proxy" and not Rule(_KUBE_PROXY_READS, "").means(flag):
        return _KUBE_PROXY_SILENT
    if component == "kube-apiserver" and flag == "service-account-issuer":
        return _issuer_reason(texts(value))
    return ""


def _issuer_reason(values: t.Sequence[str]) -> str:
    if any(one.startswith("https://kubernetes.default.svc.") for one in values):
        return ""
    return (
        "the tokens of running pods would become invalid; set a list that also has "
        "https://kubernetes.default.svc.CLUSTER_DOMAIN"
    )


def component_problems(component: str, flags: t.Mapping[str, t.Any], unsafe: t.Collection[str]) -> list[str]:
    """The problems with the flags of one component."""
    variable, problems = VARIABLES[component], []
    for name, value in flags.items():
        form = _form_problem(name, value)
        if form:
            problems.append(f"{variable} has {name!r}, which is not in the form of a flag: {form}.")
            continue
        entry = f"{component}/{normal(name)}"
        reason = "" if entry in unsafe else _reason(component, name, value)
        if reason:
            problems.append(
                f"{variable} has {name!r}, which is refused: {reason}. To set it anyway, list {entry} in {UNSAFE}."
            )
    return problems


def unsafe_problems(entries: t.Iterable[t.Any]) -> list[str]:
    """Entries of cluster_unsafe_flags that do not match a flag."""
    return [
        f"{UNSAFE} has {entry!r}: write COMPONENT/FLAG, like kube-apiserver/anonymous-auth, where COMPONENT is one of {', '.join(VARIABLES)}."
        for entry in entries
        if not _is_entry(entry)
    ]


def _is_entry(entry: t.Any) -> bool:
    component, dummy, flag = str(entry).partition("/")
    return component in VARIABLES and bool(_NAME.fullmatch(flag))


def problems(variables: t.Mapping[str, t.Any]) -> list[str]:
    """The problems with the flags in a host's variables."""
    listed = variables.get(UNSAFE)
    unsafe = [str(entry) for entry in listed] if isinstance(listed, (list, tuple)) else []
    allowed = {f"{component}/{normal(flag)}" for component, dummy, flag in (one.partition("/") for one in unsafe)}
    found = unsafe_problems(unsafe)
    for component, variable in VARIABLES.items():
        flags = variables.get(variable)
        found += component_problems(component, flags, allowed) if isinstance(flags, dict) else []
    return found
