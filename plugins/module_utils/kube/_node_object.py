# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The desired labels and taints of an existing Node: ours follow the inventory, and all others stay. No I/O."""

from __future__ import annotations

import json
import typing as t

# The Node's annotation with the labels and taints that the collection last set, so that it removes no others.
ANNOTATION = "plainkube.io/labels-and-taints"

Labels = dict[str, str]
Taint = dict[str, t.Any]


class Wanted(t.NamedTuple):
    """The labels and taints from the inventory."""

    labels: Labels
    taints: list[Taint]


def wanted(labels: t.Mapping[str, t.Any], taints: t.Iterable[t.Mapping[str, t.Any]]) -> Wanted:
    """The inventory's values in the format of the API."""
    cleaned = [{name: taint[name] for name in ("key", "value", "effect") if taint.get(name)} for taint in taints]
    return Wanted({str(key): str(value) for key, value in labels.items()}, cleaned)


def _identity(taint: Taint) -> tuple[str, str]:
    return taint["key"], taint["effect"]


def _same(one: Taint, other: Taint) -> bool:
    return _identity(one) == _identity(other) and (one.get("value") or "") == (other.get("value") or "")


def remembered(node: t.Mapping[str, t.Any]) -> Wanted:
    """What the collection last set; nothing if the annotation is missing or invalid."""
    text = (node["metadata"].get("annotations") or {}).get(ANNOTATION, "")
    try:
        found = json.loads(text)
        return wanted(found["labels"], found["taints"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return Wanted({}, [])


def memory(aim: Wanted) -> str | None:
    """The annotation; None if there is nothing to record."""
    if not aim.labels and not aim.taints:
        return None
    return json.dumps(aim._asdict(), sort_keys=True, separators=(",", ":"))


def labels_after(found: Labels, old: Wanted, aim: Wanted) -> Labels:
    """The Node's desired labels, without our obsolete ones, unless their values were changed by other means."""
    kept = {
        key: value
        for key, value in found.items()
        if key in aim.labels or key not in old.labels or old.labels[key] != value
    }
    return {**kept, **aim.labels}


def taints_after(found: t.Sequence[Taint], old: Wanted, aim: Wanted) -> list[Taint]:
    """The same for taints, which are identified by key and effect. A taint that stays keeps its position and its other fields."""
    new = {_identity(taint): taint for taint in aim.taints}
    after = []
    for taint in found:
        if _identity(taint) in new:
            mine = new.pop(_identity(taint))
            after.append(taint if _same(taint, mine) else mine)
        elif not any(_same(taint, one) for one in old.taints):
            after.append(taint)
    return after + list(new.values())


class Change(t.NamedTuple):
    """A change from the current to the desired state."""

    patch: dict[str, t.Any] | None  # a JSON merge patch; None if nothing changes
    before: str
    after: str


def change(node: t.Mapping[str, t.Any], aim: Wanted) -> Change:
    """The necessary change of a Node."""
    metadata, old = node["metadata"], remembered(node)
    labels, taints = metadata.get("labels") or {}, (node.get("spec") or {}).get("taints") or []
    new_labels, new_taints = labels_after(labels, old, aim), taints_after(taints, old, aim)
    note, new_note = (metadata.get("annotations") or {}).get(ANNOTATION), memory(aim)
    before, after = (
        describe(old, aim, *state) for state in ((labels, taints, note), (new_labels, new_taints, new_note))
    )
    if (labels, taints, note) == (new_labels, new_taints, new_note):
        return Change(None, before, after)
    changed = {key: new_labels.get(key) for key in {**labels, **new_labels} if labels.get(key) != new_labels.get(key)}
    body: dict[str, t.Any] = {
        # The list of taints may be changed concurrently.
        "metadata": {
            "resourceVersion": metadata["resourceVersion"],
            "labels": changed,
            "annotations": {ANNOTATION: new_note},
        }
    }
    if taints != new_taints:
        body["spec"] = {"taints": new_taints}
    return Change(body, before, after)


def new(aim: Wanted) -> Change:
    """The same for a Node that has not registered yet, with its registration settings."""
    return Change({} if memory(aim) else None, "", describe(aim, aim, aim.labels, aim.taints, memory(aim)))


def describe(old: Wanted, aim: Wanted, labels: Labels, taints: t.Sequence[Taint], note: str | None) -> str:
    """Our part of a Node, as one side of a diff."""
    ours = {**old.labels, **aim.labels}
    lines = [f"label {key}={labels[key]}" for key in sorted(ours) if key in labels]
    identities = {_identity(taint) for taint in [*old.taints, *aim.taints]}
    for taint in taints:
        if _identity(taint) in identities:
            value = f"={taint['value']}" if taint.get("value") else ""
            lines.append(f"taint {taint['key']}{value}:{taint['effect']}")
    lines += [f"annotation {ANNOTATION}={note}"] if note else []
    return "".join(f"{line}\n" for line in lines)
