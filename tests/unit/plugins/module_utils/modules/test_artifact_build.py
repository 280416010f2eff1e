# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import hashlib
import io
import json
import pathlib
import tarfile

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.modules import artifact_build

URL = "https://dl.k8s.io/v1.37.2/bin/linux/amd64/kubelet"
# Stands in for the go command: keeps a log, and "builds" its own arguments.
GO = r"""#!/bin/sh
echo "$PWD $*" >> {log}
case "$1 $2" in
  version*) echo "go version {version} linux/amd64" ;;
  "mod download") cat <<EOF
{answer}
EOF
  ;;
  "mod tidy") touch go.sum ;;
  build*) {build}; while [ "$1" != -o ]; do shift; done; shift; out=$1; shift; echo "$GOARCH $CGO_ENABLED $*" > $out ;;
esac
"""


class Bench:
    """A build host."""

    def __init__(self, directory: pathlib.Path, run_module) -> None:
        self.directory, self.mirror, self.work = directory, directory / "mirror", directory / "work"
        self.sources = directory / "sources"
        self.sources.mkdir()
        (self.sources / "go.mod").write_text("go 1.26.0\nrequire k8s.io/api v0.0.0\n")
        (self.sources / "go.sum").write_text("sums\n")
        (self.sources / "info").write_text('{"Time": "2026-10-27T12:01:04Z"}')
        (self.sources / "VERSION").write_text("2.66.1\n")
        self._run_module = run_module
        self.install_go()

    def install_go(self, version: str = "go1.26.8", answer: dict | None = None, build: str = "true") -> None:
        places = {"Dir": "", "GoMod": "go.mod", "Info": "info"}
        answer = answer or {key: str(self.sources / name) for key, name in places.items()}
        go = self.directory / "go"
        go.write_text(GO.format(log=self.directory / "log", version=version, answer=json.dumps(answer), build=build))
        go.chmod(0o755)

    def log(self) -> list[str]:
        """The go commands since the last look, without the version."""
        path = self.directory / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        path.write_text("")
        return [line.split(" ", 1)[1] for line in lines if not line.endswith(" version")]

    def run(self, **options) -> dict:
        given = {
            "name": "kubelet 1.37.2",
            "url": URL,
            "sums_url": f"{URL}.sha256",
            "directory": str(self.mirror),
            "work_directory": str(self.work),
            "architecture": "amd64",
            "go": str(self.directory / "go"),
            "module": "k8s.io/kubernetes",
            "version": "v1.37.2",
            "programs": [{"package": "k8s.io/kubernetes/cmd/kubelet", "member": "kubelet"}],
            "linker_flags": ["-X date=@TIME@"],
            "format": "binary",
            **options,
        }
        return self._run_module(artifact_build, **{key: value for key, value in given.items() if value is not None})

    def built(self, path: str) -> bytes:
        return (self.mirror / path).read_bytes()


def why(result):
    """Why it was, or would be, built; empty if not."""
    assert all(action[:2] == ("write", result["path"]) for action in result["actions"])
    return "".join(reason for *dummy, reason in result["actions"])


@pytest.fixture
def bench(tmp_path, run_module):
    return Bench(tmp_path, run_module)


PATH = URL.removeprefix("https://")
BUILD = "build -trimpath -ldflags=-s -w -X date=2026-10-27T12:01:04Z -o"


def test_a_binary_and_its_sum(bench):
    check = bench.run(_ansible_check_mode=True, _ansible_diff=True)
    assert (check["changed"], why(check), check["sha256"]) == (True, "it does not exist", "")
    assert not bench.mirror.exists()
    assert bench.log() == []
    result = bench.run(_ansible_diff=True)
    assert bench.built(PATH) == b"amd64 0 k8s.io/kubernetes/cmd/kubelet\n"
    assert bench.built(f"{PATH}.sha256").decode() == result["sha256"] == hashlib.sha256(bench.built(PATH)).hexdigest()
    assert (result["changed"], result["diff"]) == (True, check["diff"])
    download, tidy, build = bench.log()
    assert (download, tidy) == ("mod download -json k8s.io/kubernetes@v1.37.2", "mod tidy")
    assert build.startswith(BUILD)
    (wrapper,) = bench.work.glob("modules/k8s.io/kubernetes@v1.37.2/*/go.mod")
    assert "replace k8s.io/api => k8s.io/api v0.37.2" in wrapper.read_text()


def test_what_is_there_is_not_built_again_and_needs_no_go(bench):
    first = bench.run()
    again = bench.run(go="/nowhere/go")
    assert (again["changed"], why(again), again["sha256"]) == (False, "", first["sha256"])


