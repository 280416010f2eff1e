# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""plainkube-cni, the program that keeps containerd's pod network on flannel's subnet."""

from __future__ import annotations

import base64
import json
import pathlib
import shutil
import subprocess
import sys

import pytest

PROGRAM = pathlib.Path(__file__).parents[3] / "roles" / "containerd" / "files" / "plainkube_cni.py"
SUBNET = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET={}\nFLANNEL_MTU={}\nFLANNEL_IPMASQ=true\n"

# Stands in for ip and ctr: what they know and have done is in a file beside the directory that they are in.
TOOL = f"""#!{sys.executable} -IS
import ipaddress, json, os, pathlib, sys
file = pathlib.Path(__file__).parents[1] / "state.json"
state = json.loads(file.read_text())
words, link = sys.argv[1:], state["link"]
if file.parent.joinpath("bin", "portmap").samefile(__file__):
    given = json.load(sys.stdin)
    rule = [os.environ["CNI_CONTAINERID"], *(one["HostPort"] for one in given["runtimeConfig"]["portMappings"])]
    assert (given["name"], given["type"], given["cniVersion"], given["prevResult"]["ips"]) == ("plainkube", "portmap", "1.0.0", ["10.244.5.7/24"])
    assert os.environ["CNI_COMMAND"] == "ADD"
    state["ports"].append(rule)
    file.write_text(json.dumps(state))
elif words[:3] == ["-json", "address", "show"]:
    if not link:
        sys.exit("Device does not exist.")
    print(json.dumps([link]))
elif "CNI-HOSTPORT-DNAT" in words:
    for name, *ports in state["ports"]:
        print(f'-A CNI-HOSTPORT-DNAT -m comment --comment "dnat name: \\"plainkube\\" id: \\"{{name}}\\""')
elif words[1:] == ["tasks", "list"]:
    print("TASK    PID    STATUS")
    for name, status in state["tasks"].items():
        print(f"{{name}}    7    {{status}}")
elif words[:2] != ["list", "table"]:
    state["done"].append(" ".join([pathlib.Path(__file__).name, *words]))
    if words[:2] == ["link", "add"]:
        state["link"] = {{"flags": [], "mtu": 1500, "addr_info": []}}
    elif words[:2] == ["link", "set"] and "mtu" in words:
        link["mtu"] = int(words[-1])
    elif words[:2] == ["link", "set"]:
        link["flags"] = ["UP"]
    elif words[0] == "address":
        entry = ipaddress.IPv4Interface(words[2])
        info = {{"family": "inet", "local": str(entry.ip), "prefixlen": entry.network.prefixlen}}
        known = link["addr_info"]
        link["addr_info"] = [*known, info] if words[1] == "add" else [one for one in known if one != info]
    elif words[1:3] == ["tasks", "kill"]:
        state["tasks"][words[-1]] = "STOPPED"
    file.write_text(json.dumps(state))
"""


