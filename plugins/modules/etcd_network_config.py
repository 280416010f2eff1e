#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_network_config
short_description: Manage flannel's network configuration in etcd
version_added: 1.0.0
description:
  - Writes flannel's network configuration to etcd if there is none, in one transaction. Never overwrites an existing one.
  - Validates the value first, by flannel's own rules. With an invalid value, flannel itself would not start, or would silently accept it.
  - An equivalent existing value is left as it is, whatever its spelling. A different one is an error
    that shows both values and says what a change would do to the cluster.
extends_documentation_fragment: [plainkube.cluster.common, plainkube.cluster.etcd, plainkube.cluster.etcd.endpoints]
options:
  network:
    description: IPv4 network of all pods. Required with O(state=present).
    type: str
  subnet_len:
    description: Prefix length of each host's subnet. flannel's default is 24, or for a network smaller than a /22, its prefix length plus 2.
    type: int
  subnet_min:
    description: First subnet to lease. flannel's default is the second subnet of O(network).
    type: str
  subnet_max:
    description: Last subnet to lease. flannel's default is the last subnet of O(network).
    type: str
  backend:
    description:
      - Backend for traffic between hosts. Each option also has flannel's own name as an alias.
      - The type is always written, because flannel's default is V(udp).
    type: dict
    default: {}
    suboptions:
      type:
        description: The backend.
        type: str
        choices: [vxlan, host-gw, ipip, wireguard, ipsec, udp]
        default: vxlan
        aliases: [Type]
      vni:
        description: VXLAN network identifier, for V(vxlan). flannel's default is 1.
        type: int
        aliases: [VNI]
      port:
        description: UDP port, for V(vxlan) (the kernel's default is 8472) and V(udp) (8285).
        type: int
        aliases: [Port]
      mtu:
        description: MTU of the host's interface, for V(vxlan) and V(wireguard). flannel's default is the interface's MTU.
        type: int
        aliases: [MTU]
      direct_routing:
        description: Route without a tunnel between hosts of one subnet, for V(vxlan) and V(ipip).
        type: bool
        aliases: [DirectRouting]
      gbp:
        description: VXLAN group based policy, for V(vxlan).
        type: bool
        aliases: [GBP]
      learning:
        description: Whether the tunnel learns MAC addresses, for V(vxlan).
        type: bool
        aliases: [Learning]
      psk:
        description: Pre-shared key, for V(wireguard), and required for V(ipsec), with 96 characters or more.
        type: str
        aliases: [PSK]
      listen_port:
        description: UDP port, for V(wireguard). flannel's default is 51820.
        type: int
        aliases: [ListenPort]
      persistent_keepalive_interval:
        description: Seconds between keepalives, for V(wireguard).
        type: int
        aliases: [PersistentKeepaliveInterval]
      mode:
        description: Tunnel mode, for V(wireguard). flannel's default is V(separate).
        type: str
        choices: [separate, auto, ipv4, ipv6]
        aliases: [Mode]
      udp_encap:
        description: UDP encapsulation, for V(ipsec).
        type: bool
        aliases: [UDPEncap]
      esp_proposal:
        description: Ciphers, for V(ipsec).
        type: str
        aliases: [ESPProposal]
  prefix:
    description: flannel's prefix in etcd (its option C(-etcd-prefix)). The key is C(config) below it.
    type: str
    default: /coreos.com/network
  state:
    description: Whether the configuration should exist.
    type: str
    choices: [present, absent]
    default: present
  force:
    description:
      - With O(state=absent), remove the configuration even if hosts have leases. They keep their subnets until flanneld restarts,
        which then fails.
      - With O(state=present), it has no effect; nothing overwrites an existing network.
    type: bool
    default: false
attributes:
  check_mode:
    details: If etcd is not running yet, returns what would be written.
seealso:
  - name: flannel's configuration
    description: The options as flannel documents them.
    link: https://github.com/flannel-io/flannel/blob/master/Documentation/configuration.md
"""

EXAMPLES = r"""
- name: Configure flannel's pod network
  plainkube.cluster.etcd_network_config:
    network: 10.244.0.0/16
    backend:
      type: vxlan
      direct_routing: true

- name: Remove the network of a cluster that is being removed
  plainkube.cluster.etcd_network_config:
    state: absent
    force: true
"""

RETURN = r"""
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  sample:
    - {verb: write, subject: "/coreos.com/network/config", reason: ""}
key:
  description: The key in etcd.
  returned: success
  type: str
config:
  description: The configuration that is, or would be, in etcd; without a pre-shared key. Empty if it is absent.
  returned: success
  type: dict
leases:
  description: The leased subnets.
  returned: when O(state=absent) and etcd responds
  type: list
  elements: str
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.etcd_network_config import main

if __name__ == "__main__":
    main()
