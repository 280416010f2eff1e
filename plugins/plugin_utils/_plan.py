# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
# Private to this collection; not a public interface.
"""Formats the results of this collection's modules: what would change (or has changed) on a host."""

from __future__ import annotations

import typing as t

from ansible_collections.plainkube.cluster.plugins.plugin_utils import _status_table

Result = t.Mapping[str, t.Any]

_VERBS = ("install", "issue", "join", "drain", "write", "apply", "start", "restart", "remove")
# How the reasons begin for which a service that does not run is started.
_DOWN = ("it is not installed", "it is not running", "Docker Engine is not installed")


def restarts(result: Result) -> dict[str, list[str]]:
    """Service -> why it is started again, of a result of component or docker_rebridge."""
    components = result.get("components")
    if isinstance(components, dict):
        started = {name: one for name, one in components.items() if isinstance(one, dict) and one.get("restart")}
        return {name: _reasons(one) for name, one in started.items()}
    return {"docker": _reasons(result)} if result.get("restart") else {}


def _reasons(one: Result) -> list[str]:
    reasons = one.get("reasons")
    return (
        [str(reason) for reason in reasons] if reasons and isinstance(reasons, list) else ["the host does not say why"]
    )


def written(result: Result) -> list[str]:
    """What the diff of a result is about: paths of files, keys of etcd."""
    diff = result.get("diff") or []
    entries = diff if isinstance(diff, list) else [diff]
    headers = [str(entry.get("after_header") or "") for entry in entries if isinstance(entry, dict)]
    return [header for header in headers if header.startswith("/") and header != "/dev/null"]


def removed(result: Result) -> list[str]:
    """The services that a result of component removes."""
    components = result.get("components")
    found = components.items() if isinstance(components, dict) else ()
    return [name for name, one in found if isinstance(one, dict) and one.get("removed")]


def issued(result: Result, host: str) -> dict[str, str]:
    """Name of a certificate -> why it is issued, of a result of certificate_sign."""
    return dict(((result.get("hosts") or {}).get(host) or {}).get("reasons") or {})


def drained(result: Result) -> list[str]:
    """What happens to the pods, from a result of node_drain."""
    if "cordoned" not in result:
        return []
    pods = result.get("pods") or []
    return [f"{', '.join(pods) or 'no pods'} evicted, and the node takes pods again at the end"]


def lines(result: Result, host: str) -> list[tuple[str, str]]:
    """(verb, what) of all that a result changes on a host. One of certificate_sign is about several hosts, and may be
    unchanged for this one."""
    if not result.get("changed"):
        return []
    found = [("install", str(change)) for change in result.get("changes") or []]
    found += [("apply", str(what)) for what in result.get("differences") or []]
    found += [("issue", f"{name}: {why}") for name, why in issued(result, host).items()]
    found += [("join", str(what)) for what in result.get("join") or []]
    found += [("drain", what) for what in drained(result)]
    if "hosts" not in result:
        found += [("write", path) for path in written(result)]
    found += [("remove", str(what)) for what in result.get("removed") or []]
    found += [("apply", str(name)) for name in (result.get("objects") or []) + (result.get("tables") or [])]
    for name, reasons in restarts(result).items():
        verb = "start" if reasons[0].startswith(_DOWN) else "restart"
        found.append((verb, f"{name}: {'; '.join(reasons)}"))
    return found + [("remove", f"{name} with its unit and files") for name in removed(result)]


def packages(result: Result) -> list[tuple[str, str]]:
    """The packages that role artifacts installs by another task than its own."""
    missing = result.get("missing_packages") or []
    return [("install", f"packages {', '.join(missing)}")] if missing else []


def page(plans: t.Mapping[str, t.Sequence[tuple[str, str]]]) -> list[str]:
    """The plan of all hosts; no lines where nothing would change."""
    rows: list[t.Sequence[str]] = []
    for host, plan in plans.items():
        before = ("", "")
        for verb, what in sorted(plan, key=lambda line: _VERBS.index(line[0])):
            first = (host if before[0] != host else "", verb if before != (host, verb) else "")
            rows.append((*first, what))
            before = (host, verb)
    return _status_table.align([("HOST", "WOULD", ""), *rows]) if rows else []


def verdict(cluster: str, plans: t.Mapping[str, t.Sequence[tuple[str, str]]], lost: t.Collection[str] = ()) -> str:
    """The plan in a sentence. Of hosts that were lost on the way, nobody knows all that would change."""
    more = f"; what would change on {', '.join(lost)} is not known" if lost else ""
    verbs = [verb for plan in plans.values() for verb, dummy in plan]
    touched = [host for host, plan in plans.items() if plan]
    if not touched:
        return f"{cluster}: nothing would change on {len(plans) - len(lost)} hosts{more}"
    services = f"start {verbs.count('start')} and restart {verbs.count('restart')} services"
    return f"{cluster}: would change {len(touched)} of {len(plans)} hosts, {services}{more}"
