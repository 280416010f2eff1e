#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: kube_checkstatus
short_description: Check the health of the cluster's components on a host
version_added: 1.0.0
description:
  - Checks services, their processes, ports, health endpoints and versions, certificates, etcd and the host's Node object.
  - Returns its findings as data, RV(healthy), and RV(problems), sentences that say what to do.
  - Does not fail if something is unhealthy; use RV(healthy) in C(failed_when). Never changes anything.
options:
  components:
    description: Services that must run on this host.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the systemd service, without C(.service).
        type: str
        required: true
      ports:
        description: TCP ports on which the service's main process must listen.
        type: list
        elements: int
        default: []
      health_url:
        description: URL that returns a status of 200 to 299 when the component is healthy.
        type: str
      health_ca:
        description: CA certificate that verifies the server at O(components[].health_url). Without it, the server certificate is not verified.
        type: path
      version:
        description: Expected version. Without it, the running version is only returned.
        type: str
      version_command:
        description:
          - Command that prints the version of the running service, for services outside C(/opt/plainkube).
          - For the others, the version is in the path of the running program.
        type: list
        elements: str
      stamped:
        description: The file with the stamp of the process's inputs, if it is not the unit itself.
        type: path
      grace:
        description:
          - Grace period in seconds after the start of a component. Its ports and its health are not checked before that.
          - kube-proxy on a host without a Node object waits 30 seconds for one before it opens a port.
        type: int
        default: 0
      kernel:
        description:
          - What the process maintains in the kernel. If it is missing, that is a problem.
          - A process writes most of this once, and does not notice if others remove it.
        type: dict
        suboptions:
          flannel:
            description:
              - flannel's interface, and its route, neighbor entry and forwarding entry for each lease.
              - Checked from 10 seconds after the start of the process.
            type: dict
            suboptions:
              subnet_file:
                description: flannel's subnet file.
                type: path
                default: /var/lib/flannel/subnet.env
              tunnel:
                description: Whether the backend is V(vxlan), whose interface is V(flannel.1).
                type: bool
                default: true
              direct:
                description: Whether hosts in the same layer-2 network are routed without the tunnel.
                type: bool
                default: false
              leases:
                description:
                  - The leases of all hosts, this one included. By default, routes are not compared with leases.
                type: list
                elements: dict
                default: []
                suboptions:
                  subnet:
                    description: The subnet, such as V(10.244.5.0/24).
                    type: str
                    required: true
                  address:
                    description: The IPv4 address of the host.
                    type: str
                    required: true
                  mac:
                    description: The MAC address of its V(flannel.1). Empty for other backends.
                    type: str
                    required: true
          services:
            description:
              - kube-proxy's rules for the Service of the API server, which represent those of all Services.
              - Checked from 10 seconds after the start of the process, while it is healthy.
            type: dict
            suboptions:
              address:
                description: The cluster IP.
                type: str
                required: true
              port:
                description: The TCP port.
                type: int
                default: 443
              health_url:
                description: URL that returns a status of 200 to 299 when kube-proxy is healthy.
                type: str
                required: true
              config:
                description: kube-proxy's configuration, whose C(mode) is V(nftables) or V(iptables). Other modes are not checked.
                type: path
                default: /etc/kubernetes/kube-proxy.yaml
          docker:
            description: Docker's iptables rules for published ports, which hostPorts use.
            type: bool
            default: false
          cni:
            description: Containerd's pod network, which module M(plainkube.cluster.cni_bridge) configures.
            type: bool
            default: false
  certificates:
    description:
      - Certificate files, and directories in which all files that end in C(.crt) are checked.
      - An entry with C(*) or C(?) is a pattern of files, which may match none.
    type: list
    elements: path
    default: []
  certificate_warning_days:
    description: Days before its expiry from which a certificate is a problem.
    type: int
    default: 30
  authorities:
    description: The host's certificate directory. If set, its copies of the CAs are returned (RV(pki)).
    type: path
  artifacts:
    description: The directory of role C(artifacts). If set, the origin of all installed artifacts is returned (RV(artifacts)).
    type: path
  etcd:
    description: Access to etcd to check its members, leader, database size and alarms. Requires C(etcdctl) on the host.
    type: dict
    suboptions:
      endpoints:
        description: Client URLs of the members to check.
        type: list
        elements: str
        default: ["https://127.0.0.1:2379"]
      ca:
        description: CA certificate of etcd.
        type: path
        default: /etc/kubernetes/pki/etcd/ca.crt
      cert:
        description: Certificate of etcd's user root.
        type: path
        default: /etc/kubernetes/pki/etcd/root.crt
      key:
        description: Key of that certificate.
        type: path
        default: /etc/kubernetes/pki/etcd/root.key
      members:
        description:
          - Names of the expected members. Additional and missing members are problems.
          - By default, any members are accepted.
        type: list
        elements: str
        default: []
      users:
        description:
          - Names of the expected users. Additional ones are problems.
          - By default, any users are accepted.
        type: list
        elements: str
        default: []
      roles:
        description:
          - Names of the expected roles. Additional ones are problems.
          - By default, any roles are accepted.
        type: list
        elements: str
        default: []
  node:
    description: The Node object of this host.
    type: dict
    suboptions:
      name:
        description: Name of the Node.
        type: str
        required: true
      kubeconfig:
        description:
          - Kubeconfig of a user that may read it, such as the kubelet's own.
          - It must be JSON, as those of this collection are, and have a client certificate.
        type: path
        required: true
      directories:
        description: Directories of the kubelet and its runtime. If the Node has C(DiskPressure), the problem names the fullest one.
        type: list
        elements: path
        default: []
      pause_image:
        description: The runtime's pause image, which must exist. Not checked if empty.
        type: str
        default: ""
      resolver:
        description: Whether pods need the host's name servers, for CoreDNS. The kubelet must use the current file, with servers that pods can reach.
        type: bool
        default: false
      runtime:
        description: The runtime that must have O(node.pause_image).
        type: str
        choices: [docker, containerd]
        default: docker
  workloads:
    description: Workloads in the cluster that must be healthy; for control planes.
    type: dict
    suboptions:
      deployments:
        description: Deployments whose replicas must all be available, as C(NAMESPACE/NAME).
        type: list
        elements: str
        required: true
      kubeconfig:
        description: Kubeconfig of a user that may read them, like O(node.kubeconfig).
        type: path
        required: true
  subnet_file:
    description: flannel's subnet file. If set, O(bridge) must have the address in it.
    type: path
  network:
    description:
      - The addresses of Services that must respond on this host.
      - With it, the module also returns how this host reaches the pods of other hosts (RV(network)). It pings up to three of them, which needs root.
    type: dict
    suboptions:
      api:
        description: Cluster IP of the API server's Service. A TCP connection to it must be possible.
        type: str
        required: true
      api_port:
        description: TCP port of that Service.
        type: int
        default: 443
      dns:
        description: Cluster IP of cluster DNS, which must resolve the name of the API server's Service. Empty if there is none.
        type: str
        default: ""
      domain:
        description: The cluster's DNS domain.
        type: str
        default: cluster.local
      leases:
        description: flannel's leases, as in RV(etcd). The module waits for the routes to them, and leaves it to the caller to compare what is left.
        type: list
        elements: dict
        default: []
        suboptions:
          subnet:
            description: The subnet, such as V(10.244.5.0/24).
            type: str
            required: true
          address:
            description: The IPv4 address of the host.
            type: str
            required: true
          mac:
            description: The MAC address of its V(flannel.1). Empty for other backends.
            type: str
            required: true
  bridge:
    description: The pods' bridge. It must also have flannel's MTU.
    type: str
    default: docker0
  firewall:
    description: Whether the host must have the unchanged firewall of M(plainkube.cluster.firewall).
    type: bool
    default: false
  release:
    description: Whether to release the lock of this host, if the current run of C(plainkube.cluster.site) holds it.
    type: bool
    default: true
  wait:
    description: Seconds to wait until everything is healthy. The module does not wait for problems that time cannot resolve, such as a wrong version.
    type: int
    default: 0
