# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""In every role, meta/argument_specs.yml agrees with defaults/main.yml."""

from __future__ import annotations

import pathlib

import pytest
import yaml

ROLES = pathlib.Path(__file__).resolve().parents[3] / "roles"
NAMES = sorted(path.name for path in ROLES.iterdir() if path.is_dir())


def load(role, path):
    file = ROLES / role / path
    return (yaml.safe_load(file.read_text(encoding="utf-8")) or {}) if file.exists() else {}


def entry_points(role):
    return load(role, "meta/argument_specs.yml")["argument_specs"]


def options(role):
    return {name: option for spec in entry_points(role).values() for name, option in spec.get("options", {}).items()}


def is_computed(value):
    return isinstance(value, str) and "{{" in value


def test_roles_are_found():
    assert {"etcd", "flannel", "control_plane", "node"} <= set(NAMES)


@pytest.mark.parametrize("role", NAMES)
def test_every_default_is_described_with_its_value(role):
    described = options(role)
    for name, value in load(role, "defaults/main.yml").items():
        assert name in described, f"{name} of roles/{role}/defaults/main.yml is not in its argument spec: describe it."
        # One that is computed may be described by what comes out where nothing else is set, or in words.
        if not is_computed(value):
            assert described[name].get("default") == value, (
                f"{name}: the argument spec says {described[name].get('default')!r}"
            )


@pytest.mark.parametrize("role", NAMES)
def test_every_described_default_is_there(role):
    defaults = load(role, "defaults/main.yml")
    missing = [name for name, option in options(role).items() if "default" in option and name not in defaults]
    assert not missing, (
        f"{missing}: these have a default in the argument spec but not in roles/{role}/defaults/main.yml."
    )


@pytest.mark.parametrize("role", NAMES)
def test_a_default_that_is_not_described_as_a_value_is_described_in_words(role):
    described = options(role)
    for name in load(role, "defaults/main.yml"):
        words = (
            " ".join(described[name]["description"])
            if isinstance(described[name]["description"], list)
            else described[name]["description"]
        )
        assert "default" in described[name] or "default" in words, (
            f"{name}: say in its description what the default is."
        )


@pytest.mark.parametrize("role", NAMES)
def test_every_option_has_type_and_description(role):
    for name, option in options(role).items():
        assert option.get("type"), f"{name} has no type."
        assert option.get("description"), f"{name} has no description."
        assert (option["type"] == "list") == ("elements" in option), (
            f"{name}: a list, and only a list, says of what (elements)."
        )


@pytest.mark.parametrize("role", NAMES)
def test_every_entry_point_is_described_and_has_its_tasks(role):
    for name, spec in entry_points(role).items():
        assert spec.get("short_description"), f"entry point {name} has no short_description."
        assert spec.get("description"), f"entry point {name} has no description."
        # settings: the role cluster, which has variables and no tasks.
        assert name == "settings" or (ROLES / role / "tasks" / f"{name}.yml").exists()


@pytest.mark.parametrize("role", NAMES)
def test_an_option_is_described_once(role):
    """Entry points share options; where two describe one, they do so in the same words."""
    for name, option in options(role).items():
        for entry_point, spec in entry_points(role).items():
            other = spec.get("options", {}).get(name, option)
            assert (other["type"], other.get("default")) == (option["type"], option.get("default")), (
                f"{name} of entry point {entry_point}"
            )
