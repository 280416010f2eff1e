# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: nth_address
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: The nth address of a network
description:
  - Counts from the network address, so 1 is the first usable address.
  - In a network with host bits set, these are ignored; role preflight refuses such input.
options:
  _input:
    description: The network in CIDR notation.
    type: str
    required: true
  n:
    description: Index of the address.
    type: int
    required: true
"""

EXAMPLES = r"""
dns: "{{ '10.96.0.0/16' | plainkube.cluster.nth_address(10) }}"
# -> 10.96.0.10
"""

RETURN = r"""
_value:
  description: The address.
  type: str
"""

import ipaddress

from ansible.errors import AnsibleFilterError


def nth_address(network: str, n: int) -> str:
    try:
        return str(ipaddress.ip_network(network, strict=False)[n])
    except (ValueError, IndexError) as error:
        raise AnsibleFilterError(f"nth_address: {network!r} has no address number {n}: {error}") from error


class FilterModule:
    def filters(self):
        return {"nth_address": nth_address}
