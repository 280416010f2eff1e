# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import importlib.machinery
import importlib.util
import json

import pytest

from lab.base import FILES


@pytest.fixture
def wrapper(monkeypatch):
    """The wrapper as a module that records what it would execute."""
    loader = importlib.machinery.SourceFileLoader("runc_bounded", str(FILES / "runc-bounded"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("runc_bounded", loader))
    loader.exec_module(module)
    module.became = []
    monkeypatch.setattr(module.os, "execvp", lambda path, arguments: module.became.append(arguments))
    return module


PROCESS = {
    "oomScoreAdj": -998,
    "capabilities": {
        "bounding": ["CAP_SYS_ADMIN", "CAP_SYS_RESOURCE"],
        "effective": ["CAP_SYS_RESOURCE"],
        "ambient": None,
    },
}
BOUND = {"oomScoreAdj": 0, "capabilities": {"bounding": ["CAP_SYS_ADMIN"], "effective": [], "ambient": []}}


@pytest.mark.parametrize("bundle", [["--bundle", "{}"], ["--bundle={}"], ["-b", "{}"]])
def test_create_bounds_the_bundle(wrapper, tmp_path, bundle):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"ociVersion": "1", "process": PROCESS}))
    arguments = ["--root", "/run/x", "create", *(part.format(tmp_path) for part in bundle), "id"]
    wrapper.main(arguments)
    assert json.loads(config.read_text()) == {"ociVersion": "1", "process": BOUND}
    assert wrapper.became == [[wrapper.REAL, *arguments]]


def test_exec_bounds_the_process(wrapper, tmp_path):
    process = tmp_path / "p.json"
    process.write_text(json.dumps(PROCESS))
    wrapper.main(["exec", "--process", str(process), "id"])
    assert json.loads(process.read_text()) == BOUND


def test_a_positive_score_and_other_commands_pass(wrapper, tmp_path):
    process = tmp_path / "p.json"
    process.write_text(json.dumps({"oomScoreAdj": 5}))
    wrapper.main(["exec", "-p", str(process), "id"])
    wrapper.main(["state", "id"])
    assert json.loads(process.read_text()) == {"oomScoreAdj": 5}
    assert wrapper.became[-1] == [wrapper.REAL, "state", "id"]
