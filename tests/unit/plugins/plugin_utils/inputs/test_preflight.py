# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.plugin_utils.inputs import _preflight

UPSTREAM = {"cluster_containerd_version": "2.2.9", "cluster_cni_plugins_version": "1.9.1"}
GOOD = {
    "control_planes": ["k1"],
    "control_plane_group": "control_plane",
    "etcd_members": ["k1"],
    "etcd_group": "etcd",
    "kubernetes_version": "1.37.2",
    "etcd_version": "3.7.3",
    "upstream_versions": {"cluster_containerd_version": "", "cluster_cni_plugins_version": ""},
    "subnet_length": 24,
    "hosts": ["n1", "node-2.example.org"],
    "networks": {"cluster_pod_network": "10.244.0.0/16", "cluster_service_network": "10.96.0.0/16"},
    "dns_address": "10.96.0.10",
}
HOST = {
    "distribution": "debian",
    "distribution_version": "13",
    "systemd": True,
    "architecture": "amd64",
    "memory_mb": 2000,
    "swap": [],
    "cgroup_version": 2,
    "machine_id": "c048e1357f6a4c91825a84bc03619a06",
    "free_mb": {"/opt/plainkube": 5000, "/var/lib/docker": 5000},
    "installed": False,
    "networks": [{"name": "the interface eth0", "network": "192.0.2.0/24"}],
    "foreign_listeners": [],
    "clock_offset": 0.0,
    "containerd": "",
    "runtime": "",
    "resolv_conf": "/etc/resolv.conf",
    "name_servers": ["192.0.2.53"],
    "containerd_files": {},
}
NEEDS = {
    "untested_systems": False,
    "memory_mb": 900,
    "disk_mb": 2000,
    "networks": GOOD["networks"],
    "components": [
        {"name": "kube-apiserver", "ports": ["6443"]},
        {"name": "kubelet", "ports": [10248, 10250]},
        {"name": "docker"},
        {"name": "flanneld", "udp_ports": [8472]},
    ],
    "kubelet_config": None,
}


def test_good_inputs_are_no_problem():
    assert _preflight.input_problems(GOOD) == []
    assert _preflight.input_problems({**GOOD, "upstream_versions": UPSTREAM}) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"control_planes": []}, "no host in the group control_plane (cluster_control_plane_group)"),
        ({"etcd_members": ["k1", "k2"]}, "2 etcd members (k1, k2)"),
        ({"etcd_version": "3.6.9"}, "cluster_etcd_version is '3.6.9'"),
        ({"etcd_version": "3.7.0"}, "use 3.7.1 or newer"),
        ({"etcd_version": "3.5.21"}, "use 3.7.1 or newer"),
        ({"sources": {"firewall_ssh_sources": ["10.0.0.0/33"]}}, "firewall_ssh_sources has '10.0.0.0/33'"),
        ({"sources": {"firewall_hosts": ["hosts"]}}, "firewall_hosts has 'hosts'"),
        (
            {"firewall_accept": [{"name": "x", "ports": ["http"], "sources": []}]},
            "firewall_accept: 'http' is not a port",
        ),
        (
            {"hosts": ["n1", "Node1"]},
            "Node1 is not a valid name for a host of the cluster: use at most 52 lowercase letters",
        ),
        ({"hosts": ["node_1"]}, "node_1 is not a valid name for a host"),
        ({"hosts": ["n" * 53]}, "is not a valid name for a host"),
        (
            {"dns_address": "10.96.0.0"},
            "cluster_dns_address is '10.96.0.0', which is the network address: use another address",
        ),
        ({"dns_address": "10.96.0.1"}, "which belongs to the Service kubernetes: use another address of 10.96.0.0/16"),
        ({"dns_address": "10.96.255.255"}, "which is the broadcast address"),
        (
            {"dns_address": "169.254.20.10"},
            "which is outside cluster_service_network (10.96.0.0/16): use another",
        ),
        ({"subnet_length": 31}, "flannel_subnet_length is 31, which flannel refuses"),
        ({"subnet_length": 16}, "cluster_pod_network is '10.244.0.0/16' and flannel_subnet_length is 16"),
        (
            {"kubernetes_version": "1.34.9"},
            "cluster_version is '1.34.9', and this release",
        ),
        (
            {"kubernetes_version": "1.38.0"},
            "runs Kubernetes 1.35 to 1.37: use one of these",
        ),
        (
            {"upstream_versions": {**GOOD["upstream_versions"], "cluster_containerd_version": "2.2.9"}},
            "cluster_containerd_version is '2.2.9' and cluster_cni_plugins_version is empty: set neither to use upstream's default",
        ),
        (
            {"upstream_versions": {**GOOD["upstream_versions"], "cluster_cni_plugins_version": "1.9.1"}},
            "cluster_cni_plugins_version is '1.9.1' and cluster_containerd_version is empty: set neither to use upstream's default",
        ),
        (
            {"upstream_versions": {**UPSTREAM, "cluster_containerd_version": "1.7.24"}},
            "cluster_containerd_version is '1.7.24', which is too old: use 2.0.0 or newer.",
        ),
        (
            {"upstream_versions": {**UPSTREAM, "cluster_cni_plugins_version": "1.1.0"}},
            "cluster_cni_plugins_version is '1.1.0', which is too old: use 1.1.1 or newer.",
        ),
        (
            {"networks": {"cluster_pod_network": "10.96.0.0/12", "cluster_service_network": "10.96.0.0/16"}},
            "cluster_pod_network (10.96.0.0/12) overlaps cluster_service_network (10.96.0.0/16): choose networks that do not overlap.",
        ),
    ],
)
def test_bad_inputs(changes, words):
    problems = _preflight.input_problems({**GOOD, **changes})
    assert len(problems) == 1
    assert words in problems[0]


