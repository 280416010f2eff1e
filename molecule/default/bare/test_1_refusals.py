# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Invalid input on bare hosts is refused in one sentence, and nothing changes on any host."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import ipaddress
import json
import pathlib
import re
import socket
import threading
import typing as t

import pytest

from lab import mirror, mirror_server, network, runs
from lab.base import run as command

# Every place where a cluster has files. Files that systemd and apt write themselves do not count.
PLACES = ("/etc", "/opt", "/usr/local", "/usr/lib/systemd", "/var/lib", "/root")
NOT_OURS = re.compile(r"/var/lib/(systemd|apt|dpkg|private)(/|$)")
# Downloads are staged here until all hosts have theirs.
STAGED = re.compile(r"/opt/plainkube(/\.staged(/.*)?|/\.copied(/.*)?)?$")
KUBEADM = "/usr/lib/systemd/system/kubelet.service.d"


def files(lab, host):
    """Every file in these places: kind, mode, owner, and time of its last change; for a directory, its content."""
    code, text = lab.run(host, "find", *PLACES, "-printf", r"%p\t%y %m %U %G %l\t%s %C@\n")
    assert code == 0, text
    rows = (line.split("\t") for line in text.splitlines())
    return {
        (path, what, "" if what.startswith("d") else when)
        for path, what, when in rows
        if not STAGED.match(path) and not NOT_OURS.match(path)
    }


@dataclasses.dataclass
class Wrong:
    """Creates a fault, and returns additional arguments for ansible-playbook. The stack reverts it."""

    make: t.Callable[[t.Any, pathlib.Path, contextlib.ExitStack], list[str]]
    sentence: str | tuple[str, ...]
    check_too: bool = False

    @property
    def sentences(self):
        return [self.sentence] if isinstance(self.sentence, str) else self.sentence


def variables(**values):
    return lambda lab, tmp, stack: ["-e", json.dumps(values)]


def hosts(text):
    """An additional inventory; {k1} and {n1} stand for addresses."""

    def make(lab, tmp, stack):
        path = tmp / "more.ini"
        path.write_text(text.format(k1=lab.address("k1"), n1=lab.address("n1")))
        return ["-i", str(path)]

    return make


def on_n1(do, undo, host="n1"):
    """A fault on n1, created and reverted by shell commands; {k1} stands for k1's machine-id."""

    def make(lab, tmp, stack):
        machine = lab.run("k1", "cat", "/etc/machine-id")[1].strip()
        stack.callback(shell, lab, undo, host)
        shell(lab, do.format(k1=machine), host)
        return []

    return make


def all_of(*faults):
    return lambda *given: [argument for make in faults for argument in make(*given)]


def shell(lab, script, host="n1"):
    lab.demand(host, "sh", "-euc", script)


def interpreter(script):
    """n1's Python is this script."""

    def make(lab, tmp, stack):
        # A quoted here-document: the script does not change.
        shell(lab, f"cat > /tmp/python <<'END'\n#!/bin/sh\n{script}\nEND\nchmod 755 /tmp/python")
        stack.callback(shell, lab, "rm -rf /tmp/python /tmp/ahead")
        return hosts("[all]\nn1 ansible_python_interpreter=/tmp/python\n")(lab, tmp, stack)

    return make


# An hour, which cannot be mistaken for a slow connection. The clock itself does not change: it is the machine's.
AHEAD = """mkdir -p /tmp/ahead
echo 'import time; now = time.time; time.time = lambda: now() + 3600' > /tmp/ahead/sitecustomize.py
PYTHONPATH=/tmp/ahead exec /usr/bin/python3 "$@\""""


