# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Go modules that build programs of other Go modules: their go.mod, parsed and written, and the go command's flags.

A program of a published module is built from our own module that requires it (a wrapper), because `go install` refuses
modules with replace directives, which Kubernetes and etcd have.
"""

from __future__ import annotations

import re
import typing as t

MODULE = "plainkube.invalid/build"
_GO_VERSION = re.compile(r"go(\d+)\.(\d+)")


class GoMod(t.NamedTuple):
    """The relevant parts of a go.mod file."""

    go: str
    godebug: list[str]
    require: dict[str, str]


def go_version(text: str) -> tuple[int, int] | None:
    """(1, 26) from `go version go1.26.8 linux/amd64` or `go1.26.8`; None without a version."""
    found = _GO_VERSION.search(text)
    return (int(found.group(1)), int(found.group(2))) if found else None


def _directives(text: str) -> t.Iterator[tuple[str, list[str]]]:
    """The directives of a go.mod, (keyword, words), blocks unrolled and comments dropped."""
    block = ""
    for raw in text.splitlines():
        words = raw.partition("//")[0].split()
        if not words:
            continue
        if words == [")"]:
            block = ""
        elif words[-1] == "(":
            block = words[0]
        elif block:
            yield block, words
        else:
            yield words[0], words[1:]


def parse_go_mod(text: str) -> GoMod:
    """Read the go.mod of a published module."""
    directives = list(_directives(text))
    versions = [words[0] for keyword, words in directives if keyword == "go"]
    godebug = [" ".join(words) for keyword, words in directives if keyword == "godebug"]
    require = {words[0]: words[1] for keyword, words in directives if keyword == "require"}
    return GoMod(versions[0] if versions else "1.26.0", godebug, require)


def staging(module: GoMod, version: str) -> dict[str, str]:
    """The modules in Kubernetes' own tree (required at v0.0.0), at their published version."""
    published = re.sub(r"^v1\.", "v0.", version)
    return {name: published for name, required in module.require.items() if required == "v0.0.0"}


def render_go_mod(module: GoMod, require: dict[str, str], replace: dict[str, str]) -> str:
    """A wrapper's go.mod, with the language version and GODEBUG settings of the module to build, so that it behaves the same."""
    lines = [f"module {MODULE}", "", f"go {module.go}", ""]
    lines += [f"godebug {setting}" for setting in module.godebug]
    lines += [f"require {name} {version}" for name, version in sorted(require.items())]
    lines += [f"replace {name} => {name} {version}" for name, version in sorted(replace.items())]
    return "\n".join(lines) + "\n"


def render_tools(packages: t.Sequence[str]) -> str:
    """A Go file that imports the packages to build, so that `go mod tidy` keeps what they need."""
    imports = "".join(f'\t_ "{package}"\n' for package in sorted(packages))
    return f"//go:build tools\n\npackage tools\n\nimport (\n{imports})\n"


def environment(architecture: str, cgo: bool, compiler: str) -> dict[str, str]:
    """The environment of the go command, which replaces all settings of the builder."""
    values = {
        "CGO_ENABLED": "1" if cgo else "0",
        "GOAMD64": "v1",
        "GOARCH": architecture,
        "GOARM64": "v8.0",
        "GOEXPERIMENT": "",
        "GOFLAGS": "-buildvcs=false",
        "GOOS": "linux",
        "GOWORK": "off",
        "LC_ALL": "C.UTF-8",
    }
    if cgo:
        values.update({"CC": compiler, "CGO_CFLAGS": "-O2 -g", "CGO_LDFLAGS": "-O2 -g"})
    return values


def linker_flags(flags: t.Sequence[str], time: str) -> str:
    """The -ldflags: no symbol tables, and the version stamps. @TIME@ is the time of the module's version."""
    return " ".join(["-s", "-w", *flags]).replace("@TIME@", time)


def build_command(go: str, package: str, output: str, flags: str, tags: t.Sequence[str], modfile: str) -> list[str]:
    """The command line that builds one program."""
    command = [go, "build", "-trimpath", f"-ldflags={flags}", "-o", output]
    command += [f"-tags={','.join(tags)}"] if tags else []
    command += [f"-modfile={modfile}"] if modfile else []
    return [*command, package]


def compiler(architecture: str, machine: str) -> tuple[str, str]:
    """The C compiler for an architecture, and its Debian packages: the machine's own gcc, or a cross compiler."""
    own = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    if architecture == own:
        return "gcc", "gcc and libc6-dev"
    return {
        "amd64": ("x86_64-linux-gnu-gcc", "gcc-x86-64-linux-gnu"),
        "arm64": ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    }[architecture]