extends_documentation_fragment: [plainkube.cluster.common]
attributes:
  diff_mode:
    support: N/A
seealso:
  - module: plainkube.cluster.component
"""

EXAMPLES = r"""
- name: Wait until the kubelet serves and its Node is Ready
  plainkube.cluster.kube_checkstatus:
    components:
      - name: kubelet
        ports: [10250]
        health_url: http://127.0.0.1:10248/healthz
        version: 1.37.2
    node:
      name: "{{ inventory_hostname }}"
      kubeconfig: /etc/kubernetes/kubelet.conf
    wait: 60
  register: checkstatus
  failed_when: not checkstatus.healthy

- name: Check etcd and its certificates
  plainkube.cluster.kube_checkstatus:
    components:
      - name: etcd
        health_url: http://127.0.0.1:2381/readyz
    certificates: [/etc/kubernetes/pki/etcd]
    etcd:
      members: [k1, k2, k3]
"""

RETURN = r"""
healthy:
  description: Whether there are no problems.
  returned: success
  type: bool
problems:
  description: The problems, one sentence each.
  returned: success
  type: list
  elements: str
  sample: ["kubelet on this host is stopped (inactive/dead); start it with plainkube.cluster.site"]
waited:
  description: The seconds that the inspections of this host have taken.
  returned: success
  type: int