@pytest.mark.parametrize("version", ["3.6.14", "3.7.1", "3.8.0", "4.0.0"])
def test_etcd_versions_that_are_well(version):
    assert _preflight.etcd_version_problems(version) == []


def test_images_need_digests_if_each_download_must_be_pinned():
    digests = {"pause:3": "sha256:1", "coredns:1": "", "hello:1": ""}
    assert _preflight.host_problems(HOST, "n1", {**NEEDS, "image_digests": digests}) == [
        "n1 has artifacts_require_pins true, and artifacts_image_digests has no digest for coredns:1, hello:1: add it, from a source that you trust, "
        "or set artifacts_images to 'archive', or artifacts_require_pins to false."
    ]
    assert _preflight.host_problems(HOST, "n1", {**NEEDS, "image_digests": {"pause:3": "sha256:1"}}) == []


def test_a_good_host_is_no_problem():
    assert _preflight.host_problems(HOST, "n1", NEEDS) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"distribution_version": "11"}, "n1 runs debian 11, on which"),
        ({"distribution_version": "14"}, "or set preflight_untested_systems to true."),
        ({"distribution_version": ""}, "n1 runs debian , on which"),
        ({"distribution": "ubuntu", "distribution_version": "24.10"}, "n1 runs ubuntu 24.10, on which"),
        ({"distribution": "fedora"}, "n1 runs fedora 13, on which plainkube.cluster is not tested: use Debian 12 or"),
        ({"systemd": False}, "n1 does not run systemd as init"),
        ({"architecture": "riscv64"}, "n1 is riscv64"),
        (
            {"docker_problems": ["Docker's icc is false in F, but why: remove it"]},
            "n1: Docker's icc is false in F, but why: remove it.",
        ),
        ({"memory_mb": 512}, "n1 has 512 MiB of memory and preflight_memory_mb requires 900"),
        ({"machine_id": ""}, "n1 has no /etc/machine-id: create it"),
        (
            {"free_mb": {"/opt/plainkube": 900, "/var/lib/docker": 800, "/var/lib/etcd": 3000}},
            "n1 has 800 MiB of free disk for /opt/plainkube and /var/lib/docker and preflight_disk_mb requires 2000: free some",
        ),
        (
            {"networks": [{"name": "the Docker network backend", "network": "10.244.5.0/24"}]},
            "cluster_pod_network (10.244.0.0/16) overlaps 10.244.5.0/24 of the Docker network backend on n1: choose another",
        ),
        (
            {"networks": [{"name": "the interface eth0", "network": "10.96.0.0/11"}]},
            "cluster_service_network (10.96.0.0/16) overlaps 10.96.0.0/11 of the interface eth0 on n1",
        ),
        (
            {
                "foreign_listeners": [
                    {"protocol": "tcp", "port": 10250, "address": "0.0.0.0:10250", "pid": 17, "process": "python3"}
                ]
            },
            "n1: python3 (pid 17) listens on 0.0.0.0:10250, and kubelet needs port 10250: stop it or give it another port.",
        ),
        (
            {
                "foreign_listeners": [
                    {"protocol": "udp", "port": 8472, "address": "0.0.0.0:8472", "pid": 17, "process": "vpn"}
                ]
            },
            "n1: vpn (pid 17) listens on 0.0.0.0:8472, and flanneld needs UDP port 8472: stop it or give it another port.",
        ),
        (
            {"foreign_listeners": [{"protocol": "tcp", "port": 6443, "address": "[::]:6443", "pid": 0, "process": ""}]},
            "kube-apiserver needs port 6443: stop it or give it another port, or set cluster_api_port to another port.",
        ),
        (
            {"unresolved": ["api.example.org"]},
            "cluster_api_endpoint has the name api.example.org, which does not resolve on n1, whose",
        ),
        ({"clock_offset": 7.26}, "n1's clock is 7.3 s ahead of the control node's"),
        ({"clock_offset": -2.1}, "n1's clock is 2.1 s behind the control node's"),
    ],
)
def test_bad_hosts(changes, words):
    problems = _preflight.host_problems({**HOST, **changes}, "n1", NEEDS)
    assert len(problems) == 1
    assert words in problems[0]


