#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: firewall
short_description: Manage the host firewall, with automatic rollback of rules that lock out the control node
version_added: 1.0.0
description:
  - Filters traffic to this host with the nftables table C(inet plainkube). The table accepts what O(accept) lists, SSH, ICMP, DHCP, and replies. All
    other traffic to the host itself is dropped, over IPv4 and IPv6.
  - Does not filter forwarded packets, such as those of pods and of ports that Docker or kube-proxy publish. Other tables are left alone.
  - Accepts SSH on every port on which an SSH server or systemd listens for it, and on the port of the current connection.
  - Loads new rules on probation. Unless a new connection confirms them, the host restores the previous ones after
    O(revert_after). Only confirmed rules are written to C(/etc/kubernetes/firewall.nft), which the unit C(plainkube-firewall) loads at boot, before the
    network is up.
  - Detects manual changes in the table. To do so, the host's own nft loads the expected rules in a separate network namespace, and the module
    compares the two listings. Therefore, invalid rules are also refused before anything changes.
extends_documentation_fragment: [plainkube.cluster.common]
options:
  state:
    description: V(absent) removes the table, its file and its unit, so nothing is filtered.
    type: str
    choices: [present, absent]
    default: present
  accept:
    description: Traffic to accept.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Comment of the rule in the table. No quotes, at most 100 characters.
        type: str
        required: true
      protocol:
        description: Protocol. V(vrrp) is for keepalived.
        type: str
        choices: [tcp, udp, vrrp]
        default: tcp
      ports:
        description: Ports, and ranges of them such as V(30000-32767). None for V(vrrp).
        type: list
        elements: str
        default: []
      sources:
        description:
          - Sources of the packets - addresses, networks in CIDR notation, and names of O(groups). V(0.0.0.0/0) and V(::/0) together are
            everyone.
        type: list
        elements: str
        required: true
  groups:
    description: Named lists of addresses and networks for use as sources. Those that are used become sets of the table.
    type: dict
    default: {}
  ssh_ports:
    description: TCP ports for SSH, in addition to those that are detected.
    type: list
    elements: int
    default: []
  ssh_sources:
    description: Sources for SSH, like O(accept[].sources). The default is everyone.
    type: list
    elements: str
    default: []
  pod_network:
    description: IPv4 network of the pods. Pods can reach Services whose endpoint is a process on the host.
    type: str
    default: 10.244.0.0/16
  node_port_sources:
    description: Sources for NodePorts, like O(accept[].sources). The default is everyone.
    type: list
    elements: str
    default: ["0.0.0.0/0", "::/0"]
  revert_after:
    description: Seconds until the previous rules replace unconfirmed ones.
    type: int
    default: 15
  confirm:
    description:
      - Confirm the rules that an earlier run loaded. Fails if the host has already restored the previous ones.
      - The action plugin of this module sets it, over a new connection.
    type: bool
    default: false
requirements:
  - nft 1.0.6 or later, and systemd
attributes:
  check_mode:
    details: If nft is not installed yet, reports that the table would be created, without validating the rules.
notes:
  - If the connection is not SSH (such as C(local)), rules are confirmed over the same connection.
  - The next run detects a second SSH server that is started later. Until then, add its port to O(ssh_ports).
"""

EXAMPLES = r"""
- name: Accept etcd's clients and members
  plainkube.cluster.firewall:
    groups:
      hosts: [192.0.2.11, 192.0.2.21, 192.0.2.22]
      members: [192.0.2.11]
    accept:
      - {name: etcd clients, ports: [2379], sources: [hosts]}
      - {name: etcd members, ports: [2380], sources: [members]}

- name: Remove the firewall
  plainkube.cluster.firewall:
    state: absent
"""

RETURN = r"""
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  description:
    - What was, or would be, done.
    - V(wait) if unconfirmed rules of a killed run are active and will be rolled back.
  sample:
    - {verb: apply, subject: "nftables table inet plainkube", reason: ""}
probation:
  description: Seconds until unconfirmed rules are rolled back; V(0) if there is nothing to confirm.
  returned: success
  type: int
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.firewall import main

if __name__ == "__main__":
    main()
