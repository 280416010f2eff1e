#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: host_facts
short_description: Gather the host facts that the roles need, in one fast task
version_added: 1.0.0
description:
  - Sets the fact C(plainkube), which replaces M(ansible.builtin.setup) in this collection (0.2 seconds instead of 2).
  - Changes nothing. Reports an unreachable host in one sentence. With C(ignore_unreachable), that is a warning.
  - Always sets the facts C(plainkube_unreached), which is true only for unreachable hosts, and C(plainkube_address), the IPv4 address that the
    control node connects to, regardless of what the host reports; if there are several, the first that the host has. The fact C(plainkube) is
    empty if nothing was found, so that no cached facts are used.
options:
  address:
    description:
      - The host's address, if the inventory has it and no other facts are needed. The host is then not contacted, and the fact C(plainkube) is empty.
      - By default, facts are gathered from the host.
    type: str
  components:
    description:
      - What this collection runs on the host, and what that occupies there.
      - With components, what other clusters have left is reported, on a host on which nothing is installed yet.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the component, and of its service.
        type: str
        required: true
      ports:
        description: TCP ports that it needs. Other processes that listen on them are reported.
        type: list
        elements: int
        default: []
      udp_ports:
        description: UDP ports that it needs. Other processes that use them are reported.
        type: list
        elements: int
        default: []
      directories:
        description: Directories that systemd creates for it (C(StateDirectory=), C(LogsDirectory=) in systemd.exec(5)), which must not be symbolic links.
        type: list
        elements: path
        default: []
      own_unit:
        description: Whether this collection installs its unit. Unit files and drop-ins of others for it are then reported.
        type: bool
        default: true
  directories:
    description: Directories whose free space to report. For a directory that does not exist yet, its nearest existing parent is used.
    type: list
    elements: path
    default: []
  containerd:
    description: Whether to get the version of the distribution's containerd, which takes 30 milliseconds.
    type: bool
    default: false
  docker:
    description:
      - How the node uses Docker Engine - C(options), settings to add to C(daemon.json), as in
        O(plainkube.cluster.docker_rebridge#module:docker_options), and C(runs_pods), whether Docker is the runtime of the pods.
      - With it, the fact C(docker_problems) tells which of Docker's settings are incompatible with pods.
      - The default on a node with Docker Engine follows from the variables O(plainkube.cluster.docker#role:main:docker_options) and C(cluster_runtime).
    type: dict
    suboptions:
      options:
        description: Settings to add to C(daemon.json).
        type: dict
        default: {}
      runs_pods:
        description: Whether Docker is the runtime of the pods.
        type: bool
        default: true
  resolve:
    description: DNS names that must resolve on the host. A failed lookup takes as long as the host's resolvers do.
    type: list
    elements: str
    default: []
  needs:
    description:
      - Requirements of role preflight for the host's roles in the cluster - C(untested_systems), C(memory_mb), C(disk_mb) (for O(directories)),
        C(networks) by the name of their variable, C(address) (C(cluster_address), by default the one that the control node connects to), which must
        be one of the host's own, and for a Node C(kubelet_config) and C(runtime) with C(name),
        C(docker), C(containerd_version), C(config), C(docker_part) and C(pod_range), and C(node_labels); also C(versions), with C(variable) and
        C(version) for each program of the fact C(installed_versions) that the host needs; C(dns_upstream), CoreDNS's upstream resolvers; and
        C(foreign_firewall), whether ufw and firewalld are accepted.
      - If something is installed already, problems with the host's surroundings, which do not keep a service from starting, are warnings.
      - The module fails if the host does not meet a requirement, with one sentence for each that names the host, what was found, and what to do.
      - By default, there are no requirements.
    type: dict
extends_documentation_fragment: [plainkube.cluster.common]
attributes:
  diff_mode:
    support: N/A
"""

EXAMPLES = r"""
- name: Gather the host's facts
  plainkube.cluster.host_facts:
    components:
      - name: kubelet
        ports: [10250]
    directories: [/opt/plainkube, /var/lib/docker]
"""

RETURN = r"""
ansible_facts:
  description: The fact C(plainkube).
  returned: success
  type: dict
  contains:
    plainkube:
      description: The host's facts.
      type: dict
      contains:
        addresses:
          description: All IPv4 addresses except those in 127.0.0.0/8, with C(interface), C(address) and C(prefix).
          type: list
          elements: dict
        architecture:
          description: V(amd64), V(arm64), or the kernel's name of another architecture.
          type: str
        bounded:
          description: Whether the host lacks CAP_SYS_RESOURCE, so that OOM scores cannot be lowered on it, as in most containers.
          type: bool
        cgroup_version:
          description: V(1) or V(2).
          type: int
        clock_offset:
          description:
            - Minimum offset in seconds between the host's clock and the control node's; negative if the host is behind.
            - The precision depends on the latency of the connection. V(0) if the clocks may agree.
          type: float
        cni_before:
          description: The CNI configurations of others that containerd prefers to this collection's.
          type: list
          elements: str
        containerd:
          description: Version of the distribution's containerd, or Docker's package; empty without one, or without O(containerd).
          type: str
        containerd_files:
          description: The operator's configuration files of containerd, with the version of each; V(0) if it has none.
          type: dict
        crictl:
          description: Whether crictl is installed.
          type: bool
        distribution:
          description: The C(ID) of os-release(5).
          type: str
        distribution_version:
          description: The C(VERSION_ID) of os-release(5).
          type: str
        docker_problems:
          description: Why pods would not work with Docker's settings, as sentences; empty without O(docker).
          type: list
          elements: str
        docker_root:
          description: Where Docker keeps its data, without symbolic links, if Docker is installed or will be.
          type: str
        etcd_state:
          description:
            - State of etcd. V(none), V(member) if the host has a member's data, or V(lost) if etcd ran and its data is gone.
            - V(founding) and V(joining) if its first start, in a new or into an existing cluster, has not completed.
          type: str
        foreign_listeners:
          description: Processes not of this collection that listen on the ports of O(components), with C(protocol), C(address), C(port), C(pid) and
            C(process).
          type: list
          elements: dict
        firewalls:
          description: V(ufw) and V(firewalld), if they are enabled.
          type: list
          elements: str
        foreign_units:
          description: Those of O(components) for which the host has another service's unit file, with its path.
          type: dict
        free_mb:
          description: Free disk space in MiB for each of O(directories), and for Docker's data root in place of C(/var/lib/docker).
          type: dict
        hostname:
          description: The kernel's host name.
          type: str
        firewall:
          description: Whether the host has, or had, the firewall of this collection.
          type: bool
        installed:
          description: Whether artifacts of this collection are on the host.
          type: bool
        installed_versions:
          description: The installed versions of kube-apiserver, kubelet and etcd, by name.
          type: dict
        interfaces:
          description: Names of the network interfaces, except those of containers (C(veth*)), of which a node may have hundreds.
          type: list
          elements: str
        kernel:
          description: The kernel's release.
          type: str
        leftovers:
          description: Interfaces and rules of another cluster, if nothing of this collection is installed.
          type: list
          elements: str
        linked:
          description: Those directories of O(components) that are symbolic links, with their targets.
          type: dict
        machine_id:
          description: The content of /etc/machine-id.
          type: str
        memory_mb:
          description: Memory in MiB.
          type: int
        name_servers:
          description: The name servers in C(resolv_conf).
          type: list
          elements: str
        networkmanager:
          description: Whether NetworkManager is installed.
          type: bool
        networks:
          description: The IPv4 networks of the host's interfaces and of Docker, with C(name) and C(network), except docker0, cni0 and flannel's.
          type: list
          elements: dict
        nftables:
          description: Whether kube-proxy can use its nftables mode.
          type: bool
        pki:
          description: The files in C(/etc/kubernetes/pki) that identify the host's cluster - C(public) has names and contents, C(secret) the names of keys,
            C(encryption) the fingerprints of the keys in C(encryption.yaml).
          type: dict
        pod_bridge:
          description: The bridge of the node's pods; empty if unknown.
          type: str
        replaced_commands:
          description: Drop-ins that replace the command of O(components), with the names of these.
          type: dict
        resolv_conf:
          description: The resolver configuration for pods - systemd-resolved's own if it is running, because its stub listens on loopback.
          type: str
        runtime:
          description: The container runtime of the node's kubelet, V(docker) or V(containerd); empty without a kubelet.
          type: str
        runtime_change:
          description: Whether a change of the runtime is in progress.
          type: bool
        runtime_version:
          description: Version of the node's containerd; empty for any other runtime, and without a kubelet.
          type: str
        services:
          description: Names of optional services, which begin with C(plainkube-).
          type: list
          elements: str
        settled:
          description: Fixed settings of the host's existing cluster, by variable; empty on a bare host.
          type: dict
        swap:
          description: The host's swap, including zram.
          type: list
          elements: str
        systemd:
          description: Whether systemd is the init of the host.
          type: bool
        unresolved:
          description: Those of O(resolve) that do not resolve to an IPv4 address on the host.
          type: list
          elements: str
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.host_facts import main

if __name__ == "__main__":
    main()
