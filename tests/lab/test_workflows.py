# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The GitHub workflows cover every scenario and every ansible-core, and call only targets of the Makefile. `make lint` runs actionlint on them."""

from __future__ import annotations

import re

import pytest
import yaml

from lab import image, turns
from lab.base import CHECKOUT
from tests import matrix

WORKFLOWS = sorted((CHECKOUT / ".github/workflows").glob("*.yml"))
TARGETS = re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def load(name):
    return yaml.safe_load((CHECKOUT / f".github/workflows/{name}.yml").read_text(encoding="utf-8"))


def test_a_job_for_each_scenario():
    scenarios = load("pull-request")["jobs"]["molecule"]["strategy"]["matrix"]["scenario"]
    there = {path.parent.name for path in CHECKOUT.glob("molecule/*/molecule.yml")}
    assert scenarios == sorted(there - {*turns.APART})
    assert {*scenarios} <= {*turns.TURNS}


def test_a_job_for_the_virtual_machines_of_each_debian_and_runtime():
    found = load("nightly")["jobs"]["machines"]["strategy"]["matrix"]
    assert found == {"suite": ["trixie", "bookworm"], "runtime": ["docker", "containerd"]}


def test_a_job_for_each_ansible_core():
    assert load("pull-request")["jobs"]["sanity"]["strategy"]["matrix"]["core"] == [*matrix.CORES]


def test_a_job_for_each_ubuntu():
    matrix_ = load("pull-request")["jobs"]["ubuntu"]["strategy"]["matrix"]
    assert matrix_["suite"] == [*image.UBUNTU]
    assert {*matrix_["scenario"]} <= {path.parent.name for path in CHECKOUT.glob("molecule/*/molecule.yml")}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_makefile_has_what_is_called(path):
    text = path.read_text(encoding="utf-8")
    called = re.findall(r"\bmake ((?:[a-z-]+\b ?)+)", text) + re.findall(r"\btarget: ([a-z-]+)", text)
    names = {name for some in called for name in some.split()}
    assert names
    assert names <= {*TARGETS}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_more_rights_than_it_needs(path):
    rights = yaml.safe_load(path.read_text(encoding="utf-8"))["permissions"]
    assert rights == {"contents": "write" if path.stem == "release" else "read"}