ETH0 = [{"address": "192.0.2.11", "interface": "eth0", "prefix": 24}]


@pytest.mark.parametrize(
    ("address", "given", "addresses", "words"),
    [
        ("192.0.2.11", False, ETH0, ""),
        ("192.0.2.11", True, ETH0, ""),
        # There are no facts about a host that is down.
        ("203.0.113.7", True, [], ""),
        (
            "203.0.113.7",
            True,
            ETH0,
            "n1 has cluster_address '203.0.113.7', which is not an address of that host (192.0.2.11 (eth0)): use one of these, or remove it to "
            "get the one that Ansible connects to.",
        ),
        (
            "203.0.113.7",
            False,
            ETH0,
            "Ansible connects to n1 at 203.0.113.7, which is not an address of that host (192.0.2.11 (eth0)), as behind NAT: set "
            "cluster_address for it to one of these in the inventory.",
        ),
        (
            "127.0.0.1",
            False,
            [*ETH0, {"address": "127.0.0.1", "interface": "lo", "prefix": 8}],
            "n1 has the address 127.0.0.1 (ansible_host), at which no other host can reach it: set cluster_address for it in the inventory.",
        ),
        (
            "224.0.0.1",
            True,
            ETH0,
            "n1 has the address 224.0.0.1 (cluster_address), at which no other host can reach it: set cluster_address for it in the inventory.",
        ),
        (
            "",
            False,
            ETH0,
            "The IPv4 address of n1 is unknown, because its name does not resolve on the control node, or resolves to several addresses while n1 is "
            "down: set cluster_address for it in the inventory.",
        ),
    ],
)
def test_an_address_that_the_host_confirms(address, given, addresses, words):
    known = {"address": address, "given": given, "addresses": addresses, "machine_id": "", "hostname": ""}
    found = _preflight.hosts_problems({"hosts": {"n1": known}, "networks": {}})
    assert found == ([words] if words else [])


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"a b": "c"}, "'a b' in node_labels, which is not a valid label key: write NAME or DOMAIN/NAME"),
        ({"Example.org/a": "c"}, "'Example.org/a' in node_labels, which is not a valid label key"),
        ({"/a": "c"}, "'/a' in node_labels, which is not a valid label key"),
        (
            {"rack": "-1"},
            "'rack' in node_labels, with the value '-1', which is not a valid label value: use at most 63",
        ),
        ({"rack": "a" * 64}, "'rack' in node_labels, with the value"),
        (
            {"gpu": True},
            "'gpu' in node_labels, whose value is the boolean true, where text is needed: write it in quotes",
        ),
        ({"gpu": None}, "'gpu' in node_labels, whose value is null, where text is needed"),
        ({"version": 1.1}, "'version' in node_labels, whose value is the number 1.1, where text is needed"),
        ({"gpu": ["a"]}, "'gpu' in node_labels, whose value is a list, where text is needed"),
        ({True: "a"}, "'True' in node_labels, which is not text"),
    ],
)
def test_labels_that_no_node_can_have(labels, words):
    problems = _preflight.host_problems(HOST, "n1", {**NEEDS, "node_labels": labels})
    assert len(problems) == 1
    assert words in problems[0]


