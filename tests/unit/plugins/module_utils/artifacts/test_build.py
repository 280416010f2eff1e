# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.artifacts import _build

GO_MOD = """\
// A comment.
module k8s.io/kubernetes

go 1.26.0

godebug default=go1.26

godebug (
\tpanicnil=1
)

require (
\tgithub.com/x/y v1.2.3 // indirect
\tk8s.io/api v0.0.0
\tk8s.io/klog/v2 v2.130.1
)

require k8s.io/apimachinery v0.0.0

replace (
\tk8s.io/api => ./staging/src/k8s.io/api
)
"""


@pytest.mark.parametrize(
    ("text", "version"),
    [("go version go1.26.8 linux/amd64", (1, 26)), ("go1.27rc1", (1, 27)), ("bash: go: not found", None), ("", None)],
)
def test_go_version(text, version):
    assert _build.go_version(text) == version


def test_parse_go_mod():
    found = _build.parse_go_mod(GO_MOD)
    assert found.go == "1.26.0"
    assert found.godebug == ["default=go1.26", "panicnil=1"]
    assert found.require == {
        "github.com/x/y": "v1.2.3",
        "k8s.io/api": "v0.0.0",
        "k8s.io/klog/v2": "v2.130.1",
        "k8s.io/apimachinery": "v0.0.0",
    }


def test_staging_modules_are_those_without_a_version():
    found = _build.staging(_build.parse_go_mod(GO_MOD), "v1.37.2")
    assert found == {"k8s.io/api": "v0.37.2", "k8s.io/apimachinery": "v0.37.2"}


def test_a_wrapper_has_the_language_version_and_settings_of_what_it_builds():
    text = _build.render_go_mod(
        _build.parse_go_mod(GO_MOD), {"k8s.io/kubernetes": "v1.37.2"}, {"k8s.io/api": "v0.37.2"}
    )
    assert text == (
        "module plainkube.invalid/build\n\ngo 1.26.0\n\ngodebug default=go1.26\ngodebug panicnil=1\n"
        "require k8s.io/kubernetes v1.37.2\nreplace k8s.io/api => k8s.io/api v0.37.2\n"
    )
    assert _build.parse_go_mod(text).require == {"k8s.io/kubernetes": "v1.37.2"}


def test_tools_do_not_depend_on_the_order_of_packages():
    assert _build.render_tools(["b", "a"]) == _build.render_tools(["a", "b"])
    assert '\t_ "a"\n\t_ "b"\n' in _build.render_tools(["b", "a"])


def test_the_builders_own_settings_do_not_count():
    found = _build.environment("arm64", False, "")
    assert found["CGO_ENABLED"] == "0"
    assert (found["GOOS"], found["GOARCH"], found["GOWORK"]) == ("linux", "arm64", "off")
    assert "CC" not in found
    assert _build.environment("amd64", True, "gcc")["CC"] == "gcc"


def test_linker_flags_have_the_time_of_the_version():
    flags = _build.linker_flags(["-X p.buildDate=@TIME@"], "2026-10-27T12:01:04Z")
    assert flags == "-s -w -X p.buildDate=2026-10-27T12:01:04Z"


def test_build_command():
    assert _build.build_command("go", "p", "/o", "-s -w", [], "") == [
        "go",
        "build",
        "-trimpath",
        "-ldflags=-s -w",
        "-o",
        "/o",
        "p",
    ]
    assert _build.build_command("go", ".", "/o", "-s", ["a", "b"], "/m")[-3:] == ["-tags=a,b", "-modfile=/m", "."]


@pytest.mark.parametrize(
    ("architecture", "machine", "command"),
    [
        ("amd64", "x86_64", "gcc"),
        ("arm64", "aarch64", "gcc"),
        ("amd64", "aarch64", "x86_64-linux-gnu-gcc"),
        ("arm64", "x86_64", "aarch64-linux-gnu-gcc"),
    ],
)
def test_compiler(architecture, machine, command):
    assert _build.compiler(architecture, machine)[0] == command