# What a hardening guide, and an earlier life of the host, leave in Docker Engine.
DOCKER_OF_OTHERS = """mkdir -p /etc/docker /var/lib/docker/swarm
cp -p /etc/docker/daemon.json /tmp/daemon.json || echo '{{}}' > /etc/docker/daemon.json
touch /var/lib/docker/swarm/docker-state.json
python3 -c '
import json
path = "/etc/docker/daemon.json"
found = json.load(open(path))
found.update({{"icc": False, "iptables": False, "userns-remap": "default", "default-address-pools": [{{"base": "10.244.8.0/22", "size": 24}}]}})
json.dump(found, open(path, "w"))'
"""
DOCKER_AS_BEFORE = """rm /var/lib/docker/swarm/docker-state.json
if [ -e /tmp/daemon.json ]; then mv /tmp/daemon.json /etc/docker/daemon.json; else rm /etc/docker/daemon.json; fi
"""


def services_on_the_hosts_network(lab, tmp, stack):
    """The unused half of the hosts' network."""
    subnet = ipaddress.ip_network(network.subnet_and_gateway(network.find(lab.client, lab.name))[0])
    dummy, upper = subnet.subnets()
    return variables(cluster_service_network=str(upper))(lab, tmp, stack)


class TamperedMirror(mirror_server.Handler):
    """The lab's mirror, with a different kubelet."""

    def translate_path(self, path):
        found = super().translate_path(path)
        return self.tampered if found.endswith("/kubelet") else found

    def log_message(self, *arguments):
        pass


def tampered_mirror(lab, tmp, stack):
    TamperedMirror.tampered = str(tmp / "kubelet")
    pathlib.Path(TamperedMirror.tampered).write_bytes(b"something else")
    gateway = network.subnet_and_gateway(network.find(lab.client, lab.name))[1]
    handler = functools.partial(TamperedMirror, directory=str(mirror.directory()))
    server = stack.enter_context(mirror_server.Server((gateway, 0), handler))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    stack.callback(server.shutdown)
    return variables(artifacts_mirror=f"http://{gateway}:{server.server_port}")(lab, tmp, stack)


def make_authority(directory):
    directory.mkdir()
    subject = ("-subj", "/CN=other-kubernetes-ca")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(directory / "ca.key"))
    command("openssl", "req", "-x509", *key, "-out", str(directory / "ca.crt"), *subject, "-days", "30")


def another_clusters_host(lab, tmp, stack):
    """n1 is left over from another cluster."""
    make_authority(tmp / "other")
    text = (tmp / "other/ca.crt").read_text()
    stack.callback(shell, lab, "rm -r /etc/kubernetes")
    origin = "control node: elsewhere\ndirectory: /home/anna/pki\n"
    shell(
        lab, f"mkdir -p /etc/kubernetes/pki; cd /etc/kubernetes/pki; echo '{text}' > ca.crt; echo '{origin}' > origin"
    )
    return []


def another_clusters_directory(lab, tmp, stack):
    """Both n1 and certificates_directory belong to other clusters, and not to the same one."""
    make_authority(tmp / "pki")
    return another_clusters_host(lab, tmp, stack)


def another_encryption_key(lab, tmp, stack):
    """The API server on k1 used an encryption key that certificates_directory does not have."""
    stack.callback(shell, lab, "rm -r /etc/kubernetes", "k1")
    (tmp / "encryption.yaml").write_text(f"""\
# How the API servers encrypt Secrets and ConfigMaps in etcd; written by plainkube.cluster. Without these keys nobody can read them again.
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets, configmaps]
    providers:
      - secretbox:
          keys:
            - name: key-3
              secret: {base64.b64encode(bytes(32)).decode()}
""")
    text = (tmp / "encryption.yaml").read_text()
    shell(lab, f"mkdir -p /etc/kubernetes/pki; cat > /etc/kubernetes/pki/encryption.yaml <<'END'\n{text}END\n", "k1")
    return []


def virtual_ip(address, interface=""):
    """k1 and n1 are control planes with a virtual IP."""
    text = f"[all:vars]\ncluster_virtual_ip={address}\ncluster_virtual_ip_interface={interface}\n"
    return hosts(f"[control_plane]\nn1\n[etcd]\nk1\n{text}")


