# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The script that keeps the pods' network on flannel's subnet."""

from __future__ import annotations

import ipaddress
import json
import pathlib
import types

import pytest

TEMPLATE = pathlib.Path(__file__).parents[3] / "roles" / "containerd" / "templates" / "plainkube-cni.j2"
SUBNET = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET={}\nFLANNEL_MTU={}\nFLANNEL_IPMASQ=true\n"


class Host:
    """A host's files, bridge and sandboxes, and the script as a module that has them for its own."""

    def __init__(self, directory, bridge, part):
        self.directory = directory
        self.link = None  # what `ip -json address show` tells of the bridge
        self.tasks = {}  # sandbox -> its state
        self.done = []
        text = TEMPLATE.read_text(encoding="utf-8")
        text = text.replace("{{ __cluster_runtime.bridge }}", bridge).replace("{{ __cluster_runtime.pod_range }}", part)
        assert "{{" not in text
        self.script = types.ModuleType("plainkube_cni")
        exec(compile(text, str(TEMPLATE), "exec"), self.script.__dict__)
        for name in ("SUBNET_FILE", "CONFLIST", "LEASES"):
            setattr(self.script, name, f"{directory}/{name}")
        self.script.output, self.script.act = self.output, self.act
        self.lease("10.244.5.1/24")

    def lease(self, address, mtu=1450):
        (self.directory / "SUBNET_FILE").write_text(SUBNET.format(address, mtu), encoding="utf-8")

    def sandbox(self, address, name, state="RUNNING"):
        (self.directory / "LEASES").mkdir(exist_ok=True)
        (self.directory / "LEASES" / address).write_text(f"{name}\r\neth0", encoding="utf-8")
        (self.directory / "LEASES" / "last_reserved_ip.0").write_text(address, encoding="utf-8")
        self.tasks[name] = state

    def output(self, *command):
        if command[0] == "ctr":
            return "TASK    PID    STATUS\n" + "".join(
                f"{name}    7    {state}\n" for name, state in self.tasks.items()
            )
        return json.dumps([self.link]) if self.link else ""

    def act(self, *command):
        self.done.append(" ".join(command))
        if command[:3] == ("ip", "link", "add"):
            self.link = {"flags": [], "mtu": 1500, "addr_info": []}
        elif command[:3] == ("ip", "link", "set"):
            if "mtu" in command:
                self.link["mtu"] = int(command[-1])
            else:
                self.link["flags"] = ["UP"]
        elif command[:2] == ("ip", "address"):
            entry = ipaddress.IPv4Interface(command[3])
            info = {"family": "inet", "local": str(entry.ip), "prefixlen": entry.network.prefixlen}
            known = self.link["addr_info"]
            self.link["addr_info"] = [*known, info] if command[2] == "add" else [one for one in known if one != info]
        elif command[0] == "ctr":
            self.tasks[command[-1]] = "STOPPED"

    def conflist(self):
        return json.loads((self.directory / "CONFLIST").read_text(encoding="utf-8"))

    def run(self, capsys, *arguments):
        self.script.main([*arguments])
        return capsys.readouterr().out.splitlines()


@pytest.fixture
def alone(tmp_path):
    return Host(tmp_path, "cni0", "")


@pytest.fixture
def beside_docker(tmp_path):
    return Host(tmp_path, "docker0", "upper")


def test_a_bridge_of_its_own(alone, capsys):
    """Check, do, check again, do again."""
    found = alone.run(capsys, "check")
    assert [line for line in found if "there is no cni0" in line]
    assert alone.done == []
    assert not (alone.directory / "CONFLIST").exists()
    assert alone.run(capsys) == found
    assert alone.link["addr_info"] == [{"family": "inet", "local": "10.244.5.1", "prefixlen": 24}]
    assert (alone.link["mtu"], alone.link["flags"]) == (1450, ["UP"])
    bridge, ports = alone.conflist()["plugins"]
    assert (bridge["bridge"], bridge["mtu"], bridge["isGateway"], bridge["ipMasq"]) == ("cni0", 1450, True, False)
    assert bridge["ipam"]["ranges"] == [
        [{"subnet": "10.244.5.0/24", "rangeStart": "10.244.5.1", "rangeEnd": "10.244.5.254", "gateway": "10.244.5.1"}]
    ]
    assert ports["capabilities"] == {"portMappings": True}
    done = [*alone.done]
    assert alone.run(capsys, "check") == alone.run(capsys) == []
    assert alone.done == done


def test_docker0_is_dockers_to_make(beside_docker, capsys):
    (line,) = beside_docker.run(capsys)
    assert "CONFLIST" in line
    assert beside_docker.done == []
    (bridge, dummy) = beside_docker.conflist()["plugins"]
    assert (bridge["bridge"], bridge["isGateway"]) == ("docker0", False)
    assert bridge["ipam"]["ranges"][0][0]["rangeStart"] == "10.244.5.128"
    assert bridge["ipam"]["ranges"][0][0]["rangeEnd"] == "10.244.5.254"


def test_another_lease_is_followed(beside_docker, capsys):
    beside_docker.link = {
        "flags": ["UP"],
        "mtu": 1450,
        "addr_info": [{"family": "inet", "local": "10.244.5.1", "prefixlen": 24}],
    }
    beside_docker.run(capsys)
    beside_docker.sandbox("10.244.5.130", "old")
    beside_docker.sandbox("10.244.5.131", "ended", "STOPPED")
    assert beside_docker.run(capsys, "check") == []
    beside_docker.lease("10.244.9.1/24", 1400)
    beside_docker.sandbox("10.244.9.130", "new")
    assert len(beside_docker.run(capsys)) == 5
    assert beside_docker.link["addr_info"] == [{"family": "inet", "local": "10.244.9.1", "prefixlen": 24}]
    assert beside_docker.link["mtu"] == 1400
    assert beside_docker.tasks == {"old": "STOPPED", "ended": "STOPPED", "new": "RUNNING"}
    assert beside_docker.run(capsys, "check") == []


def test_a_pod_in_dockers_part_is_ended(beside_docker, capsys):
    """It is from when the node had no Docker."""
    beside_docker.run(capsys)
    beside_docker.sandbox("10.244.5.7", "low")
    assert beside_docker.run(capsys, "check") == ["a pod has the address 10.244.5.7, which is none of this host's"]
    assert beside_docker.tasks == {"low": "RUNNING"}
    beside_docker.run(capsys)
    assert beside_docker.tasks == {"low": "STOPPED"}


@pytest.mark.parametrize("text", ["", "FLANNEL_MTU=1450\n", "FLANNEL_SUBNET=x\nFLANNEL_MTU=1450\n"])
def test_without_a_lease_nothing_is_done(alone, capsys, text):
    (alone.directory / "SUBNET_FILE").write_text(text, encoding="utf-8")
    (line,) = alone.run(capsys)
    assert line.startswith("flannel has no subnet for this host yet")
    assert alone.done == []
