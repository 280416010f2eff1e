#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: firewall
short_description: The host's firewall, a table of nftables of its own that cannot lock anybody out for long
version_added: 1.0.0
description:
  - Has the table C(inet plainkube) filter what comes to this host - it lets in what O(accept) says, SSH, ICMP, DHCP, and answers. Everything else
    that is meant for the host itself is dropped, over IPv4 and IPv6.
  - Forwarded packets, those of pods and of ports that Docker or kube-proxy publish, are none of its business; other tables are left alone.
  - SSH comes in at every port where an SSH server or systemd listens for it, and at the one that this very connection came in at.
  - New rules are loaded on probation. Unless a connection that is made afterwards confirms them, the former ones come back by themselves after
    O(revert_after). Only confirmed rules are written to C(/etc/kubernetes/firewall.nft), which the unit C(plainkube-firewall) loads at boot, before the
    network is up.
  - What was changed in the table by hand is found, by comparing it with how the host's own nft lists the rules in a network namespace that
    nobody else sees. So wrong rules are also refused before anything changes.
extends_documentation_fragment:
  - plainkube.cluster.attributes
author:
  - The plainkube authors (@plainkube)
options:
  state:
    description: V(absent) removes the table, its file and its unit; so everything is let in by it.
    type: str
    choices: [present, absent]
    default: present
  accept:
    description: What is let in.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What the rule is for; a comment in the table. No quotes, 100 characters at most.
        type: str
        required: true
      protocol:
        description: Protocol; V(vrrp) is keepalived's.
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
          - Where packets come from - addresses, networks in CIDR notation, and names of O(groups). V(0.0.0.0/0) and V(::/0) together are
            the whole world.
        type: list
        elements: str
        required: true
  groups:
    description: Lists of addresses and networks by the name that sources call them by; those that are used are sets of the table.
    type: dict
    default: {}
  ssh_ports:
    description: TCP ports for SSH, beside those that are found.
    type: list
    elements: int
    default: []
  ssh_sources:
    description: Where SSH may come from, as O(accept[].sources). By default, from everywhere.
    type: list
    elements: str
    default: []
  pod_network:
    description: IPv4 network of the pods. They reach Services whose endpoint is a process of the host.
    type: str
    default: 10.244.0.0/16
  node_ports:
    description: Range of the NodePorts.
    type: str
    default: 30000-32767
  node_port_sources:
    description: Who reaches NodePorts, as O(accept[].sources). By default, the whole world.
    type: list
    elements: str
    default: ["0.0.0.0/0", "::/0"]
  revert_after:
    description: Seconds until rules that nobody confirmed are replaced by the former ones.
    type: int
    default: 15
  confirm:
    description:
      - Keep the rules that a run before has loaded. Fails where the former ones are back.
      - The action plugin of this module sets it, over a connection that it makes for that.
    type: bool
    default: false
requirements:
  - nft 1.0.6 or later, and systemd
attributes:
  check_mode:
    support: full
    details: Where nft is not installed yet, it answers that the table would be made, and cannot tell whether nft takes the rules.
  diff_mode:
    support: full
  idempotent:
    support: full
notes:
  - Where the connection is no SSH (such as C(local)), rules are confirmed over the same connection.
  - A second SSH server that is started later is found by the next run; until then O(ssh_ports) can name its port.
"""

EXAMPLES = r"""
- name: Let in etcd's clients and members
  plainkube.cluster.firewall:
    groups:
      hosts: [192.0.2.11, 192.0.2.21, 192.0.2.22]
      members: [192.0.2.11]
    accept:
      - {name: etcd clients, ports: [2379], sources: [hosts]}
      - {name: etcd members, ports: [2380], sources: [members]}

- name: Have no firewall
  plainkube.cluster.firewall:
    state: absent
"""

RETURN = r"""
tables:
  description: The table, where it was or would be loaded.
  returned: success
  type: list
  elements: str
  sample: [nftables table inet plainkube]
removed:
  description: What was or would be removed.
  returned: success
  type: list
  elements: str
probation:
  description: Seconds after which the rules go again unless they are confirmed; V(0) where there is nothing to confirm.
  returned: success
  type: int
pending:
  description: What is to do though it changes nothing, in words. Here, that rules of a run that was killed are in force, and will go.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.plainkube.cluster.plugins.module_utils._modules.firewall import main

if __name__ == "__main__":
    main()
