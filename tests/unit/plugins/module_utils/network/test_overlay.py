# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _overlay

# As a live host prints them: n1 with 10.244.41.0/24, and two other hosts.
ROUTES = """\
Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010013AC	0003	0	0	0	00000000	0	0	0
flannel.1	0008F40A	0008F40A	0003	0	0	0	00FFFFFF	0	0	0
docker0	0029F40A	00000000	0001	0	0	0	00FFFFFF	0	0	0
flannel.1	0056F40A	0056F40A	0003	0	0	0	00FFFFFF	0	0	0
eth0	000013AC	00000000	0001	0	0	0	0000FFFF	0	0	0
"""
ARP = """\
IP address       HW type     Flags       HW address            Mask     Device
10.244.8.0       0x1         0x6         0a:00:00:00:00:08     *        flannel.1
10.244.86.0      0x1         0x6         0A:00:00:00:00:86     *        flannel.1
172.19.0.1       0x1         0x2         02:42:00:00:00:01     *        eth0
10.244.99.0      0x1         0x0         00:00:00:00:00:00     *        flannel.1
"""
FDB = (
    {"mac": "0a:00:00:00:00:08", "ifname": "flannel.1", "dst": "172.19.0.11", "flags": ["self"], "state": "permanent"},
    {"mac": "0a:00:00:00:00:86", "ifname": "flannel.1", "dst": "172.19.0.13", "flags": ["self"], "state": "permanent"},
)
LEASES = (
    _overlay.Lease("10.244.8.0/24", "172.19.0.11", "0a:00:00:00:00:08"),
    _overlay.Lease("10.244.41.0/24", "172.19.0.12", "0a:00:00:00:00:41"),
    _overlay.Lease("10.244.86.0/24", "172.19.0.13", "0a:00:00:00:00:86"),
)
OWN = {"address": "172.19.0.12", "subnet": "10.244.41.0/24", "mac": "0a:00:00:00:00:41"}


def paths(routes=ROUTES, arp=ARP, fdb=FDB):
    known = _overlay.parse_routes(routes), _overlay.parse_neighbors(arp), _overlay.parse_forwarding(json.dumps(fdb))
    return _overlay.paths("10.244.0.0/16", *known)


def faults(found=None, leases=LEASES, direct=False, **own):
    return _overlay.lease_faults(
        **{**OWN, **own}, found=paths() if found is None else found, leases=leases, direct=direct
    )


def test_paths_of_a_live_host():
    assert paths() == {
        "10.244.8.0/24": "172.19.0.11 0a:00:00:00:00:08",
        "10.244.86.0/24": "172.19.0.13 0a:00:00:00:00:86",
    }
    assert faults() == []


def test_a_route_is_missing():
    lines = [line for line in ROUTES.splitlines() if "0056F40A" not in line]
    assert faults(paths(routes="\n".join(lines))) == ["it has no route to 10.244.86.0/24 of 172.19.0.13"]


def test_a_route_that_is_down_does_not_count():
    assert "10.244.86.0/24" not in paths(routes=ROUTES.replace("0056F40A\t0003", "0056F40A\t0002"))


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"arp": ARP.replace("10.244.86.0 ", "10.244.87.0 ")}, "no host no neighbor entry"),
        ({"fdb": FDB[:1]}, "no host 0a:00:00:00:00:86"),
        ({"fdb": [FDB[0], {**FDB[1], "dst": "172.19.0.99"}]}, "172.19.0.99 0a:00:00:00:00:86"),
        ({"arp": ARP.replace("0A:00:00:00:00:86", "0a:00:00:00:00:87")}, "no host 0a:00:00:00:00:87"),
    ],
)
def test_a_path_to_the_wrong_place(changes, path):
    said = f"it sends packets for 10.244.86.0/24 to {path}"
    assert faults(paths(**changes)) == [f"{said}, and that subnet belongs to 172.19.0.13 0a:00:00:00:00:86"]
    # Without the leases, only incomplete paths are known to be wrong.
    assert faults(paths(**changes), leases=[]) == ([said] if "no " in path else [])


def test_direct_routes():
    routes = ROUTES.replace("flannel.1\t0056F40A\t0056F40A", "eth0\t0056F40A\t0D0013AC")
    found = paths(routes=routes)
    assert found["10.244.86.0/24"] == "172.19.0.13"
    assert faults(found, direct=True) == []
    assert len(faults(found)) == 1
    assert len(faults({**found, "10.244.86.0/24": "172.19.0.1"}, direct=True)) == 1


