# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""`make smoke`: whether this collection runs a version of Kubernetes that it does not support yet, such as the beta of the next one."""

from __future__ import annotations

import json

from lab import artifacts, engine, runs
from lab.base import LabError, say
from lab.lab import Lab

NAME = "smoke"
HOSTS = ("k1", "n1", "n2")
# A node with each container runtime.
HOST_VARIABLES = {"n2": {"cluster_runtime": "containerd"}}


def variables(version: str) -> dict[str, str]:
    """With these, preflight takes the version for a supported one."""
    return {"cluster_version": version, "__preflight_kubernetes_version": artifacts.default("cluster_version")}


def main(version: str) -> None:
    """Install a cluster, test it, and run the same again, which must change nothing. After a failure, the lab stays."""
    artifacts.ensure({"cluster_version": version})
    lab = Lab(NAME, engine.ensure())
    lab.up(HOSTS, prepared=True)
    inventory = lab.inventory_path()
    for host, values in HOST_VARIABLES.items():
        path = inventory.parent / "host_vars" / f"{host}.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    given = ("-e", json.dumps(variables(version)))
    for name in ("site", "verify", "status"):
        run = runs.playbook(name, str(inventory), *given).demand()
        say(f"{name}.yml with Kubernetes {version}: {run.seconds:.0f} s")
    again = runs.playbook("site", str(inventory), *given).demand()
    if again.changed:
        raise LabError(
            f"a second run of site.yml with Kubernetes {version} changes {again.changed} tasks:\n{again.output}"
        )
    lab.down()
