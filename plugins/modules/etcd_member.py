#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member
short_description: This host's place among the members of etcd
version_added: 1.0.0
description:
  - Makes this host a member of the etcd cluster that runs on the other hosts, before its own etcd is started. Where none of them ever
    ran one, it founds one with them.
  - Who is in the cluster is asked of the members that answer, and whether a host ever was in one is seen from its data directory, its unit
    file and O(first_start). So a member that lost its data is told apart from a new cluster. It is removed and added again as a
    learner. A second cluster is never founded.
  - A new member is added as a learner, which has no vote until it is in sync. There is one learner at a time.
  - What a member starts with is the environment file O(first_start). The unit removes it once etcd is ready, and what is in it
    is no reason to restart a member - so the others go on as they are when one is added.
  - A member that runs and keeps its place is made ready for a restart. The module waits until the others have a quorum without
    it, fails if they do not come to have one, and moves the leadership to another member.
  - Refuses, with a sentence, whatever could found a second cluster or lose the quorum - data of another cluster, members of
    different clusters, a host without data while others with data do not answer, a member that is no host of the inventory.
  - May be killed at any point; the next run goes on from there.
extends_documentation_fragment:
  - plainkube.cluster.attributes
author:
  - The plainkube authors (@plainkube)
options:
  name:
    description: Which of O(members) this host is.
    type: str
    required: true
  members:
    description: All members that there should be, this host among them.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the member, as in C(--name).
        type: str
        required: true
      peer_url:
        description: Where it listens for other members. It is known by that.
        type: str
        required: true
      client_url:
        description: Where it listens for clients.
        type: str
        required: true
      state:
        description:
          - What was found on that host, the fact C(etcd_state) of M(plainkube.cluster.host_facts).
          - Empty where nobody has looked. Then no cluster is founded.
        type: str
        default: ""
  state:
    description:
      - V(prepared) is for the time before etcd is started or restarted.
      - V(voting) is for the time after. A learner is promoted once it is in sync, and the member serves.
    type: str
    choices: [prepared, voting]
    default: prepared
  data_directory:
    description: etcd's C(--data-dir).
    type: path
    default: /var/lib/etcd/data
  first_start:
    description: Environment file that etcd's unit reads and, once etcd is ready, removes.
    type: path
    default: /var/lib/etcd/first-start
  unit:
    description: etcd's unit file. Where it is, etcd has been started on this host.
    type: path
    default: /etc/systemd/system/etcd.service
  ca:
    description: CA certificate of etcd's server certificates.
    type: path
    default: /etc/kubernetes/pki/etcd/ca.crt
  cert:
    description: Client certificate of etcd's user V(root).
    type: path
    default: /etc/kubernetes/pki/etcd/root.crt
  key:
    description: Private key of O(cert).
    type: path
    default: /etc/kubernetes/pki/etcd/root.key
  wait:
    description: Seconds to wait for other members that may have been started a moment ago, for etcd to take a change, and for a learner.
      In check mode nothing is waited for.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    details: On a host without etcdctl yet, which cannot ask, a live cluster is known by the data that other members have.
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - etcdctl 3.6 or later on the host
seealso:
  - module: plainkube.cluster.component
  - name: Runtime reconfiguration of etcd
    description: etcd's own guide.
    link: https://etcd.io/docs/latest/op-guide/runtime-configuration/
"""

EXAMPLES = r"""
- name: Take a place in etcd
  plainkube.cluster.etcd_member:
    name: k2
    members:
      - {name: k1, peer_url: "https://192.0.2.11:2380", client_url: "https://192.0.2.11:2379", state: member}
      - {name: k2, peer_url: "https://192.0.2.12:2380", client_url: "https://192.0.2.12:2379", state: none}
      - {name: k3, peer_url: "https://192.0.2.13:2380", client_url: "https://192.0.2.13:2379", state: none}
"""

RETURN = r"""
action:
  description:
    - What was to be done, with O(state=prepared). V(keep) for a host with data, V(found) for a new cluster, V(add) for a new member of a
      live one, V(replace) for one that lost its data, V(go on) for one that had been added and never started.
  type: str
  returned: with O(state=prepared)
join:
  description: The same in words, where a live cluster is joined.
  type: list
  elements: str
  returned: with O(state=prepared)
live:
  description: Whether a member that has a quorum answered. Not asked where there is only one member.
  type: bool
  returned: with O(state=prepared)
answers:
  description: Whether this host's own member answered.
  type: bool
  returned: with O(state=prepared)
leader:
  description: Whether this host's member led the cluster.
  type: bool
  returned: with O(state=prepared)
learner:
  description: Whether this host's member was a learner, and is to be promoted.
  type: bool
  returned: with O(state=prepared)
pending:
  description: What is to do though it changes nothing before etcd starts, in words. Here, that a learner is to be promoted.
  type: list
  elements: str
  returned: with O(state=prepared)
"""

from ansible_collections.plainkube.cluster.plugins.module_utils._modules.etcd_member import main

if __name__ == "__main__":
    main()