components:
  description: One entry for each of O(components).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the service.
      type: str
    load:
      description: systemd's C(LoadState), such as V(loaded) or V(not-found).
      type: str
    active:
      description: systemd's C(ActiveState), such as V(active) or V(failed).
      type: str
    sub:
      description: systemd's C(SubState), such as V(running) or V(dead).
      type: str
    result:
      description: systemd's C(Result), the reason why the service ended.
      type: str
    enabled:
      description: systemd's C(UnitFileState), such as V(enabled).
      type: str
    pid:
      description: PID of the main process; 0 if none is running.
      type: int
    since:
      description: Time of its last start or stop; empty if it never ran.
      type: str
      sample: "2026-11-23T17:38:00Z"
    seconds:
      description: Seconds since then.
      type: int
    restarts:
      description: Number of automatic restarts by systemd.
      type: int
    invocation:
      description: systemd's C(InvocationID), which changes with each start.
      type: str
    listening:
      description: Addresses and TCP ports on which its main process listens.
      type: list
      elements: str
      sample: ["127.0.0.1:10248", "0.0.0.0:10250"]
    health:
      description: Response of its health endpoint; empty if there is none or the service is not running.
      type: dict
      sample: {"url": "http://127.0.0.1:10248/healthz", "status": 200, "ok": true, "text": "ok"}
    version:
      description: Running version; empty if unknown.
      type: str
    version_wanted:
      description: Expected version; empty if any version is accepted.
      type: str
    outdated:
      description: Why the process does not match the files on disk; empty if it does.
      type: str
    kernel:
      description: What is missing of what it should maintain in the kernel (O(components[].kernel)).
      type: list
      elements: str
      sample: ["there is no flannel.1"]
    healthy:
      description: Whether this component has no problems.
      type: bool
certificates:
  description: One entry for each certificate; a file can contain several.
  returned: success
  type: list
  elements: dict
  sample: [{"path": "/etc/kubernetes/pki/ca.crt", "subject": "plainkube-ca", "issuer": "plainkube-ca",
            "not_after": "2036-11-20T17:38:00Z", "days_left": 3649, "error": ""}]
pki:
  description: The host's copies of the CAs, the names of its keys, and the fingerprints of its encryption keys.
  returned: when O(authorities) is given
  type: dict
  sample: {"public": {"ca.crt": "-----BEGIN CERTIFICATE-----\n…"}, "secret": ["sa.key"], "encryption": ["key-1 0f3c…"]}
artifacts:
  description: Where each installed file comes from, and what verified it, as role C(artifacts) recorded it.
  returned: when O(artifacts) is given
  type: list
  elements: dict
  sample: [{"component": "etcd", "version": "3.7.3", "name": "etcd", "sha256": "0f3c…", "source": "https://github.com/etcd-io/etcd/…", "source_sha256": "5d1a…",
            "verified_by": "https://github.com/etcd-io/etcd/releases/download/v3.7.3/SHA256SUMS"}]
etcd:
  description:
    - Members, leader, alarms, unexpected users with their roles and unexpected roles, and the version and database size of each checked member.
    - Also flannel's leases, if they are in this etcd.
  returned: when O(etcd) is given
  type: dict
  sample: {"endpoints": ["https://127.0.0.1:2379"], "leader": "cp1", "alarms": [], "error": "", "expected": ["cp1"],
           "foreign_users": {"backup": ["root"]}, "foreign_roles": [],
           "leases": [{"subnet": "10.244.5.0/24", "address": "192.0.2.11", "mac": "0a:00:00:00:00:05"}],
           "members": [{"id": "8e9e05c52164694d", "name": "cp1", "leader": true, "learner": false, "version": "3.7.3",
                        "db_size": 5353472, "db_size_in_use": 1675264, "db_size_quota": 2147483648, "errors": [],
                        "peer_urls": ["https://192.0.2.11:2380"], "client_urls": ["https://192.0.2.11:2379"]}]}
network:
  description: Services, and the pod networks of other hosts.
  returned: with O(network)
  type: dict
  contains:
    api_error:
      description: Why the Service of the API server is not reachable; empty if it is.
      type: str
    dns_error:
      description: Why cluster DNS does not respond; empty if it does.
      type: str
    address:
      description: The address with which flanneld registers this host.
      type: str
    subnet:
      description: flannel's subnet of this host; empty if it has none.
      type: str
    mac:
      description: The MAC address of its V(flannel.1).
      type: str
    paths:
      description: Where the kernel sends packets for the subnets of other hosts, as address and MAC address of the other host.
      type: dict
      sample: {"10.244.5.0/24": "192.0.2.11 0a:00:00:00:00:05"}
    silent:
      description: Subnets of up to three other hosts that do not answer pings.
      type: list
      elements: str
deployments:
  description: The requested Deployments.
  returned: with O(workloads)
  type: list
  elements: dict
  contains:
    name:
      description: C(NAMESPACE/NAME).
      type: str
    wanted:
      description: Number of desired replicas.
      type: int
    available:
      description: Number of available replicas.
      type: int
    error:
      description: Why it could not be read; empty otherwise.
      type: str
node:
  description: Summary of the Node object.
  returned: when O(node) is given
  type: dict
  sample: {"name": "n1", "ready": true, "schedulable": true, "version": "1.37.2", "runtime": "containerd 1.7.24", "error": "",
           "disks": [{"path": "/var/lib/kubelet", "space": 61, "inodes": 93}],
           "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"}]}
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.kube_checkstatus import main

if __name__ == "__main__":
    main()
