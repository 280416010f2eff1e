# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: networks_trouble
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: What is wrong with a set of networks
description:
  - One sentence on the first network that is no IPv4 network in CIDR notation, has host bits set, or overlaps another.
  - Empty where all are well.
options:
  _input:
    description: Variable name to network.
    type: dict
    required: true
"""

EXAMPLES = r"""
trouble: "{{ {'cluster_pod_network': '10.96.0.0/12', 'cluster_service_network': '10.96.0.0/16'}
  | plainkube.cluster.networks_trouble }}"
"""

RETURN = r"""
_value:
  description: A sentence, or an empty string.
  type: str
"""

import ipaddress
import itertools


def _trouble(name: str, value: str) -> str:
    try:
        ipaddress.IPv4Network(value)
    except ValueError:
        pass
    else:
        return (
            ""
            if "/" in str(value)
            else f"{name} is {value!r}; write it as a network in CIDR notation, like 10.244.0.0/16."
        )
    try:
        network = ipaddress.IPv4Network(value, strict=False)
    except ValueError:
        return f"{name} is {value!r}, which is no IPv4 network in CIDR notation, like 10.244.0.0/16."
    return f"{name} is {value!r}, which has host bits set; the network is {network}."


def networks_trouble(networks: dict[str, str]) -> str:
    for name, value in networks.items():
        trouble = _trouble(name, value)
        if trouble:
            return trouble
    for (name, value), (other_name, other) in itertools.combinations(networks.items(), 2):
        if ipaddress.IPv4Network(value).overlaps(ipaddress.IPv4Network(other)):
            return f"{name} ({value}) overlaps {other_name} ({other}): choose networks that share no address."
    return ""


class FilterModule:
    def filters(self):
        return {"networks_trouble": networks_trouble}
