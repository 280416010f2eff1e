# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""containerd's pod network follows flannel's lease, and site.yml repairs manual changes."""

from __future__ import annotations

import ipaddress
import json
import time

import pytest

CONFLIST = "/etc/cni/net.d/10-plainkube.conflist"


SCRIPTS = {
    "n3": f"rm {CONFLIST}; ip link set cni0 mtu 1400",
    "n2": f"sed -i s/128/64/ {CONFLIST}; systemctl stop plainkube-cni.path",
}


def test_what_is_changed_by_hand_is_mended(lab, site, pods):
    def configuration():
        return {host: lab.run(host, "cat", CONFLIST)[1] for host in SCRIPTS}

    before, running = configuration(), pods()
    for host, script in SCRIPTS.items():
        assert lab.run(host, "sh", "-c", script)[0] == 0
    run, started = site.apply()
    assert {event["host"] for event in run.changes} == {*SCRIPTS}
    assert started == set()
    assert configuration() == before
    assert pods() == running
    again, started = site.apply()
    assert (again.changed, started) == (0, set())


@pytest.mark.parametrize("host", ["n3", "n2"])
def test_another_lease_is_followed(lab, site, hello, host):
    """Without a run of site.yml: the kubelet recreates the pods, with addresses of the new lease."""
    old = ipaddress.IPv4Interface(
        lab.run(host, "sh", "-c", ". /var/lib/flannel/subnet.env; echo $FLANNEL_SUBNET")[1].strip()
    )
    new = ipaddress.IPv4Interface(f"10.244.{200 + int(host[1])}.1/24")
    key = f"/coreos.com/network/subnets/{str(old.network).replace('/', '-')}"
    root = "--cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/etcd/root.crt --key=/etc/kubernetes/pki/etcd/root.key"
    # A request for a free subnet is granted once the old lease is gone.
    lab.run(host, "systemctl", "stop", "flanneld")
    lab.demand("k1", "sh", "-c", f"etcdctl --endpoints=https://127.0.0.1:2379 {root} del {key}")
    lab.run(host, "sed", "-i", f"s,{old},{new},", "/var/lib/flannel/subnet.env")
    lab.run(host, "systemctl", "start", "flanneld")
    began = time.monotonic()
    while ipaddress.ip_address(hello.get(host)["status"].get("podIP", "0.0.0.0")) not in new.network:
        assert time.monotonic() < began + 90, json.dumps(hello.get(host)["status"])
        time.sleep(0.5)
    hello.kubectl("wait", "--for=condition=Ready", "--timeout=60s", f"pod/{host}")
    print(f"{host}: {old} became {new}, and its pod is well after {time.monotonic() - began:.1f} s")
    other = "n3" if host == "n2" else "n2"
    for source, target in ((host, other), (other, host)):
        hello.kubectl("exec", source, "--", "/agnhost", "connect", f"{hello.address(target)}:8080", "--timeout=5s")


def test_nothing_is_left_to_do(site):
    site.run().demand()
    again, started = site.apply()
    assert (again.changed, started) == (0, set())
