# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Combines the results of kube_checkstatus for each host: one JSON document, and one page of tables."""

from __future__ import annotations

import typing as t

from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _answers, _facts
from ansible_collections.plainkube.cluster.plugins.plugin_utils.tables import _overlay_table

Row = t.Sequence[str]

# systemd's states of an inactive unit, in plain words.
_STATES = {"inactive": "stopped", "activating": "starting", "deactivating": "stopping"}


# The shape of kube_checkstatus' answer, as far as it is shown. A host may send anything; an answer that does not match is not a status.
_COMPONENT = {
    "name": str,
    "load": str,
    "active": str,
    "healthy": bool,
    "since": str,
    "seconds": int,
    "restarts": int,
    "version": str,
    "listening": [str],
    "health": {"ok": _answers.Optional(bool)},
}
_CERTIFICATE = {"path": str, "subject": str, "issuer": str, "not_after": str, "days_left": int, "error": str}
_MEMBER = {
    "id": str,
    "name": str,
    "leader": bool,
    "learner": bool,
    "version": str,
    "db_size": int,
    "db_size_in_use": int,
}
_ARTIFACT = dict.fromkeys(("component", "version", "name", "sha256", "source", "source_sha256", "verified_by"), str)
_NODE = {"name": str, "ready": bool, "schedulable": bool, "version": str, "runtime": str, "error": str}
_NETWORK = {"address": str, "subnet": str, "mac": str, "paths": _answers.Each(str), "silent": [str]}
_DEPLOYMENT = {"name": str, "wanted": int, "available": int, "error": str}
STATUS = {
    "healthy": bool,
    "problems": [str],
    "components": _answers.Optional([_COMPONENT]),
    "certificates": _answers.Optional([_CERTIFICATE]),
    "artifacts": _answers.Optional([_ARTIFACT]),
    "etcd": _answers.Optional({"members": [_MEMBER], "leases": _answers.Optional([_facts.LEASE])}),
    "network": _answers.Optional(_NETWORK),
    "node": _answers.Optional(_NODE),
    "deployments": _answers.Optional([_DEPLOYMENT]),
    "waited": _answers.Optional(int),
}


def reason(result: t.Mapping[str, t.Any]) -> str:
    """Why a host has no status, as text after its name; empty if it has one."""
    if "healthy" not in result or result.get("lost"):
        return _answers.problem(result)
    where = _answers.mismatch(result, STATUS)
    return f"could not be checked: its answer has no valid {where.lstrip('.')}" if where else ""


def document(
    cluster: str, results: t.Mapping[str, t.Mapping[str, t.Any]], problems: t.Sequence[str] = ()
) -> dict[str, t.Any]:
    """The whole status. The hosts are in the order of the inventory; `problems` are those of the control node."""
    return compared(cluster, results, problems, 0)[0]


def compared(
    cluster: str, results: t.Mapping[str, t.Mapping[str, t.Any]], problems: t.Sequence[str], wait: int
) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """The whole status; and, if it is worth it, for how many of the `wait` seconds the hosts may still wait for flannel, and for which leases."""
    hosts: dict[str, dict[str, t.Any]] = {}
    waited = [0]
    for host, result in results.items():
        problem = reason(result)
        seen = {} if problem else result
        hosts[host] = {
            "checked": not problem,
            "healthy": bool(seen.get("healthy", False)),
            "problems": [f"{host} {problem}"] if problem else list(seen["problems"]),
            "components": list(seen.get("components") or []),
            "certificates": list(seen.get("certificates") or []),
            "artifacts": list(seen.get("artifacts") or []),
            "etcd": seen.get("etcd"),
            "node": seen.get("node"),
            "network": seen.get("network"),
            "deployments": list(seen.get("deployments") or []),
        }
        waited.append(seen.get("waited") or 0)
    found, missed = _overlay_table.problems(hosts)
    for host, more in found.items():
        hosts[host]["problems"] += more
        hosts[host]["healthy"] = False
    healthy = not problems and all(host["healthy"] for host in hosts.values())
    left = max(0, wait - max(waited))
    again = {"wait": left, "leases": [lease._asdict() for lease in missed]} if left and missed else {}
    return {"cluster": cluster, "healthy": healthy, "problems": list(problems), "hosts": hosts}, again