def address_of_k1(lab, tmp, stack):
    """n1 has k1's address as well, like virtual machines that are each behind their own NAT, and does not answer ARP requests for it."""
    stack.callback(shell, lab, "ip link delete twin0; sysctl -qw net.ipv4.conf.all.arp_ignore=0")
    shell(lab, "sysctl -qw net.ipv4.conf.all.arp_ignore=1; ip link add twin0 type bridge")
    shell(lab, f"ip address add {lab.address('k1')}/32 dev twin0")
    return hosts("[all]\nk1 cluster_address={k1}\nn1 cluster_address={k1}\n")(lab, tmp, stack)


WRONG = {
    "misspelt variables": Wrong(
        variables(cluster_verion="1.37.2", node_exporter_port=9100),
        (
            r"cluster_verion is not a variable of plainkube\.cluster: did you mean cluster_version\? If not, remove it, or list it",
            r"node_exporter_port is not a variable of plainkube\.cluster: remove it, or list it in preflight_foreign_variables",
        ),
    ),
    "a wrong type and a wrong choice": Wrong(
        variables(cluster_api_port="https", docker_foreign_containers="kill"),
        (
            r"cluster_api_port is 'https', where a whole number is needed",
            r"docker_foreign_containers must be one of: refuse, restart, got: kill",
        ),
    ),
    "numbers and booleans for text": Wrong(
        variables(cluster_name=2024, cluster_domain=5, kubeconfig_user=True),
        (
            r"cluster_name is the number 2024, where text is needed: write it in quotes",
            r"cluster_domain is the number 5, where text is needed: write it in quotes",
            r"kubeconfig_user is the boolean true, where text is needed: write it in quotes",
        ),
    ),
    "nothing for a value": Wrong(
        variables(cluster_virtual_ip=None, certificates_extra_sans=[None]),
        (
            r"cluster_virtual_ip is null \(an empty value in YAML\): set a value, or remove it to get the default",
            r"certificates_extra_sans\[0\] is null \(an empty value in YAML\)",
        ),
    ),
    "more than one line": Wrong(
        variables(etcd_auto_compaction_retention="5m\nExecStartPre=/bin/true"),
        r"etcd_auto_compaction_retention is '5m\\nExecStartPre=/bin/true', which has a line break or another control character",
    ),
    "a Service network without room for DNS": Wrong(
        variables(cluster_service_network="10.96.0.0/30"),
        r"cluster_service_network is '10\.96\.0\.0/30', which is too small: use a network of at least 16 addresses \(/28\)",
    ),
    "an address that is none": Wrong(
        hosts("[all]\nn1 cluster_address=192.0.2.300\n"),
        r"cluster_address is '192\.0\.2\.300', which is not an IPv4 address: write one, like 192\.0\.2\.11",
    ),
    "a cluster's name that YAML takes for a boolean": Wrong(
        variables(cluster_name="no"),
        r"cluster_name is 'no', which unquoted YAML reads as a boolean or null: choose another name",
    ),
    "a domain that is none": Wrong(
        variables(cluster_domain="cluster.local."),
        r"cluster_domain is 'cluster\.local\.', which is not a DNS domain: use labels of lowercase letters, digits and dashes",
    ),
    "an address for DNS that is none": Wrong(
        variables(cluster_dns_address="10.96.0.256"),
        r"cluster_dns_address is '10\.96\.0\.256', which is not an IPv4 address",
    ),
    "a port that is none": Wrong(
        variables(cluster_api_port=70000), r"cluster_api_port is the number 70000, which is too large: use 1 to 65535"
    ),
    "a port of another component": Wrong(
        variables(cluster_api_port=10250),
        r"cluster_api_port is 10250, and the kubelet listens on port 10250: choose another port",
    ),
    "a NodePort for the API": Wrong(
        variables(cluster_api_port=30443),
        r"cluster_api_port is 30443, and port 30443 is one of the NodePorts \(30000-32767\): choose another port",
    ),
    "the API's Service address for DNS": Wrong(
        variables(cluster_dns_address="10.96.0.1"),
        r"cluster_dns_address is '10\.96\.0\.1', which belongs to the Service kubernetes: use another address of 10\.96\.0\.0/16",
    ),
    "an address that the host has not": Wrong(
        hosts("[all]\nn1 cluster_address=203.0.113.7\n"),
        r"n1 has cluster_address '203\.0\.113\.7', which is not an address of that host \(.*[\d.]+ \(eth0\).*\): use one of these, or remove",
    ),
    "an endpoint that only the control node can resolve": Wrong(
        variables(cluster_api_endpoint=socket.gethostname()),
        rf"cluster_api_endpoint has the name {re.escape(socket.gethostname())}, which does not resolve on n1, whose kubelet connects to it",
    ),
    "networks that overlap": Wrong(
        variables(cluster_pod_network="10.96.0.0/12"),
        r"cluster_pod_network \(10\.96\.0\.0/12\) overlaps cluster_service_network \(10\.96\.0\.0/16\): choose networks",
    ),
    "a network on the hosts' own": Wrong(
        services_on_the_hosts_network,
        r"cluster_service_network \([\d.]+\.128/25\) overlaps [\d.]+/24 of the interface eth0 on [kn]1: choose another network",
    ),
    "a network on another interface's": Wrong(
        on_n1("ip link add vpn0 type bridge; ip address add 10.244.77.1/30 dev vpn0", "ip link delete vpn0"),
        r"cluster_pod_network \(10\.244\.0\.0/16\) overlaps 10\.244\.77\.0/30 of the interface vpn0 on n1: choose another",
    ),
    "host bits": Wrong(
        variables(cluster_pod_network="10.244.0.1/16"),
        r"cluster_pod_network is '10\.244\.0\.1/16', which has host bits set; the network is 10\.244\.0\.0/16",
    ),
    "a source that is none": Wrong(
        variables(firewall_ssh_sources=["192.0.2.0/33"]),
        r"firewall_ssh_sources has '192\.0\.2\.0/33': write an IP address, a network in CIDR notation, or one of hosts, control_planes",
    ),
    "a firewall that does not know all hosts": Wrong(
        variables(firewall_enabled=True, firewall_hosts=["192.0.2.0/24"]),
        r"firewall_hosts \(192\.0\.2\.0/24\) does not include k1 \(.*\), whose traffic the other hosts would drop: add it",
    ),
    "an impossible subnet length": Wrong(
        variables(flannel_subnet_length=31),
        r"cluster_pod_network is '10\.244\.0\.0/16' and flannel_subnet_length is 31, which flannel refuses",
    ),
    "an even number of etcd members": Wrong(
        hosts("[etcd]\nk1\nn1\n"), r"There are 2 etcd members \(k1, n1\), .* add one to the group etcd or remove one"
    ),
    "an endpoint that is no address of any balancer": Wrong(
        variables(cluster_api_endpoint="198.51.100.99"),
        r"cluster_api_endpoint is '198\.51\.100\.99', which is neither a control plane's address .*: correct it, or list your own load balancer there",
    ),
    "an endpoint that does not resolve": Wrong(
        variables(cluster_api_endpoint="api.invalid:6443"),
        r"cluster_api_endpoint is 'api\.invalid:6443', and api\.invalid does not resolve on the control node: add it to DNS",
    ),
    "a virtual IP for one control plane": Wrong(
        variables(cluster_virtual_ip="198.51.100.9"),
        r"cluster_virtual_ip is 198\.51\.100\.9, and k1 is the only control plane, so it could never move: add control planes",
    ),
    "a virtual IP outside of the hosts' network": Wrong(
        virtual_ip("198.51.100.9"),
        r"cluster_virtual_ip is 198\.51\.100\.9, and k1 is in [\d.]+/24 \(eth0\): choose an unused address there",
    ),
    "a virtual IP that a host has": Wrong(
        virtual_ip("{n1}"), r"cluster_virtual_ip is [\d.]+, which n1 already has \(eth0\): choose an unused address"
    ),
    "a virtual IP on no interface": Wrong(
        virtual_ip("198.51.100.9", "eth7"),
        r"cluster_virtual_ip_interface is 'eth7', and k1 has no such interface: use one of eth0",
    ),
    "one address twice": Wrong(
        address_of_k1,
        r"k1 and n1 have the same address [\d.]+: set cluster_address",
    ),
    "one machine-id twice": Wrong(
        on_n1("cp -p /etc/machine-id /tmp/id; echo {k1} > /etc/machine-id", "cat /tmp/id > /etc/machine-id"),
        r"k1 and n1 have the same machine-id [0-9a-f]{32}, as copies of one machine do: give each its own",
    ),
    "one host name twice": Wrong(
        on_n1("hostname k1", "hostname n1"), r"k1 and n1 have the same host name k1: give each its own"
    ),
    "a name with capitals and an underscore": Wrong(
        hosts("[etcd]\nE_1 ansible_host={k1}\n"),
        r"E_1 is not a valid name for a host of the cluster: use at most 52 lowercase letters",
    ),
    "an unknown version": Wrong(
        variables(cluster_version="1.38.0"),
        r"cluster_version is '1\.38\.0', and this release of plainkube\.cluster runs Kubernetes [\d.]+ to [\d.]+: use one",
    ),
    "no version": Wrong(
        variables(cluster_version="latest"),
        r"cluster_version is 'latest', which is not a full version: write it like [\d.]+, without a leading v",
    ),
    "an untested system": Wrong(
        all_of(
            variables(preflight_untested_systems=False),
            on_n1(
                "printf 'ID=fedora\\nVERSION_ID=44\\n' > /tmp/release; mount --bind /tmp/release /usr/lib/os-release",
                "umount /usr/lib/os-release",
            ),
        ),
        r"n1 runs fedora 44, on which plainkube\.cluster is not tested: use Debian 12 or Debian 13 or Ubuntu 24\.04, or set "
        r"preflight_untested_systems to true",
    ),
    "a containerd that is too old": Wrong(
        variables(cluster_runtime="containerd", cluster_containerd_version="", cluster_cni_plugins_version=""),
        r"n1 has cluster_containerd_version '', and its distribution's containerd is 1\.6, too old for the kubelet: use upstream's, the default "
        r"\(remove cluster_containerd_version and cluster_cni_plugins_version\), or set cluster_runtime to docker",
    ),
    "a file of containerd's configuration with another version": Wrong(
        all_of(
            variables(cluster_runtime="containerd"),
            on_n1(
                "mkdir -p /etc/containerd/conf.d; echo 'version = 2' > /etc/containerd/conf.d/old.toml",
                "rm /etc/containerd/conf.d/old.toml; rmdir --parents --ignore-fail-on-non-empty /etc/containerd/conf.d",
            ),
        ),
        r"n1 has /etc/containerd/conf\.d/old\.toml with version = 2, and its containerd has a configuration of version 3, beside which it would "
        r"ignore parts of that file: convert the file to version = 3",
    ),
    "an unsupported architecture": Wrong(
        interpreter('exec setarch i686 /usr/bin/python3 "$@"'), r"n1 is i686: use a host that is amd64 or arm64"
    ),
    "too little memory": Wrong(
        variables(preflight_memory_mb=10_000_000),
        r"n1 has \d+ MiB of memory and preflight_memory_mb requires 10000000: add memory, or lower preflight_memory_mb",
    ),
    "too little disk": Wrong(
        variables(preflight_disk_mb=1_000_000_000),
        r"n1 has \d+ MiB of free disk for /opt/plainkube and /var/lib/(?:docker|etcd) and preflight_disk_mb requires 1000000000: free some",
    ),
    "a port in use": Wrong(
        on_n1(
            "systemd-run --collect --unit=squatter python3 -m http.server 10250;"
            "until ss -ltn | grep -q :10250; do sleep 0.1; done",
            "systemctl stop squatter",
        ),
        r"n1: python3 \(pid \d+\) listens on 0\.0\.0\.0:10250, and kubelet needs port 10250: stop it or give it another port",
    ),
    "a UDP port in use": Wrong(
        on_n1(
            "systemd-run --collect --unit=vpn python3 -c "
            "'import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind((\"\", 8472)); time.sleep(600)';"
            "until ss -lun | grep -q :8472; do sleep 0.1; done",
            "systemctl stop vpn",
        ),
        r"n1: python3 \(pid \d+\) listens on 0\.0\.0\.0:8472, and flanneld needs UDP port 8472: stop it or give it another port",
    ),
    "a stopped etcd of others": Wrong(
        on_n1(
            "printf '[Service]\\nExecStart=/usr/bin/etcd\\n' > /etc/systemd/system/etcd.service",
            "rm /etc/systemd/system/etcd.service",
            "k1",
        ),
        r"k1 has another etcd\.service \(/etc/systemd/system/etcd\.service\), in whose place ours would run: remove it",
    ),
    "kubeadm's drop-in": Wrong(
        on_n1(
            f"mkdir {KUBEADM}; printf '[Service]\\nExecStart=\\nExecStart=/usr/bin/kubelet $KUBELET_ARGS\\n' > {KUBEADM}/10-kubeadm.conf",
            f"rm -r {KUBEADM}",
        ),
        rf"n1 has the drop-in {KUBEADM}/10-kubeadm\.conf, which replaces the command of kubelet \(ExecStart=\): remove its package, which "
        rf"`dpkg -S {KUBEADM}/10-kubeadm\.conf` names, and set flags with node_kubelet_flags",
    ),
    "an earlier cluster's interface": Wrong(
        on_n1("ip link add cni0 type bridge", "ip link delete cni0"),
        r"n1 still has cni0 of another cluster: remove it with what installed that cluster .*, and reboot the host",
    ),
    "a firewall that knows nothing of the cluster": Wrong(
        on_n1("mkdir -p /etc/ufw; echo ENABLED=yes > /etc/ufw/ufw.conf", "rm /etc/ufw/ufw.conf"),
        r"n1 has ufw enabled, which drops the cluster's traffic unless it is told of it: disable it .*set preflight_foreign_firewall to true",
    ),
    # Without the lab's resolvConf. The hosts' own resolver is Docker's.
    "resolvers on loopback": Wrong(
        variables(node_kubelet_config={"failSwapOn": False, "failCgroupV1": False}),
        r"n1 has only name servers on loopback \(127\.0\.0\.11\) in /etc/resolv\.conf, from which CoreDNS cannot resolve .*: set addons_dns_upstream",
    ),
    "a CNI configuration that comes before ours": Wrong(
        on_n1(
            "mkdir -p /etc/cni/net.d; echo {{}} > /etc/cni/net.d/05-other.conflist; echo {{}} > /etc/cni/net.d/87-podman-bridge.conflist",
            "rm /etc/cni/net.d/05-other.conflist /etc/cni/net.d/87-podman-bridge.conflist; rmdir --ignore-fail-on-non-empty -p /etc/cni/net.d",
        ),
        r"n1 has /etc/cni/net\.d/05-other\.conflist, which containerd prefers to 10-plainkube\.conflist, so that pods would not be in .*: remove it",
    ),
    "settings of Docker with which pods do not work": Wrong(
        on_n1(DOCKER_OF_OTHERS, DOCKER_AS_BEFORE),
        (
            r"n1: Docker's icc is false in /etc/docker/daemon\.json, but pods on one node must reach each other: remove the setting\.",
            r"n1: Docker's iptables is false in /etc/docker/daemon\.json, but hostPorts need Docker's rules: remove the setting\.",
            r"n1: Docker's userns-remap is default in /etc/docker/daemon\.json, but pods could not read their tokens and volumes: remove",
            r"cluster_pod_network \(10\.244\.0\.0/16\) overlaps 10\.244\.8\.0/22 of default-address-pools in /etc/docker/daemon\.json on n1",
            r"n1: Docker is part of a swarm, .*: leave the swarm \(docker swarm leave --force\), or set live-restore to false in docker_options",
        ),
    ),
    "labels that no Node can have": Wrong(
        variables(node_labels={"a b": "c", "gpu": True}),
        (
            r"n1 has 'a b' in node_labels, which is not a valid label key: write NAME or DOMAIN/NAME",
            r"n1 has 'gpu' in node_labels, whose value is the boolean true, where text is needed: write it in quotes",
        ),
    ),
    "no control plane": Wrong(
        variables(cluster_control_plane_group="nobody"),
        r"no host in the group nobody \(cluster_control_plane_group\): add a control plane",
    ),
    "no host in any group": Wrong(
        variables(cluster_control_plane_group="nobody", cluster_node_group="none"),
        r"no host in the group nobody \(cluster_control_plane_group\) nor in none \(cluster_node_group\): add a control plane",
    ),
    "an unreachable host": Wrong(
        hosts("[all]\nn1 ansible_port=9\n"),
        r"n1 \([\d.]+\) is unreachable \(.*refused.*\): start it or fix the connection to it .*, or exclude it with --limit '!n1'",
    ),
    "a clock that is ahead": Wrong(
        interpreter(AHEAD), r"n1's clock is 3[56]\d\d\.\d s ahead of the control node's, .*: synchronize both with NTP"
    ),
    "a host of another cluster": Wrong(
        another_clusters_host,
        r"certificates_directory \S+ has no kubernetes CA, but n1 carries certificates of CA CN=other-kubernetes-ca .*, "
        # Only a control plane is trusted to report its location.
        r"created in an unknown place; copy that directory here, or set certificates_directory to it",
    ),
    "a directory of another cluster": Wrong(
        another_clusters_directory,
        r"certificates_directory \S+ has the kubernetes CA .*, but n1 carries certificates of another CA, CN=other",
    ),
    "an encryption key that is lost": Wrong(
        another_encryption_key,
        r"certificates_directory \S+ has no encryption\.yaml, but k1 has the key that encrypts the cluster's Secrets, .*: restore "
        r"encryption\.yaml from a backup of that directory, or from /etc/kubernetes/pki/encryption\.yaml of k1",
    ),
    # The last ones, because these runs pass all other checks, which shows that all faults were reverted.
    "an unavailable version": Wrong(
        variables(cluster_version="1.37.99"),
        r"http://\S+/v1\.37\.99/\S+ does not exist: correct cluster_version, or add it to artifacts_mirror \(http://\S+;",
        check_too=True,
    ),
    "a mirror that does not answer": Wrong(
        variables(artifacts_mirror="http://127.0.0.1:9"),
        r"http://127\.0\.0\.1:9/\S+ cannot be downloaded \(.*refused\): check that this host can reach it \(artifacts_mirror,",
        check_too=True,
    ),
    "a directory that is no mirror": Wrong(
        variables(artifacts_mirror="/nowhere"),
        r"/nowhere \(artifacts_mirror\) on the control node lacks \d+ files, the first \S+: check the versions",
        check_too=True,
    ),
    "a wrong checksum": Wrong(
        tampered_mirror,
        r"http://\S+/kubelet has the SHA-256 [0-9a-f]{64}, but http://\S+/kubelet\.sha256 says [0-9a-f]{64}: nothing was replaced; "
        "check the mirror",
    ),
}
# A step of preflight reports all its findings at once: one run for all of them, with one sentence each.
TOGETHER = [
    # Each variable separately.
    (
        "misspelt variables",
        "a wrong type and a wrong choice",
        "numbers and booleans for text",
        "nothing for a value",
        "more than one line",
        "a Service network without room for DNS",
        "an address that is none",
    ),
    (
        "host bits",
        "a cluster's name that YAML takes for a boolean",
        "a domain that is none",
        "an address for DNS that is none",
        "a port that is none",
        "no version",
    ),
    # The variables and groups together.
    (
        "networks that overlap",
        "a source that is none",
        "an even number of etcd members",
        "an unknown version",
        "an endpoint that does not resolve",
        "a port of another component",
    ),
    (
        "an impossible subnet length",
        "a virtual IP for one control plane",
        "a name with capitals and an underscore",
        "a NodePort for the API",
        "the API's Service address for DNS",
    ),
    # The hosts compared with each other.
    (
        "one address twice",
        "one machine-id twice",
        "one host name twice",
        "a firewall that does not know all hosts",
        "an endpoint that is no address of any balancer",
    ),
    # Each host separately.
    (
        "a network on the hosts' own",
        "a network on another interface's",
        "an untested system",
        "too little memory",
        "too little disk",
        "a port in use",
        "a UDP port in use",
        "labels that no Node can have",
        "an address that the host has not",
        "an endpoint that only the control node can resolve",
    ),
    # What others left on it.
    (
        "a stopped etcd of others",
        "kubeadm's drop-in",
        "an earlier cluster's interface",
        "a firewall that knows nothing of the cluster",
        "resolvers on loopback",
        "settings of Docker with which pods do not work",
    ),
    ("a containerd that is too old", "a CNI configuration that comes before ours"),
]
ALONE = [(name,) for name in WRONG if not any(name in names for names in TOGETHER)]
RUNS = [
    (names, check)
    for names in [*TOGETHER, *ALONE]
    for check in ([False, True] if WRONG[names[0]].check_too else [False])
]