def test_dependencies_are_resolved_once(bench):
    bench.run(packages=["a", "b"])
    bench.log()
    bench.run(packages=["b", "a"], url="https://dl.k8s.io/kubectl", sums_url="https://dl.k8s.io/kubectl.sha256")
    assert "mod tidy" not in bench.log()


@pytest.mark.parametrize(
    ("spoil", "options", "reason"),
    [
        (lambda path: path.write_bytes(b"half"), {}, f"it does not have the SHA-256 in {PATH}.sha256"),
        (
            lambda path: path.with_name("kubelet.sha256").unlink(),
            {},
            f"it does not have the SHA-256 in {PATH}.sha256",
        ),
        (lambda path: None, {"linker_flags": ["-X other"]}, "it was built from a different recipe"),
        (lambda path: None, {"version": "v1.37.3"}, "it was built from a different recipe"),
    ],
)
def test_what_is_not_right_is_built_again(bench, spoil, options, reason):
    bench.run()
    spoil(bench.mirror / PATH)
    assert why(bench.run(**options)) == reason
    assert why(bench.run(**options)) == ""


def test_an_official_download_on_the_mirror_is_kept(bench):
    path = bench.mirror / PATH
    path.parent.mkdir(parents=True)
    path.write_bytes(b"official")
    path.with_name("kubelet.sha256").write_text(hashlib.sha256(b"official").hexdigest())
    assert bench.run()["changed"] is False


def test_archives_and_images_have_the_programs_in_them(bench):
    bench.run(format="archive", url="https://x/a.tgz", sums_url="https://x/SHA256SUMS")
    with tarfile.open(fileobj=io.BytesIO(bench.built("x/a.tgz"))) as archive:
        assert archive.getnames() == ["kubelet"]
    image = {"name": "r/kubelet:1", "config": {"Entrypoint": ["/kubelet"]}, "directories": {"tmp": "1777"}}
    bench.run(format="image", url="images/k.tar", sums_url="images/SHA256SUMS", image=image)
    with tarfile.open(fileobj=io.BytesIO(bench.built("images/k.tar"))) as archive:
        manifest = json.loads(archive.extractfile("manifest.json").read())
        config = json.loads(archive.extractfile(manifest[0]["Config"]).read())
    assert manifest[0]["RepoTags"] == ["r/kubelet:1"]
    assert config["created"] == "2026-10-27T12:01:04Z"


def test_in_the_modules_own_directory(bench):
    bench.run(in_module=True)
    assert bench.log()[1].endswith(
        f"-modfile={bench.work}/modules/k8s.io/kubernetes@v1.37.2/go.mod k8s.io/kubernetes/cmd/kubelet"
    )


def test_a_program_of_our_own(bench):
    bench.run(module=None, version=None, source="package main\n", programs=[{"package": "."}])
    (build,) = bench.log()
    assert build.startswith("build -trimpath -ldflags=-s -w -X date=1970-01-01T00:00:00Z -o")
    assert (next(bench.work.glob("programs/*")) / "main.go").read_text() == "package main\n"


@pytest.mark.parametrize(
    ("go", "options", "said"),
    [
        (
            {"version": "go1.24.4"},
            {},
            "Building needs Go 1.26 or later, and {go} is go1.24.4: install Go from https://go.dev/dl/",
        ),
        ({}, {"go": "/nowhere/go"}, "build_go is /nowhere/go, which is not a program: install Go"),
        ({"answer": {"Error": "403 Forbidden"}}, {}, "The Go module k8s.io/kubernetes@v1.37.2 cannot be downloaded"),
        ({"build": "echo undefined: x >&2; exit 1"}, {}, "Building kubelet 1.37.2 failed: "),
        (
            {},
            {"expected_files": {"VERSION": "2.65.0"}},
            "VERSION of k8s.io/kubernetes v1.37.2 says '2.66.1', but kubelet 1.37.2 expects '2.65.0'",
        ),
    ],
)
def test_what_goes_wrong_is_said(bench, go, options, said):
    bench.install_go(**go)
    result = bench.run(**options)
    assert result["failed"]
    assert result["msg"].startswith(said.format(go=bench.directory / "go"))
    assert not bench.mirror.exists()


def test_without_any_go(bench, monkeypatch):
    monkeypatch.setattr(artifact_build.AnsibleModule, "get_bin_path", lambda self, name, *a, **k: None)
    assert bench.run(go="")["msg"].startswith("Building needs Go 1.26 or later, and there is no go command in PATH")
    said = bench.run(cgo=True)["msg"]
    assert "has C code and needs" in said
