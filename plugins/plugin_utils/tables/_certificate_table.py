# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Every certificate of every host with its days left, from kube_checkstatus: as JSON and as a table."""

from __future__ import annotations

import typing as t

from ansible_collections.plainkube.cluster.plugins.plugin_utils.hosts import _answers
from ansible_collections.plainkube.cluster.plugins.plugin_utils.tables import _status_table


def document(
    cluster: str, results: t.Mapping[str, t.Mapping[str, t.Any]], rotation: t.Mapping[str, t.Any]
) -> dict[str, t.Any]:
    """The whole document. The hosts are in the order of the inventory."""
    hosts = {}
    for host, result in results.items():
        problem = _status_table.reason(result)
        certificates = [] if problem else [dict(one) for one in result.get("certificates") or []]
        hosts[host] = {"problem": problem, "certificates": certificates}
    kept = ("phases", "sentences", "tokens_until")
    known = {key: rotation[key] for key in kept if key in rotation}
    # It concerns the directory on the control node, and fails if that does not exist.
    problem = _answers.reason(rotation) if rotation.get("failed") else ""
    return {"cluster": cluster, "hosts": hosts, "rotation": known, "problem": problem}


def days(one: t.Mapping[str, t.Any]) -> str:
    if one["error"]:
        return "-"
    return "EXPIRED" if one["days_left"] < 0 else str(one["days_left"])


def rows(hosts: t.Mapping[str, t.Any]) -> list[t.Sequence[str]]:
    found: list[t.Sequence[str]] = [("HOST", "DAYS LEFT", "UNTIL", "CERTIFICATE", "FOR", "ISSUED BY")]
    for name, host in hosts.items():
        first = name
        if host["problem"]:
            found.append((name, "-", "", host["problem"], "", ""))
        for one in sorted(host["certificates"], key=lambda one: (one["days_left"], one["path"])):
            who = (one["error"] or one["subject"], "itself" if one["subject"] == one["issuer"] else one["issuer"])
            found.append((first, days(one), one["not_after"][:10], one["path"], *who))
            first = ""
    return found


def verdict(found: t.Mapping[str, t.Any]) -> str:
    """The summary, one sentence."""
    known = [one for host in found["hosts"].values() for one in host["certificates"] if not one["error"]]
    if not known:
        return f"{found['cluster']}: no certificate was found"
    least = min(one["days_left"] for one in known)
    where = f"{len(known)} certificates on {len(found['hosts'])} hosts"
    if least < 0:
        return f"{found['cluster']}: {sum(one['days_left'] < 0 for one in known)} of {where} have expired"
    return f"{found['cluster']}: {where}, the first to expire in {least} days"


def page(found: t.Mapping[str, t.Any]) -> list[str]:
    """The lines for a human reader."""
    until = found["rotation"].get("tokens_until")
    more = [
        *([found["problem"]] if found["problem"] else []),
        *found["rotation"].get("sentences", {}).values(),
        *([f"service-account: until {until}"] if until else []),
    ]
    return [
        "",
        *_status_table.align(rows(found["hosts"])),
        "",
        verdict(found),
        *(f"  {_answers.line(one)}" for one in more),
    ]
