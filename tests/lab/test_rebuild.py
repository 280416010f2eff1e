# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Two builds are compared byte by byte."""

from __future__ import annotations

import pytest
import yaml

from lab import base, machine, rebuild


@pytest.fixture
def build(monkeypatch):
    """A function that sets the files that each of two builds writes."""
    monkeypatch.setattr(machine, "install", lambda *packages: None)
    monkeypatch.setattr(rebuild, "_go", lambda name: f"/{name}")
    seen = []

    def set_up(*contents):
        made = iter(contents)

        def playbook(name, dummy, variables, environment):
            seen.append(environment)
            directory = rebuild.pathlib.Path(rebuild.json.loads(variables)["build_directory"])
            for path, content in next(made).items():
                (directory / path).parent.mkdir(parents=True, exist_ok=True)
                (directory / path).write_bytes(content)

        monkeypatch.setattr(rebuild, "playbook", playbook)
        return seen

    return set_up


def test_equal_builds(build, capsys):
    seen = build({"a/kubelet": b"1", "b": b"2"}, {"a/kubelet": b"1", "b": b"2"})
    rebuild.main(every=False)
    assert "2 files are the same in both builds" in capsys.readouterr().err
    first, second = seen
    assert {name for name in first if first[name] == second[name]} == {"GOPROXY"}


@pytest.mark.parametrize(
    ("second", "differs"),
    [({"a": b"1", "b": b"3"}, "b"), ({"a": b"1"}, "b"), ({"a": b"1", "b": b"2", "c": b""}, "c"), ({}, "a, b")],
)
def test_builds_that_differ(build, second, differs):
    build({"a": b"1", "b": b"2"}, second)
    with pytest.raises(base.LabError, match=f"^the two builds differ: {differs}\\.$"):
        rebuild.main(every=False)


def test_nothing_built_is_no_success(build):
    build({}, {})
    with pytest.raises(base.LabError, match="nothing was built"):
        rebuild.main(every=True)


def test_what_is_small_is_among_what_is_built():
    recipes = yaml.safe_load((base.CHECKOUT / "roles/build/vars/main.yml").read_text())["__build_recipes"]
    assert rebuild.selection(["pause"]).count("pause") == 1
    assert recipes.keys() >= {*rebuild.SMALL}