def test_labels_that_a_node_may_have():
    own = {
        "topology.kubernetes.io/zone": "a",
        "node.kubernetes.io/x": "1",
        "sub.kubelet.kubernetes.io/x": "",
        "kubernetes.io/arch": "amd64",
        # No kubelet may give itself these; a control plane does.
        "node-role.kubernetes.io/worker": "",
        "x.k8s.io/a": "b",
    }
    labels = {**own, "rack": 7, "example.org/disk": "ssd", "mykubernetes.io/x": "y", "flag": "true", "a" * 63: "b" * 63}
    assert _preflight.host_problems(HOST, "n1", {**NEEDS, "node_labels": labels}) == []


def test_a_directory_that_systemd_makes_is_no_link():
    facts = {**HOST, "linked": {"/var/lib/etcd": "/disk/etcd"}}
    assert _preflight.host_problems(facts, "k1", NEEDS) == [
        "k1 has the symbolic link /var/lib/etcd to /disk/etcd, with which systemd does not start the service that keeps its data there: use a "
        "bind mount instead (rm /var/lib/etcd; mkdir /var/lib/etcd; in /etc/fstab: /disk/etcd /var/lib/etcd none bind 0 0), or link a "
        "parent directory."
    ]
    assert _preflight.host_problems({**HOST, "linked": {}}, "k1", NEEDS) == []


def test_settings_that_a_live_cluster_cannot_change():
    bare = {"address": "10.0.0.1", "machine_id": "", "hostname": ""}
    live = {
        **bare,
        "address": "10.0.0.2",
        "settled": {"cluster_domain": "cluster.local", "cluster_pod_network": "10.244.0.0/16"},
    }
    subject = {"hosts": {"n1": bare, "k1": live, "k2": {**live, "address": "10.0.0.3"}}, "networks": GOOD["networks"]}
    same = {
        "cluster_domain": "cluster.local",
        "cluster_pod_network": "10.244.0.0/16",
        "cluster_service_network": "10.96.0.0/16",
    }
    assert _preflight.hosts_problems({**subject, "settled": same}) == []
    assert _preflight.hosts_problems({**subject, "settled": {**same, "cluster_domain": "k.example"}}) == [
        "cluster_domain is 'k.example', but the existing cluster of k1 has cluster.local, which cannot be changed: "
        "set cluster_domain to that, or rebuild the cluster (plainkube.cluster.reset, then plainkube.cluster.site)."
    ]


def test_a_dns_address_follows_its_network_in_what_a_live_cluster_cannot_change():
    settled = {"k1": {"cluster_service_network": "10.96.0.0/16"}, "n1": {"cluster_dns_address": "10.96.0.10"}}
    hosts = {host: {"settled": known} for host, known in settled.items()}

    def told(network, address):
        wanted = {"cluster_service_network": network, "cluster_dns_address": address}
        return [line.partition(" ")[0] for line in _preflight.settled_problems(hosts, wanted)]

    assert told("10.96.0.0/16", "10.96.0.10") == []
    assert told("10.96.0.0/16", "10.96.0.11") == ["cluster_dns_address"]
    assert told("10.97.0.0/16", "10.97.0.10") == ["cluster_service_network"]


@pytest.mark.parametrize(
    ("name", "installed", "wanted", "refused"),
    [
        ("kube-apiserver", "1.36.2", "1.36.0", False),
        ("kube-apiserver", "1.36.2", "1.36.9", False),
        ("kube-apiserver", "1.36.2", "1.37.0", False),
        ("kube-apiserver", "1.36.2", "1.38.0", True),
        ("kube-apiserver", "1.36.2", "1.35.9", True),
        ("kube-apiserver", "1.36.2", "2.0.0", True),
        # One that was down for long goes to where the API servers are.
        ("kubelet", "1.36.2", "1.38.0", False),
        ("kubelet", "1.36.2", "1.35.0", True),
        # Versions from before a host left a group do not matter.
        ("etcd", "3.5.1", "1.37.0", False),
    ],
)
def test_a_minor_version_goes_to_the_next_one_only(name, installed, wanted, refused):
    programs = ("kube-apiserver", "kubelet")
    needs = {**NEEDS, "versions": {one: {"variable": "cluster_version", "version": wanted} for one in programs}}
    problems = _preflight.host_problems({**HOST, "installed_versions": {name: installed}}, "n1", needs)
    assert (
        problems
        == [
            f"cluster_version is '{wanted}', and {name} on n1 is 1.36.2, which can only be upgraded one minor version at a time: use "
            "one of 1.36 or 1.37, or rebuild the host (plainkube.cluster.reset)."
        ]
        * refused
    )
    assert _preflight.host_problems(HOST, "n1", needs) == []


