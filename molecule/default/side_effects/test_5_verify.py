# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Faults in the network of nodes: verify.yml fails, and says from where to where something does not arrive."""

from __future__ import annotations

import re
import typing as t

import pytest

# Seconds for which verify.yml repeats a test that fails, and waits for pods. The default of a minute would only make these tests longer.
WAIT = 15


class Fault(t.NamedTuple):
    host: str
    command: str
    undo: str


# Faults that do not hide each other, in one run: what verify.yml says about each, as regular expressions.
RUNS = {
    "no device of flannel's; pods of a node kept apart": (
        [
            Fault("n1", "ip link delete flannel.1", "systemctl restart flanneld"),
            # The rule that Docker has with `icc: false`.
            Fault(
                "n2",
                "iptables -I FORWARD -i docker0 -o docker0 -j DROP",
                "iptables -D FORWARD -i docker0 -o docker0 -j DROP",
            ),
        ],
        [
            r"k1 does not reach the pod on n1 \(",
            r"The pod on n1 does not reach the pod on n2 \(",
            r"The pod on n2 does not reach the second pod on the same node \(",
        ],
    ),
    "flannel's routes gone; no forwarding": (
        [
            Fault("n2", "ip link set flannel.1 down; ip link set flannel.1 up", "systemctl restart flanneld"),
            Fault("n1", "sysctl -w net.ipv4.ip_forward=0", "sysctl -w net.ipv4.ip_forward=1"),
        ],
        [r"k1 does not reach the pod on n1 \([\d.:]+\), the pod on n2 \("],
    ),
    "no packet filter": (
        [Fault("n2", "systemctl restart nftables", "systemctl restart docker flanneld kube-proxy")],
        # Its hostPort.
        [rf"Pod a-1 on n2 is not ready after {WAIT} s: "],
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_verify_says_from_where_to_where(lab, site, name):
    faults, sentences = RUNS[name]
    try:
        for fault in faults:
            lab.demand(fault.host, "sh", "-ec", fault.command)
        run = site.run("-e", f"verify_wait={WAIT}", playbook="verify")
    finally:
        for fault in faults:
            lab.demand(fault.host, "sh", "-ec", fault.undo)
    print(f"  {name}: verify.yml took {run.seconds:.1f} s")
    assert run.code > 0
    said = " ".join(run.output.split())
    for sentence in sentences:
        assert re.search(sentence, said), said


def test_nothing_is_left_of_them(site):
    site.run(playbook="verify").demand()
