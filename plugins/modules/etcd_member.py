#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member
short_description: Manage this host's membership in the etcd cluster
version_added: 1.0.0
description:
  - Makes this host a member of the etcd cluster that runs on the other hosts, before its own etcd starts. If none of them ever
    ran etcd, bootstraps a new cluster with them.
  - Gets the list of members from the members that respond. A host's data directory, its unit file and its environment file show whether it was ever
    a member. So a member that lost its data is not mistaken for a new cluster. It is removed and added again as a
    learner. A second cluster is never bootstrapped.
  - Adds a new member as a learner, which has no vote until it is in sync. There is one learner at a time.
  - The environment file C(/etc/kubernetes/etcd-first-start) has the bootstrap settings of a member. The unit removes it once etcd is ready. Its content
    does not cause a restart, so adding a member does not affect the others.
  - If the host's address has changed, tells the other members before etcd restarts, or once there is a quorum. Its member is the one that runs on the
    host, or else the one with its name, if nothing responds at that member's address.
  - Prepares a running member for a restart. The module waits until the others have a quorum without
    it, fails if they do not reach one, and moves the leadership to another member.
  - Refuses whatever could bootstrap a second cluster or lose the quorum - data of another cluster, members of
    different clusters, a host without data while others with data do not respond, a member that is not in the inventory.
  - You can kill it at any point; the next run continues from there.
extends_documentation_fragment: [plainkube.cluster.common, plainkube.cluster.etcd]
options:
  name:
    description: This host's name in O(members).
    type: str
    required: true
  members:
    description: All intended members, including this host.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the member, as in C(--name).
        type: str
        required: true
      peer_url:
        description: URL on which it listens for other members. It identifies the member, as long as the host's address does not change.
        type: str
        required: true
      client_url:
        description: URL on which it listens for clients.
        type: str
        required: true
      state:
        description:
          - The fact C(etcd_state) of M(plainkube.cluster.host_facts) on that host.
          - Empty if the host was not checked. Then no cluster is bootstrapped.
        type: str
        default: ""
  state:
    description:
      - V(prepared) is for use before etcd starts or restarts.
      - V(voting) is for use after that. A learner is promoted once it is in sync, the members know this one's address, and it serves.
    type: str
    choices: [prepared, voting]
    default: prepared
  wait:
    description: Seconds to wait for other members that may have just been started, for etcd to accept a change, and for a learner to be in sync.
      Check mode does not wait.
    type: int
    default: 60
attributes:
  check_mode:
    details: On a host that does not have etcdctl yet, an existing cluster is detected by the data of the other members.
seealso:
  - module: plainkube.cluster.component
  - name: Runtime reconfiguration of etcd
    description: etcd's own guide.
    link: https://etcd.io/docs/latest/op-guide/runtime-configuration/
"""

EXAMPLES = r"""
- name: Join the etcd cluster
  plainkube.cluster.etcd_member:
    name: k2
    members:
      - {name: k1, peer_url: "https://192.0.2.11:2380", client_url: "https://192.0.2.11:2379", state: member}
      - {name: k2, peer_url: "https://192.0.2.12:2380", client_url: "https://192.0.2.12:2379", state: none}
      - {name: k3, peer_url: "https://192.0.2.13:2380", client_url: "https://192.0.2.13:2379", state: none}
"""

RETURN = r"""
extends_documentation_fragment: [plainkube.cluster.actions]
actions:
  description:
    - What was, or would be, done.
    - V(wait) if a learner must be promoted after etcd starts.
  sample:
    - {verb: join, subject: "etcd as a learner of k1", reason: ""}
action:
  description:
    - The action with O(state=prepared). V(keep) for a host with data, V(move) for one whose address has changed, V(bootstrap) for a new cluster,
      V(add) for a new member of an existing cluster, V(replace) for a member that lost its data, V(resume) for a member that was added but never started.
  type: str
  returned: with O(state=prepared)
live:
  description: Whether a member with a quorum responded. Not checked if there is only one member, whose address has not changed.
  type: bool
  returned: with O(state=prepared)
answers:
  description: Whether this host's own member responded.
  type: bool
  returned: with O(state=prepared)
leader:
  description: Whether this host's member was the leader.
  type: bool
  returned: with O(state=prepared)
learner:
  description: Whether this host's member was a learner and must be promoted.
  type: bool
  returned: with O(state=prepared)
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.etcd_member import main

if __name__ == "__main__":
    main()