def test_clocks_that_are_apart_from_each_other():
    """Each near enough to the control node's, on either side of it."""
    hosts = {
        name: {"address": f"10.0.0.{number}", "machine_id": "", "hostname": ""} for number, name in enumerate("abc", 1)
    }
    for name, offset in (("a", 1.9), ("b", -0.1)):
        hosts[name]["clock_offset"] = offset
    subject = {"hosts": hosts, "networks": GOOD["networks"]}
    assert _preflight.hosts_problems(subject) == []
    hosts["b"]["clock_offset"] = -1.8
    # b is a server that this run leaves out.
    assert _preflight.hosts_problems({**subject, "here": ["a", "c"]}) == []
    assert _preflight.hosts_problems(subject) == [
        "a's clock is 3.7 s ahead of b's, and more than 2 s breaks certificates and leases: synchronize both with NTP (timedatectl set-ntp true)."
    ]


def test_what_is_borne():
    assert _preflight.host_problems({**HOST, "clock_offset": 2.0}, "n1", NEEDS) == []


NODE = {**NEEDS, "kubelet_config": {}, "dns_upstream": ["/etc/resolv.conf"]}
CONTAINERD = {
    "name": "containerd",
    "docker": False,
    "containerd_version": "2.2.9",
    "config": 3,
    "docker_part": "",
    "pod_range": "",
}
OTHERS = [
    (
        {"networks": [{"name": "the interface nodelocaldns", "network": "10.96.0.10/32"}]},
        "cluster_service_network (10.96.0.0/16) overlaps 10.96.0.10/32 of the interface nodelocaldns on n1: choose another network for "
        "cluster_service_network.",
    ),
    (
        {"memory_mb": 512},
        "n1 has 512 MiB of memory and preflight_memory_mb requires 900: add memory, or lower preflight_memory_mb.",
    ),
    (
        {"free_mb": {"/opt/plainkube": 0}},
        "n1 has 0 MiB of free disk for /opt/plainkube and preflight_disk_mb requires 2000: free some space or add a larger disk, or lower "
        "preflight_disk_mb.",
    ),
    (
        {"leftovers": ["flannel.1", "the chains KUBE-*"]},
        "n1 still has flannel.1, the chains KUBE-* of another cluster: remove them with what installed that cluster (such as kubeadm reset), and "
        "reboot the host.",
    ),
    (
        {"cni_before": ["05-other.conflist"]},
        "n1 has /etc/cni/net.d/05-other.conflist, which containerd prefers to 10-plainkube.conflist, so that pods would not be in "
        "cluster_pod_network: remove it, or give it a name that is sorted after that one.",
    ),
    (
        {"name_servers": ["127.0.0.1", "::1"]},
        "n1 has only name servers on loopback (127.0.0.1, ::1) in /etc/resolv.conf, from which CoreDNS cannot resolve names outside the cluster: set "
        "addons_dns_upstream to resolvers that pods can reach ([] for none), or correct that file.",
    ),
    (
        {"name_servers": []},
        "n1 has no name server in /etc/resolv.conf, from which CoreDNS cannot resolve names outside the cluster: set addons_dns_upstream to "
        "resolvers that pods can reach ([] for none), or correct that file.",
    ),
    (
        {"firewalls": ["ufw"]},
        "n1 has ufw enabled, which drops the cluster's traffic unless it is told of it: disable it (role firewall can take its place), or let that "
        "traffic through and set preflight_foreign_firewall to true.",
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), OTHERS)
def test_what_keeps_a_bare_host_out_is_a_warning_on_a_host_of_the_cluster(changes, sentence):
    needs = {**NODE, "runtime": CONTAINERD}
    bare, live = {**HOST, **changes}, {**HOST, **changes, "installed": True, "runtime": "containerd"}
    assert (_preflight.host_problems(bare, "n1", needs), _preflight.host_warnings(bare, "n1", needs)) == (
        [sentence],
        [],
    )
    assert (_preflight.host_problems(live, "n1", needs), _preflight.host_warnings(live, "n1", needs)) == (
        [],
        [sentence],
    )