def age(seconds: int) -> str:
    """A duration in the largest suitable unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def state(component: t.Mapping[str, t.Any]) -> str:
    """The state of a component in one word."""
    if component["load"] != "loaded":
        return "absent"
    if component["active"] != "active":
        return _STATES.get(component["active"], component["active"])
    if not component["healthy"]:
        return "FAULTY"
    return "starting" if component["health"] and not component["health"].get("ok") else "ok"


def megabytes(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def align(rows: t.Sequence[Row]) -> list[str]:
    """Rows of cells as aligned lines."""
    rows = [[_answers.line(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def component_rows(hosts: t.Mapping[str, t.Any]) -> list[Row]:
    rows: list[Row] = [("HOST", "COMPONENT", "STATE", "SINCE", "RESTARTS", "VERSION", "LISTENS ON")]
    for name, host in hosts.items():
        first = name
        if not host["checked"]:
            rows.append((name, "-", "UNKNOWN", "", "", "", ""))
        for one in host["components"]:
            up = age(one["seconds"]) if one["since"] else ""
            cells = (one["name"], state(one), up, str(one["restarts"]), one["version"] or "-")
            rows.append((first, *cells, " ".join(one["listening"])))
            first = ""
    return rows


def certificate_rows(hosts: t.Mapping[str, t.Any]) -> list[Row]:
    rows: list[Row] = [("HOST", "CERTIFICATES", "FIRST TO EXPIRE", "DAYS LEFT")]
    for name, host in hosts.items():
        if host["certificates"]:
            first = min(host["certificates"], key=lambda one: (one["days_left"], one["path"]))
            rows.append((name, str(len(host["certificates"])), first["path"], str(first["days_left"])))
    return rows


def node_rows(hosts: t.Mapping[str, t.Any]) -> list[Row]:
    rows: list[Row] = [("NODE", "STATE", "VERSION", "RUNTIME")]
    for node in (host["node"] for host in hosts.values() if host["node"]):
        word = "UNKNOWN" if node["error"] else "Ready" if node["ready"] else "NOT READY"
        shown = word if node["schedulable"] else f"{word}, cordoned"
        rows.append((node["name"], shown, node["version"] or "-", node["runtime"] or "-"))
    return rows


def etcd_rows(hosts: t.Mapping[str, t.Any]) -> list[Row]:
    """Each member was checked on its own host, and knows the names of the others."""
    members: dict[str, t.Mapping[str, t.Any]] = {}
    for etcd in (host["etcd"] for host in hosts.values() if host["etcd"]):
        for member in etcd["members"]:
            if member["version"] or member["id"] not in members:
                members[member["id"]] = member
    rows: list[Row] = [("ETCD MEMBER", "ROLE", "VERSION", "DATABASE", "IN USE")]
    for member in sorted(members.values(), key=lambda one: one["name"]):
        role = "leader" if member["leader"] else "learner" if member["learner"] else "follower"
        size = (megabytes(member[key]) if member["version"] else "-" for key in ("db_size", "db_size_in_use"))
        rows.append((member["name"] or member["id"], role, member["version"] or "-", *size))
    return rows


def deployment_rows(hosts: t.Mapping[str, t.Any]) -> list[Row]:
    """All control planes report the same Deployments."""
    found = {one["name"]: one for host in hosts.values() for one in host["deployments"]}
    rows: list[Row] = [("DEPLOYMENT", "AVAILABLE")]
    for name, one in found.items():
        rows.append((name, "UNKNOWN" if one["error"] else f"{one['available']} of {one['wanted']}"))
    return rows


def problem_lines(hosts: t.Mapping[str, t.Any]) -> list[str]:
    return [
        f"  {name}: {problem}" if host["checked"] else f"  {problem}"
        for name, host in hosts.items()
        for problem in map(_answers.line, host["problems"])
    ]


def verdict(found: t.Mapping[str, t.Any]) -> str:
    """The summary, one sentence."""
    hosts = found["hosts"]
    ill = [name for name, host in hosts.items() if not host["healthy"]]
    if not hosts:
        return f"{found['cluster']}: no host of the cluster was checked"
    if not ill and not found["problems"]:
        return f"{found['cluster']}: all is well on {len(hosts)} host{'s' if len(hosts) > 1 else ''}"
    count = sum(len(hosts[name]["problems"]) for name in ill) + len(found["problems"])
    where = [*ill, *(["the control node"] if found["problems"] else [])]
    return f"{found['cluster']}: {count} problem{'s' if count > 1 else ''} on {', '.join(where)}"


def page(found: t.Mapping[str, t.Any]) -> list[str]:
    """The lines for a human reader; the problems and the summary come last, where the reader looks."""
    hosts = found["hosts"]
    lines: list[str] = []
    tables = (component_rows, certificate_rows, node_rows, etcd_rows, deployment_rows)
    for rows in (table(hosts) for table in tables):
        if len(rows) > 1:
            lines += ["", *align(rows)]
    return [*lines, "", verdict(found), *problem_lines(hosts), *(f"  {problem}" for problem in found["problems"])]
