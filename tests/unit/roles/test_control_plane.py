# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pathlib

import jinja2
import pytest
import yaml

ROLES = pathlib.Path(__file__).parents[3] / "roles"
SANDBOX = yaml.safe_load((ROLES / "cluster/vars/main/sandbox.yml").read_text(encoding="utf-8"))["__cluster_sandbox"]


@pytest.mark.parametrize(
    ("port", "capabilities"),
    [("443", ["CAP_NET_BIND_SERVICE"]), (1023, ["CAP_NET_BIND_SERVICE"]), (1024, []), (6443, [])],
)
def test_the_api_server_may_have_a_privileged_port_only_where_it_has_one(port, capabilities):
    source = (ROLES / "control_plane/templates/kube-apiserver.service.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(undefined=jinja2.ChainableUndefined, trim_blocks=True)
    given = {"cluster_api_port": port, "__cluster_sandbox": SANDBOX}
    given.update({"control_plane_shutdown_delay": 0, "__control_plane_watch_grace": 0})
    text = environment.from_string(source).render(given)
    for setting in ("CapabilityBoundingSet", "AmbientCapabilities"):
        # An empty one takes back those before it.
        values = [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{setting}=")]
        assert values == ["", *capabilities]