def of_any_host(line):
    """The line, and the same line for k1 and for n1."""
    return [line, *(re.sub(r"\b[kn]\d\b", host, line) for host in ("k1", "n1"))]


@pytest.mark.parametrize(
    ("names", "check"), RUNS, ids=[f"{'; '.join(names)}{', check mode' * check}" for names, check in RUNS]
)
def test_refused_before_anything_changes(lab, inventory, tmp_path, names, check):
    with contextlib.ExitStack() as stack:
        more = [argument for name in names for argument in WRONG[name].make(lab, tmp_path, stack)]
        held = sorted(path.name for path in tmp_path.glob("pki/*"))
        before = {host: files(lab, host) for host in lab.hosts()}
        directory = json.dumps({"certificates_directory": str(tmp_path / "pki")})
        done = runs.playbook("site", inventory, "-e", directory, *more, *(["--check"] if check else []))
        after = {host: files(lab, host) for host in lab.hosts()}
    said = [event["msg"] for event in done.events if event["event"] in ("failed", "unreachable")]
    assert done.code > 0, done.output
    sentences = [sentence for name in names for sentence in WRONG[name].sentences]
    for sentence in sentences:
        assert any(re.search(sentence, " ".join(text.split())) for text in said), done.output
    # Nothing except these sentences, and that other hosts have the same fault.
    lines = {line.strip() for text in said for line in text.splitlines() if line.strip()}
    assert [
        line
        for line in lines
        if not any(re.search(sentence, one) for sentence in sentences for one in of_any_host(line))
    ] == []
    assert {host: counts["changed"] for host, counts in done.recap.items()} == dict.fromkeys(done.recap, 0)
    assert done.changed == 0
    assert after == before
    assert sorted(path.name for path in tmp_path.glob("pki/*")) == held
