# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import dataclasses

import pytest

from lab import kube_bench, programs
from lab.base import LabError


def test_what_was_built_is_used_and_what_is_something_else_is_built_again(monkeypatch, tmp_path):
    built = []

    def build(program, directory):
        built.append(program.name)
        (directory / "cfg").mkdir(parents=True, exist_ok=True)
        (directory / program.name).write_text("program", encoding="utf-8")
        (directory / "cfg" / "node.yaml").write_text("checks", encoding="utf-8")
        (directory / "SHA256SUMS").write_text(programs.sums(directory), encoding="utf-8")

    monkeypatch.setattr(programs, "build", build)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    directory = programs.ensure(kube_bench.PROGRAM)
    programs.ensure(kube_bench.PROGRAM)
    assert built == ["kube-bench"]
    (directory / "cfg" / "node.yaml").write_text("easier checks", encoding="utf-8")
    programs.ensure(kube_bench.PROGRAM)
    assert built == ["kube-bench"] * 2


def test_another_module_of_that_name_is_not_built(monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "run", lambda *command, **options: '{"Sum": "h1:other=", "Dir": "/nowhere"}')
    program = dataclasses.replace(programs.CRICTL, module_sum="h1:published=")
    with pytest.raises(LabError, match="has the sum h1:other=, not h1:published=: it is not what was published"):
        programs.build(program, tmp_path / program.version)
