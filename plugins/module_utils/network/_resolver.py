# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The host's name servers, which the kubelet gives to pods that resolve names as their host does, such as those of CoreDNS."""

from __future__ import annotations

import os
import re

from ansible_collections.plainkube.cluster.plugins.module_utils.host import _files
from ansible_collections.plainkube.cluster.plugins.module_utils.network import _addresses

OWN = "/etc/resolv.conf"
# systemd-resolved serves the host on loopback, and lists the real name servers here. The file stays when the service ends.
OF_RESOLVED = "/run/systemd/resolve/resolv.conf"


def name_servers(path: str) -> list[str]:
    """The name servers in a resolv.conf(5)."""
    return re.findall(r"^nameserver[ \t]+(\S+)", _files.read(path) or "", re.MULTILINE)


def on_loopback(servers: list[str]) -> bool:
    """Whether no pod can reach any of these servers."""
    return all(map(_addresses.is_loopback, servers))


def path() -> str:
    """The file with the name servers that pods can use."""
    return OF_RESOLVED if on_loopback(name_servers(OWN)) and os.path.exists(OF_RESOLVED) else OWN


def fault(kubelet_yaml: str) -> str:
    """Why pods do not have the host's name servers, for the text of the kubelet's configuration; empty if they have. Another file is the operator's."""
    found = re.search(r'^resolvConf: "?([^"\n]+)', kubelet_yaml, re.MULTILINE)
    used = found[1].strip() if found else OWN
    if used not in (OWN, OF_RESOLVED):
        return ""
    if used != path():
        return f"the kubelet reads the name servers for pods from {used}, and those of this host are in {path()}; run plainkube.cluster.site"
    servers = name_servers(used)
    if not on_loopback(servers):
        return ""
    what = f"only name servers on loopback ({', '.join(servers)})" if servers else "no name server"
    return f"{used} on this host has {what}, which pods cannot use: correct it, or set addons_dns_upstream"
