# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The example inventories: each results in a healthy cluster, and a second run changes nothing."""

from __future__ import annotations

import ipaddress
import json
import re

import pytest
import yaml

from lab import inventory, machine, mirror, network, runs
from lab.base import CHECKOUT

FILES = sorted((CHECKOUT / "inventory").iterdir())
# The last byte of an address in the files -> the lab's host. Others, such as the virtual IP, become addresses of the lab with the same last byte.
HOSTS = {11: "k1", 12: "k2", 13: "k3", 21: "n1", 22: "n2", 23: "n3", 31: "e1", 32: "e2", 33: "e3"}


@pytest.fixture(scope="module")
def lan(lab):
    """The lab's network and the machine's address in it."""
    return network.subnet_and_gateway(network.find(lab.client, lab.name))


@pytest.fixture
def copied(request, lab, lan, tmp_path):
    """A user's copy of a file, with other addresses; and the lab's variables, which override its login user."""
    path = tmp_path / request.param.name

    def address(found):
        place = int(found[1])
        return lab.address(HOSTS[place]) if place in HOSTS else str(ipaddress.ip_network(lan[0])[place])

    path.write_text(re.sub(r"192\.0\.2\.(\d+)", address, request.param.read_text(encoding="utf-8")), encoding="utf-8")
    values = {
        **inventory.variables(lab.name, mirror.url(lan[1])),
        **inventory.of_containers(machine.cgroup_version(), machine.lacks_sys_resource()),
    }
    beside = tmp_path / "lab.json"
    beside.write_text(json.dumps(values), encoding="utf-8")
    return path, ("-e", f"@{beside}")


def labels(path):
    """Node -> the labels that the inventory gives it."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".yml":
        return {}
    nodes = yaml.safe_load(text)["all"]["children"]["node"]["hosts"]
    return {name: one["node_labels"] for name, one in nodes.items() if "node_labels" in one}


@pytest.mark.parametrize("copied", FILES, ids=lambda path: path.name, indirect=True)
def test_an_inventory_makes_a_cluster(copied, lab):
    path, beside = copied
    first = runs.playbook("site", path, *beside).demand()
    print(f"{path.name}: {first.seconds:.0f} s on {len(first.recap)} hosts")
    second = runs.playbook("site", path, *beside).demand()
    assert second.changed == 0, [(one["host"], one["task"], one["restarts"]) for one in second.changes]
    assert "plainkube: all is well" in runs.playbook("status", path, *beside).demand().output
    runs.playbook("verify", path, *beside).demand()
    for node, wanted in labels(path).items():
        found = json.loads(lab.kubectl("k1", "get", "node", node, "--output=json"))["metadata"]["labels"]
        assert found.items() >= wanted.items()
    # For the next inventory.
    runs.playbook("reset", path, *beside, "-e", "reset_confirm=plainkube").demand()
