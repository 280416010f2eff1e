# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""What the kernel and Debian say about a host, parsed."""

from __future__ import annotations

import re

# uname -m -> the name that Go, Kubernetes and Debian use.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

# linux/capability.h
CAP_SYS_RESOURCE = 24


def parse_os_release(text: str) -> dict[str, str]:
    """os-release(5): keys and unquoted values."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key: value.strip().strip("\"'") for key, dummy, value in pairs}


def parse_memory_mb(text: str) -> int:
    """MiB of memory from /proc/meminfo."""
    found = re.search(r"^MemTotal:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) // 1024 if found else 0


def has_capability(status: str, capability: int) -> bool:
    """Whether a capability is in the bounding set that /proc/PID/status shows."""
    found = re.search(r"^CapBnd:\s+([0-9a-f]+)$", status, re.MULTILINE)
    return bool(int(found.group(1), 16) >> capability & 1) if found else True


def parse_version(text: str) -> tuple[int, ...]:
    """The first dotted number in a text: '6.1.0-28-amd64' and 'nftables v1.0.6 (…)' are (6, 1, 0) and (1, 0, 6)."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in found.group(0).split(".")) if found else ()


def nftables_usable(kernel: str, nft: str) -> bool:
    """Whether kube-proxy can use its nftables mode: kernel 5.13 and nft 1.0.1 (kubernetes.io, virtual IPs).

    Without an nft on the host yet, the kernel decides: Debian 12 and later bring a new enough one.
    """
    return parse_version(kernel) >= (5, 13) and (not nft or parse_version(nft) >= (1, 0, 1))


def swaps(text: str) -> bool:
    """Whether /proc/swaps lists anything besides its heading; zram is memory and does not count."""
    return any(line and not line.startswith("/dev/zram") for line in text.splitlines()[1:])