class Host:
    """A host's files, bridge and sandboxes."""

    def __init__(self, directory, bridge, part):
        self.directory = directory
        self.program = shutil.copy(PROGRAM, directory / "plainkube-cni")
        settings = {
            "bridge": bridge,
            "makes_bridge": bridge == "cni0",
            "pod_range": part,
            "conflist": f"{directory}/net.d/CONFLIST",
        }
        settings |= {"plugins": f"{directory}/bin", "results": f"{directory}/results"}
        settings |= {"subnet_file": f"{directory}/SUBNET_FILE", "leases": f"{directory}/LEASES"}
        (directory / "plainkube-cni.json").write_text(json.dumps(settings), encoding="utf-8")
        (directory / "bin").mkdir()
        for name in ("ip", "ctr", "portmap", "iptables", "nft"):
            (directory / "bin" / name).write_text(TOOL, encoding="utf-8")
            (directory / "bin" / name).chmod(0o755)
        self.state = directory / "state.json"
        self.state.write_text(json.dumps({"link": None, "tasks": {}, "done": [], "ports": []}), encoding="utf-8")
        self.lease("10.244.5.1/24")

    def lease(self, address, mtu=1450):
        (self.directory / "SUBNET_FILE").write_text(SUBNET.format(address, mtu), encoding="utf-8")

    def know(self, **what):
        self.state.write_text(json.dumps({**json.loads(self.state.read_text()), **what}), encoding="utf-8")

    def __getattr__(self, name):
        """What ip and ctr know: the link, the tasks, and what they have done."""
        return json.loads(self.state.read_text())[name]

    def sandbox(self, address, name, state="RUNNING"):
        (self.directory / "LEASES").mkdir(exist_ok=True)
        (self.directory / "LEASES" / address).write_text(f"{name}\r\neth0", encoding="utf-8")
        (self.directory / "LEASES" / "last_reserved_ip.0").write_text(address, encoding="utf-8")
        self.know(tasks={**self.tasks, name: state})

    def forward(self, sandbox, *ports, netns=True, network="plainkube", address=""):
        """What libcni remembers of a sandbox with hostPorts."""
        (self.directory / "results").mkdir(exist_ok=True)
        space = self.directory / f"netns-{sandbox}"
        if netns:
            space.touch()
        config = {"cniVersion": "1.0.0", "name": network, "plugins": [{"type": "bridge"}, {"type": "portmap"}]}
        cached = {
            "kind": "cniCacheV1",
            "containerId": sandbox,
            "config": base64.b64encode(json.dumps(config).encode()).decode(),
            "ifName": "eth0",
            "networkName": network,
            "capabilityArgs": {"portMappings": [{"HostPort": port, "HostIP": address} for port in ports]}
            if ports
            else None,
            "result": {
                "ips": ["10.244.5.7/24"],
                "interfaces": [{"name": "cni0"}, {"name": "eth0", "sandbox": str(space)}],
            },
        }
        path = self.directory / "results" / f"{network}-{sandbox}-eth0"
        path.write_text(json.dumps(cached), encoding="utf-8")

    def conflist(self):
        return json.loads((self.directory / "net.d" / "CONFLIST").read_text(encoding="utf-8"))

    def run(self, *arguments):
        """Run the program as its service and module cni_bridge do; the lines that it prints."""
        done = subprocess.run(
            [self.program, *arguments],
            env={"PATH": f"{self.directory}/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()


@pytest.fixture
def alone(tmp_path):
    return Host(tmp_path, "cni0", "")


@pytest.fixture
def beside_docker(tmp_path):
    return Host(tmp_path, "docker0", "upper")


def test_a_bridge_of_its_own(alone):
    """Check, do, check again, do again."""
    found = alone.run("check")
    assert [line for line in found if "there is no cni0" in line]
    assert alone.done == []
    assert not (alone.directory / "net.d").exists()
    assert alone.run() == found
    assert alone.link["addr_info"] == [{"family": "inet", "local": "10.244.5.1", "prefixlen": 24}]
    assert (alone.link["mtu"], alone.link["flags"]) == (1450, ["UP"])
    bridge, ports = alone.conflist()["plugins"]
    assert (bridge["bridge"], bridge["mtu"], bridge["isGateway"], bridge["ipMasq"]) == ("cni0", 1450, True, False)
    assert bridge["ipam"]["ranges"] == [
        [{"subnet": "10.244.5.0/24", "rangeStart": "10.244.5.1", "rangeEnd": "10.244.5.254", "gateway": "10.244.5.1"}]
    ]
    assert ports["capabilities"] == {"portMappings": True}
    done = alone.done
    assert alone.run("check") == alone.run() == []
    assert alone.done == done


def test_docker0_is_dockers_to_make(beside_docker):
    (line,) = beside_docker.run()
    assert "CONFLIST" in line
    assert beside_docker.done == []
    (bridge, dummy) = beside_docker.conflist()["plugins"]
    assert (bridge["bridge"], bridge["isGateway"]) == ("docker0", False)
    assert bridge["ipam"]["ranges"][0][0]["rangeStart"] == "10.244.5.128"
    assert bridge["ipam"]["ranges"][0][0]["rangeEnd"] == "10.244.5.254"


def test_another_lease_is_followed(beside_docker):
    addresses = [{"family": "inet", "local": "10.244.5.1", "prefixlen": 24}]
    beside_docker.know(link={"flags": ["UP"], "mtu": 1450, "addr_info": addresses})
    beside_docker.run()
    beside_docker.sandbox("10.244.5.130", "old")
    beside_docker.sandbox("10.244.5.131", "ended", "STOPPED")
    assert beside_docker.run("check") == []
    beside_docker.lease("10.244.9.1/24", 1400)
    beside_docker.sandbox("10.244.9.130", "new")
    assert len(beside_docker.run()) == 5
    assert beside_docker.link["addr_info"] == [{"family": "inet", "local": "10.244.9.1", "prefixlen": 24}]
    assert beside_docker.link["mtu"] == 1400
    assert beside_docker.tasks == {"old": "STOPPED", "ended": "STOPPED", "new": "RUNNING"}
    assert beside_docker.run("check") == []


def test_a_pod_in_dockers_part_is_ended(beside_docker):
    """It is from when the node had no Docker."""
    beside_docker.run()
    beside_docker.sandbox("10.244.5.7", "low")
    assert beside_docker.run("check") == ["a pod has the address 10.244.5.7, which is outside this host's range"]
    assert beside_docker.tasks == {"low": "RUNNING"}
    beside_docker.run()
    assert beside_docker.tasks == {"low": "STOPPED"}


def test_rules_of_host_ports_that_are_gone_are_written_again(alone):
    alone.run()
    alone.forward("sandbox-a", 80, 443)
    alone.forward("sandbox-b", 8080)
    alone.forward("none")
    alone.forward("ended", 81, netns=False)
    alone.forward("other", 82, network="cni-loopback")
    alone.forward("ending", 83)
    alone.forward("ipv6", 84, address="::1")
    (alone.directory / "results" / "plainkube-broken-eth0").write_text('{"kind": "cniCa', encoding="utf-8")
    running = dict.fromkeys(["sandbox-a", "sandbox-b", "none", "other", "ipv6"], "RUNNING")
    alone.know(ports=[["sandbox-b", 8080]], tasks={**running, "ending": "STOPPED"})
    lines = ["the rules of hostPort 80, 443 are gone"]
    assert alone.run("check") == lines
    assert alone.ports == [["sandbox-b", 8080]]
    assert alone.run() == lines
    assert alone.ports == [["sandbox-b", 8080], ["sandbox-a", 80, 443]]
    assert alone.run("check") == []


@pytest.mark.parametrize("text", ["", "FLANNEL_MTU=1450\n", "FLANNEL_SUBNET=x\nFLANNEL_MTU=1450\n"])
def test_without_a_lease_nothing_is_done(alone, text):
    (alone.directory / "SUBNET_FILE").write_text(text, encoding="utf-8")
    (line,) = alone.run()
    assert line.startswith("flannel has no subnet for this host yet")
    assert alone.done == []


def test_the_kernels_own_bridge(alone):
    """With the real ip, in a network namespace."""
    namespace = ["unshare", "--net"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root may make a network namespace")
    script = f"{alone.program}; {alone.program} check; ip -json address show dev cni0"
    done = subprocess.run([*namespace, "sh", "-euc", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    *differences, link = done.stdout.splitlines()
    # The second time, nothing differs.
    assert len(differences) == 5
    (found,) = json.loads(link)
    assert (found["ifname"], found["mtu"], "UP" in found["flags"]) == ("cni0", 1450, True)
    assert [one["local"] for one in found["addr_info"] if one["family"] == "inet"] == ["10.244.5.1"]