@pytest.mark.parametrize(
    ("facts", "needs"),
    [
        # Pods on docker0 need no CNI.
        ({"cni_before": ["05-other.conflist"]}, {"runtime": {**CONTAINERD, "name": "docker", "docker": True}}),
        ({"cni_before": ["05-other.conflist"]}, {"runtime": None}),
        ({"firewalls": ["ufw", "firewalld"]}, {"foreign_firewall": True}),
        ({"name_servers": ["127.0.0.53"]}, {"dns_upstream": ["192.0.2.53"]}),
        ({"name_servers": ["127.0.0.53"]}, {"dns_upstream": []}),
        ({"name_servers": ["127.0.0.53"]}, {"kubelet_config": {"resolvConf": "/etc/resolv-pods.conf"}}),
        # No pods.
        ({"name_servers": ["127.0.0.53"]}, {"kubelet_config": None}),
        # The other one answers.
        ({"name_servers": ["127.0.0.1", "192.0.2.53"]}, {}),
    ],
)
def test_what_does_not_matter_on_a_host(facts, needs):
    assert _preflight.host_problems({**HOST, **facts}, "n1", {**NODE, **needs}) == []


def test_a_node_that_changes_to_containerd_is_like_a_bare_one():
    facts = {**HOST, "installed": True, "runtime": "docker", "cni_before": ["05-other.conflist"]}
    assert len(_preflight.host_problems(facts, "n1", {**NODE, "runtime": CONTAINERD})) == 1


@pytest.mark.parametrize("installed", [False, True])
def test_units_and_drop_ins_of_others(installed):
    kubeadm = "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"
    facts = {
        **HOST,
        "installed": installed,
        "foreign_units": {
            "etcd": "/etc/systemd/system/etcd.service",
            "kubelet": "/usr/lib/systemd/system/kubelet.service",
        },
        "replaced_commands": {
            kubeadm: ["kubelet"],
            "/etc/systemd/system/kube-.service.d/a.conf": ["kube-proxy", "kube-scheduler"],
        },
    }
    assert _preflight.host_problems(facts, "n1", NODE) == [
        "n1 has another etcd.service (/etc/systemd/system/etcd.service), in whose place ours would run: remove it "
        "(rm /etc/systemd/system/etcd.service; systemctl daemon-reload).",
        "n1 has another kubelet.service (/usr/lib/systemd/system/kubelet.service), in whose place ours would run: remove its package, which "
        "`dpkg -S /usr/lib/systemd/system/kubelet.service` names.",
        f"n1 has the drop-in {kubeadm}, which replaces the command of kubelet (ExecStart=): remove its package, which `dpkg -S {kubeadm}` names, "
        "and set flags with node_kubelet_flags.",
        "n1 has the drop-in /etc/systemd/system/kube-.service.d/a.conf, which replaces the command of kube-proxy and kube-scheduler (ExecStart=): "
        "remove it (rm /etc/systemd/system/kube-.service.d/a.conf; systemctl daemon-reload), and set flags with node_kube_proxy_flags and "
        "control_plane_kube_scheduler_flags.",
    ]


@pytest.mark.parametrize(
    ("changes", "config", "words"),
    [
        ({"swap": ["/dev/zram0"]}, {}, ["n1 uses swap (/dev/zram0)"]),
        ({"swap": ["/dev/sda2", "/swapfile"]}, {}, ["n1 uses swap (/dev/sda2, /swapfile)"]),
        ({"swap": ["/dev/sda2"]}, {"failSwapOn": False}, []),
        ({"swap": ["/dev/sda2"]}, {"failSwapOn": False, "memorySwap": {"swapBehavior": "LimitedSwap"}}, []),
        (
            {"swap": ["/dev/sda2"]},
            {"failSwapOn": False, "memorySwap": {"swapBehavior": "UnlimitedSwap"}},
            ["n1 has memorySwap.swapBehavior 'UnlimitedSwap' in node_kubelet_config"],
        ),
        (
            {"cgroup_version": 1},
            {"failCgroupV1": False, "memorySwap": {"swapBehavior": "LimitedSwap"}},
            ["n1 has memorySwap.swapBehavior 'LimitedSwap' in node_kubelet_config, and cgroup v1, with"],
        ),
        ({"swap": ["/dev/sda2"]}, None, []),
        ({"cgroup_version": 1}, {}, ["n1 has cgroup v1"]),
        ({"cgroup_version": 1}, {"failCgroupV1": False}, []),
    ],
)
def test_what_the_kubelet_would_exit_for(changes, config, words):
    problems = _preflight.host_problems({**HOST, **changes}, "n1", {**NEEDS, "kubelet_config": config})
    assert [problem.partition(" which")[0].rstrip(",") for problem in problems] == words


