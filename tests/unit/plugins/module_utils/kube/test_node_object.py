# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.kube import _node_object

GPU = {"key": "gpu", "value": "a100", "effect": "NoSchedule"}
OTHER = {"key": "other", "effect": "NoExecute", "timeAdded": "2026-11-29T00:00:00Z"}


def node(labels=None, taints=None, remembered=None):
    annotations = {"somebody": "else"}
    if remembered:
        annotations[_node_object.ANNOTATION] = json.dumps({"labels": remembered[0], "taints": remembered[1]})
    return {
        "metadata": {"name": "n1", "resourceVersion": "7", "labels": labels or {}, "annotations": annotations},
        "spec": {"taints": taints} if taints else {},
    }


def merge(document, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def settle(found, labels, taints=()):
    """The Node after the patch; a second comparison finds no difference."""
    aim = _node_object.wanted(labels, taints)
    change = _node_object.change(found, aim)
    after = merge(found, change.patch or {})
    assert _node_object.change(after, aim).patch is None
    return after, change


@pytest.mark.parametrize(
    ("there", "remembered", "wanted", "after"),
    [
        ({}, {}, {"a": "1"}, {"a": "1"}),
        ({"a": "1"}, {}, {"a": "1"}, {"a": "1"}),  # as registered
        ({"a": "0", "hand": "x"}, {}, {"a": "1"}, {"a": "1", "hand": "x"}),
        ({"a": "1", "hand": "x"}, {"a": "1"}, {}, {"hand": "x"}),
        ({"a": "changed"}, {"a": "1"}, {}, {"a": "changed"}),  # an administrator's now
        ({"a": "changed"}, {"a": "1"}, {"a": "1"}, {"a": "1"}),
        ({}, {"a": "1"}, {"a": "1"}, {"a": "1"}),
        ({}, {"a": "1"}, {}, {}),
        ({"a": "1"}, {"a": "1"}, {"a": True}, {"a": "True"}),
    ],
)
def test_labels(there, remembered, wanted, after):
    found, dummy = settle(node(there, remembered=(remembered, []) if remembered else None), wanted)
    assert found["metadata"]["labels"] == after
    assert found["metadata"]["annotations"]["somebody"] == "else"
    assert (_node_object.ANNOTATION in found["metadata"]["annotations"]) is bool(wanted)


@pytest.mark.parametrize(
    ("there", "remembered", "wanted", "after"),
    [
        ([], [], [GPU], [GPU]),
        ([OTHER], [], [GPU], [OTHER, GPU]),
        ([GPU, OTHER], [GPU], [], [OTHER]),
        ([GPU, OTHER], [], [], [GPU, OTHER]),
        ([{**GPU, "value": "v100"}, OTHER], [GPU], [GPU], [GPU, OTHER]),
        ([{**GPU, "value": "v100"}], [GPU], [], [{**GPU, "value": "v100"}]),
        # Another effect is another taint.
        ([GPU], [GPU], [{**GPU, "effect": "NoExecute"}], [{**GPU, "effect": "NoExecute"}]),
        # What the API has added to it stays.
        ([OTHER], [], [{"key": "other", "effect": "NoExecute", "value": None}], [OTHER]),
    ],
)
def test_taints(there, remembered, wanted, after):
    found, dummy = settle(node({}, there, ({}, remembered) if remembered else None), {}, wanted)
    assert found["spec"].get("taints", []) == after


def test_nothing_to_do_is_no_patch():
    assert _node_object.change(node({"a": "1"}), _node_object.wanted({}, [])).patch is None


def test_the_patch_holds_for_the_node_that_was_seen():
    dummy, change = settle(node(), {"a": "1"})
    assert change.patch["metadata"]["resourceVersion"] == "7"
    assert "spec" not in change.patch


def test_the_diff_is_of_ours_alone():
    dummy, change = settle(node({"a": "1", "hand": "x"}, [GPU, OTHER], ({"a": "1"}, [GPU])), {"b": "2"})
    assert change.before.startswith("label a=1\ntaint gpu=a100:NoSchedule\nannotation ")
    assert change.after == 'label b=2\nannotation plainkube.io/labels-and-taints={"labels":{"b":"2"},"taints":[]}\n'


@pytest.mark.parametrize("text", ["", "null", "{", '{"labels": 5, "taints": []}', "[]", '{"labels": {}}'])
def test_an_annotation_that_somebody_has_spoilt_is_none(text):
    found = node({"a": "1"})
    found["metadata"]["annotations"][_node_object.ANNOTATION] = text
    assert _node_object.remembered(found) == ({}, [])
    after, dummy = settle(found, {})
    assert after["metadata"]["labels"] == {"a": "1"}
    assert _node_object.ANNOTATION not in after["metadata"]["annotations"]
