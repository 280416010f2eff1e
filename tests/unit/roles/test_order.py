# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Files and output are in the same order in each run.

Ansible's set filters (ansible/plugins/filter/mathstuff.py) return a list in the order of a Python set, which differs from process to process.
So a keepalived.conf with two peers sometimes changed in a second run. `select('in', …)` and `reject('in', …)` keep the order.
"""

from __future__ import annotations

import pathlib
import re

import pytest
import yaml

TOP = pathlib.Path(__file__).parents[3]
FILES = sorted(
    str(path.relative_to(TOP))
    for top in ("roles", "playbooks")
    for path in (TOP / top).rglob("*")
    if path.suffix in (".yml", ".j2")
)
UNORDERED = re.compile(r"\|\s*(?:ansible\.builtin\.)?(?:difference|intersect|union|symmetric_difference)\b")
PLAYBOOKS = [path for path in FILES if path.startswith("playbooks/")]


@pytest.mark.parametrize("path", FILES)
def test_no_set_filter_loses_the_order(path):
    assert UNORDERED.findall((TOP / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", PLAYBOOKS)
def test_plays_take_hosts_in_the_inventorys_order(path):
    """Groups that group_by makes are in the order in which hosts answered."""
    for play in yaml.safe_load((TOP / path).read_text(encoding="utf-8")):
        assert not str(play.get("hosts", "all")).startswith("plainkube_"), play["name"]


def test_there_is_something_to_look_at():
    assert len(FILES) > 100
    assert UNORDERED.search("{{ one |difference(other) }}")