def test_hosts_that_have_the_same():
    networks = GOOD["networks"]

    def host(address, number):
        return {"address": address, "machine_id": f"id{number}", "hostname": f"h{number}"}

    good = {
        "k1": host("10.0.0.1", 1),
        "n1": host("10.0.0.2", 2),
        "n2": {"address": "10.0.0.3", "machine_id": "", "hostname": ""},
    }
    unreached = {**good, "n3": {"address": "10.0.0.4", "machine_id": "", "hostname": ""}}
    assert _preflight.hosts_problems({"hosts": unreached, "networks": networks}) == []
    hosts = {"k1": host("10.0.0.1", 1), "n1": host("", 2), "n2": host("10.0.0.1", 2), "n3": host("10.244.7.1", 3)}
    assert _preflight.hosts_problems({"hosts": hosts, "networks": networks}) == [
        "The IPv4 address of n1 is unknown, because its name does not resolve on the control node, or resolves to several addresses while n1 is down: "
        "set cluster_address for it in the inventory.",
        "n3 has the address 10.244.7.1, which is in cluster_pod_network (10.244.0.0/16): choose another network for "
        "cluster_pod_network.",
        "k1 and n2 have the same address 10.0.0.1: set cluster_address for them in the inventory.",
        "n1 and n2 have the same machine-id id2, as copies of one machine do: give each its own "
        "(rm /etc/machine-id /var/lib/dbus/machine-id; systemd-machine-id-setup; reboot).",
        "n1 and n2 have the same host name h2: give each its own (hostnamectl set-hostname NAME).",
    ]


def test_hosts_that_firewalls_would_not_know():
    hosts = {
        name: {"address": address, "machine_id": "", "hostname": ""}
        for name, address in {"k1": "192.0.2.1", "n1": "198.51.100.7", "n2": ""}.items()
    }
    subject = {"hosts": hosts, "networks": {}, "firewall_hosts": ["192.0.2.0/24"]}
    assert [problem for problem in _preflight.hosts_problems(subject) if "firewall" in problem] == [
        "firewall_hosts (192.0.2.0/24) does not include n1 (198.51.100.7), whose traffic the other hosts would drop: add it."
    ]
    assert not [
        problem for problem in _preflight.hosts_problems({**subject, "firewall_hosts": []}) if "firewall" in problem
    ]


def test_an_unreachable_host_is_told_in_a_sentence():
    assert _preflight.unreachable(
        "n2", "192.0.2.22", "Failed to connect to the host via ssh: ssh: No route to host.\n"
    ) == (
        "n2 (192.0.2.22) is unreachable (ssh: No route to host): start it or fix the connection to it (ansible_host, ansible_port, "
        "ansible_user), or exclude it with --limit '!n2'."
    )


KNOWN = ["cluster_version", "node_labels", "kubeconfig_path", "control_plane_wait"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "cluster_verion",
            "cluster_verion is not a variable of plainkube.cluster: did you mean cluster_version? If not, remove it, or list",
        ),
        ("kubeconfig_pth", "did you mean kubeconfig_path?"),
        (
            "node_exporter_port",
            "node_exporter_port is not a variable of plainkube.cluster: remove it, or list it in preflight_foreign_",
        ),
        ("cluster_version", ""),
        ("control_node", ""),
        ("ansible_host", ""),
        ("kubeconfigs", ""),
        ("node_foreign_x", ""),
    ],
)
def test_unknown_variables(name, said):
    roles = ["cluster", "node", "control_plane", "certificates"]
    problems = _preflight.unknown_variables([name], KNOWN, roles, ["node_foreign_*"])
    assert len(problems) == bool(said)
    assert said in "".join(problems)