def test_leases_without_a_tunnel():
    leases = [lease._replace(mac="") for lease in LEASES]
    assert faults({"10.244.8.0/24": "172.19.0.11", "10.244.86.0/24": "172.19.0.13"}, leases, True, mac="") == []


@pytest.mark.parametrize(
    ("leases", "own", "said"),
    [
        (LEASES, {"mac": "0a:00:00:00:00:42"}, "flannel.1 has the MAC address 0a:00:00:00:00:42, and the other hosts know 0a:00:00:00:00:41"),
        (LEASES, {"address": "172.19.0.14"}, "its subnet 10.244.41.0/24 is leased to 172.19.0.12"),
        (LEASES[::2], {}, "etcd has no lease of 10.244.41.0/24 for 172.19.0.12"),
        ([*LEASES[::2], LEASES[1]._replace(subnet="10.244.7.0/24")], {}, "it uses 10.244.41.0/24, and its lease is 10.244.7.0/24"),
    ],
)  # fmt: skip
def test_its_own_lease(leases, own, said):
    assert faults(leases=leases, **own) == [said]


def test_what_a_host_waits_for():
    """Of its own lease, it may know more than etcd did."""
    found = {"10.244.8.0/24": "172.19.0.11 0a:00:00:00:00:08"}
    said = ["it has no route to 10.244.86.0/24 of 172.19.0.13"]
    for leases in (LEASES, LEASES[::2], [*LEASES, _overlay.Lease("10.244.7.0/24", OWN["address"], "")]):
        assert _overlay.path_faults(OWN["address"], OWN["subnet"], found, leases, direct=True) == said
    assert _overlay.path_faults(OWN["address"], OWN["subnet"], paths(), LEASES, direct=True) == []


def test_leases_in_etcd():
    def value(address, mac):
        return json.dumps({"PublicIP": address, "BackendType": "vxlan", "BackendData": {"VNI": 1, "VtepMAC": mac}})

    prefix = "/coreos.com/network/subnets/"
    found = _overlay.parse_leases(
        {
            f"{prefix}10.244.86.0-24": value("172.19.0.13", "0a:00:00:00:00:86"),
            f"{prefix}10.244.8.0-24": value("172.19.0.11", "0A:00:00:00:00:08"),
            f"{prefix}10.244.9.0-24": json.dumps({"PublicIP": "172.19.0.19", "BackendType": "host-gw", "BackendData": None}),
            f"{prefix}nonsense": value("172.19.0.13", ""),
            f"{prefix}10.244.1.0-24": "no JSON",
            f"{prefix}10.244.2.0-24": "[]",
            f"{prefix}10.244.3.0-24": value("not an address", ""),
        }
    )  # fmt: skip
    assert found == [LEASES[0], _overlay.Lease("10.244.9.0/24", "172.19.0.19", ""), LEASES[2]]


@pytest.mark.parametrize(
    ("device", "said"),
    [
        (_overlay.Device("10.244.41.0", "0a:00:00:00:00:41", 1450, True), ""),
        (None, "there is no flannel.1"),
        (_overlay.Device("10.244.41.0", "0a:00:00:00:00:41", 1450, False), "flannel.1 is down"),
        (_overlay.Device("", "0a:00:00:00:00:41", 1450, True), "flannel.1 has no address, not 10.244.41.0"),
        (_overlay.Device("10.244.7.0", "", 1450, True), "flannel.1 has the address 10.244.7.0, not 10.244.41.0"),
        (_overlay.Device("10.244.41.0", "", 1500, True), "flannel.1 has an MTU of 1500, not 1450"),
    ],
)
def test_the_interface(device, said):
    assert _overlay.device_fault(device, "10.244.41.0/24", 1450) == said


def test_every_host_is_a_target_of_as_many_others():
    subnets = [f"10.244.{number}.0/24" for number in range(20)]
    targets = [target for own in subnets for target in _overlay.sample(own, set(subnets) - {own})]
    assert {targets.count(subnet) for subnet in subnets} == {_overlay.SAMPLE}
    assert _overlay.sample("10.244.1.0/24", ["10.244.0.0/24"]) == ["10.244.0.0/24"]
