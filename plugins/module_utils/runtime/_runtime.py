# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""A node's container runtime and pod bridge, according to its configuration files."""

from __future__ import annotations

import json
import os
import re

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _places

DOCKER, CONTAINERD = "docker", "containerd"
_SOCKETS = {
    os.path.basename(_places.CRI_DOCKERD_SOCKET): DOCKER,
    os.path.basename(_places.CONTAINERD_SOCKET): CONTAINERD,
}


def of_kubelet(text: str) -> str:
    """The runtime in a kubelet's configuration; empty if it has no known runtime."""
    found = re.search(r"^containerRuntimeEndpoint:\s*[\"']?\S*?([^/\s\"']+)[\"']?\s*$", text, re.MULTILINE)
    return _SOCKETS.get(found.group(1), "") if found else ""


def containerd_of(unit: str) -> str:
    """The program in a unit of containerd; empty if there is none."""
    found = re.search(r"^ExecStart=(/\S+/containerd)(?=\s)", unit, re.MULTILINE)
    return found.group(1) if found else ""


def config_version(text: str) -> int:
    """The version of a configuration of containerd; 0 if it has none, which every containerd reads."""
    found = re.search(r"^version\s*=\s*(\d+)\s*(?:#.*)?$", f"\n{text}".partition("\n[")[0], re.MULTILINE)
    return int(found.group(1)) if found else 0


def bridge_of(conflist: str) -> str:
    """The bridge in a CNI configuration; empty if there is none."""
    try:
        plugins = json.loads(conflist or "{}").get("plugins", [])
        return next((str(one.get("bridge", "")) for one in plugins if one.get("type") == "bridge"), "")
    except (ValueError, AttributeError):
        return ""


def pod_bridge(runtime: str, conflist: str) -> str:
    """The bridge of a node's pods; empty if it is unknown."""
    return _places.DOCKER_BRIDGE if runtime == DOCKER else bridge_of(conflist) if runtime == CONTAINERD else ""