@pytest.mark.parametrize(
    ("name", "version", "warned"),
    [
        ("debian", "12", False),
        ("debian", "13", False),
        ("ubuntu", "24.04", False),
        ("debian", "14", True),
        ("mint", "22", True),
    ],
)
def test_untested_systems_are_accepted_with_a_warning(name, version, warned):
    facts = {**HOST, "distribution": name, "distribution_version": version}
    assert _preflight.host_problems(facts, "n1", {**NEEDS, "untested_systems": True}) == []
    warnings = _preflight.host_warnings({**facts, "installed": False}, "n1", NEEDS)
    assert [f"n1 runs {name} {version}, on which plainkube.cluster is not tested: " in one for one in warnings] == [
        True
    ] * warned


@pytest.mark.parametrize(
    ("facts", "runtime", "words"),
    [
        ({}, {"name": "docker", "docker": True}, ""),
        ({}, {"name": "docker", "docker": False}, "n1 has cluster_runtime docker and docker_enabled false"),
        ({}, {"name": "containerd", "docker": False}, ""),
        ({"containerd": "1.7.24"}, {"name": "containerd", "docker": True}, ""),
        (
            {"distribution_version": "12"},
            {"name": "containerd", "docker": True},
            "distribution's containerd is 1.6, too old",
        ),
        ({"containerd": "1.6.20"}, {"name": "containerd", "docker": False}, "is 1.6.20, too old"),
        ({"containerd": "1.6.20"}, {"name": "containerd", "docker": False, "containerd_version": "2.2.0"}, ""),
        ({"distribution_version": "12", "containerd": "1.7.27"}, {"name": "containerd", "docker": True}, ""),
    ],
)
def test_runtimes_that_cannot_be(facts, runtime, words):
    needs = {**NEEDS, "runtime": {"containerd_version": "", "config": 2, "docker_part": "", "pod_range": "", **runtime}}
    problems = _preflight.host_problems({**HOST, **facts}, "n1", needs)
    assert [words in problem for problem in problems] == ([True] if words else [])


@pytest.mark.parametrize(
    ("config", "files", "refused"),
    [
        (3, {}, []),
        (3, {"a.toml": 3, "b.toml": 0}, []),
        (
            3,
            {"a.toml": 2, "b.toml": 3},
            ["n1 has a.toml with version = 2, and its containerd has a configuration of version 3"],
        ),
        (2, {"a.toml": 2}, []),
        (2, {"a.toml": 3, "b.toml": 1}, ["n1 has a.toml with version = 3", "convert the file to version = 2"]),
    ],
)
@pytest.mark.parametrize("name", ["containerd", "docker"])
def test_the_operators_files_have_the_version_of_ours(config, files, refused, name):
    runtime = {
        "name": name,
        "docker": True,
        "containerd_version": "",
        "config": config,
        "docker_part": "",
        "pod_range": "",
    }
    problems = _preflight.host_problems({**HOST, "containerd_files": files}, "n1", {**NEEDS, "runtime": runtime})
    assert len(problems) == (len(refused) if name == "containerd" else 0)
    assert all(words in problem for words, problem in zip(refused, problems))


@pytest.mark.parametrize(
    ("part", "pods", "words"),
    [
        ("", "", ""),
        ("lower", "upper", ""),
        ("10.244.5.0/26", "upper", ""),
        (
            "upper",
            "upper",
            "n1 has docker_fixed_cidr 'upper', and the upper half of flannel's subnet belongs to the pods",
        ),
        ("", "upper", "n1 has docker_fixed_cidr '', and the upper half"),
        ("half", "upper", "n1 has docker_fixed_cidr 'half', which is not a network inside cluster_pod_network"),
        ("10.244.5.1/26", "", "n1 has docker_fixed_cidr '10.244.5.1/26', which is not a network"),
        ("192.0.2.0/26", "", "which is not a network inside cluster_pod_network (10.244.0.0/16): use lower or upper"),
    ],
)
def test_parts_that_docker_cannot_have(part, pods, words):
    runtime = {
        "name": "containerd",
        "docker": True,
        "containerd_version": "",
        "config": 2,
        "docker_part": part,
        "pod_range": pods,
    }
    problems = _preflight.host_problems(HOST, "n1", {**NEEDS, "runtime": runtime})
    assert [words in problem for problem in problems] == ([True] if words else [])
    without = {**NEEDS, "runtime": {**runtime, "docker": False}}
    assert _preflight.host_problems(HOST, "n1", without) == []
