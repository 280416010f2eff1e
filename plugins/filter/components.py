# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: components
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: What a role needs to know of the components on a host
description:
  - Takes from the catalogue of components, which is a variable of role cluster, what a module needs. Entries are evaluated on access, so the entries of
    components that the host does not have cost next to nothing.
options:
  _input:
    description: The catalogue, a mapping of names to components.
    type: dict
    required: true
  subject:
    description:
      - V(checks) is a list for O(plainkube.cluster.kube_checkstatus#module:components).
      - V(rules) is a list for O(plainkube.cluster.firewall#module:accept).
      - V(footprints) is a list for O(plainkube.cluster.host_facts#module:components).
      - V(ports) is a mapping of the names of all components, of this host or not, to their TCP ports.
    type: str
    choices: [checks, rules, footprints, ports]
    required: true
"""

EXAMPLES = r"""
components: "{{ __cluster_catalogue | plainkube.cluster.components('checks') }}"
"""

RETURN = r"""
_value:
  description: The requested data.
  type: raw
"""

import typing as t

_CHECKS = ("health_url", "health_ca", "version", "version_command", "grace", "stamped", "kernel")

Component = t.Mapping[str, t.Any]


def _check(name: str, one: Component) -> list[dict[str, t.Any]]:
    ports = [*one.get("ports", {}).values()]
    return [{"name": name, **({"ports": ports} if ports else {}), **{key: one[key] for key in _CHECKS if key in one}}]


def _rules(name: str, one: Component) -> list[dict[str, t.Any]]:
    """The rules with port numbers. Rules for ports that the component does not have are omitted."""
    known = {**one.get("ports", {}), **one.get("udp_ports", {})}
    wanted = [dict(rule) for rule in one.get("accepts", [])]
    return [
        {**rule, **({"ports": [known[port] for port in rule["ports"]]} if "ports" in rule else {})}
        for rule in wanted
        if all(port in known for port in rule.get("ports", []))
    ]


def _footprint(name: str, one: Component) -> list[dict[str, t.Any]]:
    """What the component occupies on the host. Docker has the distribution's unit."""
    ports = {key: [*one.get(key, {}).values()] for key in ("ports", "udp_ports")}
    return [{"name": name, **ports, "directories": [*one.get("directories", [])], "own_unit": "stamped" not in one}]


SUBJECTS: dict[str, t.Callable[[str, Component], list[t.Any]]] = {
    "checks": _check,
    "rules": _rules,
    "footprints": _footprint,
}


def components(catalogue: t.Mapping[str, Component], subject: str) -> t.Any:
    if subject == "ports":
        return {name: [*one.get("ports", {}).values()] for name, one in catalogue.items()}
    return [part for name, one in catalogue.items() if one["wanted"] for part in SUBJECTS[subject](name, one)]


class FilterModule:
    def filters(self):
        return {"components": components}
