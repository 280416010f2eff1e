# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The code of module artifact_build."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.plainkube.cluster.plugins.module_utils.artifacts import _archive, _build, _sums
from ansible_collections.plainkube.cluster.plugins.module_utils.artifacts._artifacts import mirror_path
from ansible_collections.plainkube.cluster.plugins.module_utils.host import _command
from ansible_collections.plainkube.cluster.plugins.module_utils.run import _actions
from ansible_collections.plainkube.cluster.plugins.module_utils.run._actions import Action

OLDEST_GO = (1, 26)
EPOCH = "1970-01-01T00:00:00Z"
# The options that determine the bytes of the result; together they are the recipe.
RECIPE = [
    "module",
    "version",
    "source",
    "in_module",
    "packages",
    "require",
    "replace",
    "programs",
    "cgo",
    "tags",
    "linker_flags",
    "format",
    "image",
    "architecture",
]

SPEC: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "url": {"type": "str", "required": True},
    "sums_url": {"type": "str", "required": True},
    "directory": {"type": "path", "required": True},
    "work_directory": {"type": "path", "required": True},
    "architecture": {"type": "str", "required": True, "choices": ["amd64", "arm64"]},
    "go": {"type": "str", "default": ""},
    "module": {"type": "str", "default": ""},
    "version": {"type": "str", "default": ""},
    "source": {"type": "str", "default": ""},
    "in_module": {"type": "bool", "default": False},
    "packages": {"type": "list", "elements": "str", "default": []},
    "expected_files": {"type": "dict", "default": {}},
    "require": {"type": "dict", "default": {}},
    "replace": {"type": "dict", "default": {}},
    "programs": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {"package": {"type": "str", "required": True}, "member": {"type": "str", "default": ""}},
    },
    "cgo": {"type": "bool", "default": False},
    "tags": {"type": "list", "elements": "str", "default": []},
    "linker_flags": {"type": "list", "elements": "str", "default": []},
    "format": {"type": "str", "required": True, "choices": ["binary", "archive", "image"]},
    "image": {
        "type": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "config": {"type": "dict", "default": {}},
            "directories": {"type": "dict", "default": {}},
        },
    },
}


class Target:
    """The artifact on the mirror, its checksum, and the record of its recipe."""

    def __init__(self, params: dict[str, t.Any]) -> None:
        self.relative = mirror_path(params["url"])
        self.sums_relative = mirror_path(params["sums_url"])
        self.name = os.path.basename(self.relative)
        self.path = os.path.join(params["directory"], self.relative)
        self.sums_path = os.path.join(params["directory"], self.sums_relative)
        self.record = os.path.join(params["work_directory"], "recipes", self.relative)
        recipe = json.dumps({key: params[key] for key in RECIPE}, sort_keys=True)
        self.recipe = hashlib.sha256(recipe.encode()).hexdigest()

    def why(self) -> str:
        """Why it must be built; empty if the existing artifact is correct."""
        if not os.path.exists(self.path):
            return "it does not exist"
        # Without a record, it was not built here. It may be an official download, whose checksum is sufficient.
        if _text(self.record) not in ("", self.recipe):
            return "it was built from a different recipe"
        if _sums.of_file(self.path) != _sums.find(_text(self.sums_path), self.name):
            return f"it does not have the SHA-256 in {self.sums_relative}"
        return ""

    def put(self, content: bytes) -> None:
        """Write artifact, checksum and record, in this order: if a run dies in between, the next one builds again."""
        _write(self.path, content)
        checksum = hashlib.sha256(content).hexdigest()
        sums = _sums.add(_text(self.sums_path), self.sums_relative, self.name, checksum)
        _write(self.sums_path, sums.encode())
        _write(self.record, self.recipe.encode())


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _write(path: str, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "wb") as stream:
        stream.write(content)
    os.rename(temporary, path)


class Builder:
    """The go command and its directories."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params
        self.go = self._find_go()
        self.compiler = self._find_compiler()
        self.time = EPOCH
        self.modfile = ""
        self.environment = _build.environment(self.params["architecture"], self.params["cgo"], self.compiler)

    def _find_go(self) -> str:
        wanted = self.params["go"]
        found = wanted or self.module.get_bin_path("go", opt_dirs=["/usr/local/go/bin"])
        advice = "install Go from https://go.dev/dl/ on the build host, or set build_go to the path of its go command"
        if not found:
            self.module.fail_json(msg=f"Building needs Go 1.26 or later, and there is no go command in PATH: {advice}.")
        if not os.access(found, os.X_OK):
            self.module.fail_json(msg=f"build_go is {wanted}, which is not a program: {advice}.")
        version = _command.run(self.module, [found, "version"])[1]
        if (_build.go_version(version) or (0, 0)) < OLDEST_GO:
            told = (version.split() or ["", "", "unknown"])[2]
            self.module.fail_json(msg=f"Building needs Go 1.26 or later, and {found} is {told}: {advice}.")
        return found

    def _find_compiler(self) -> str:
        if not self.params["cgo"]:
            return ""
        name, packages = _build.compiler(self.params["architecture"], platform.machine())
        if not self.module.get_bin_path(name):
            self.module.fail_json(
                msg=f"{self.params['name']} has C code and needs {name} to be built for {self.params['architecture']}:"
                f" install {packages} on the build host."
            )
        return name

    def run(self, command: list[str], directory: str) -> str:
        """Run a command; a failure ends the module with the last lines of its output."""
        code, out, err = _command.run(self.module, command, cwd=directory, environ_update=self.environment)
        if code != 0:
            said = "\n".join((err or out).strip().splitlines()[-15:])
            self.module.fail_json(
                msg=f"Building {self.params['name']} failed: `{' '.join(command)}` in {directory} ended with {code}: {said}"
            )
        return out

    def _download(self) -> dict[str, str]:
        """Fetch the module's sources; the result has Dir, GoMod and Info."""
        wanted = f"{self.params['module']}@{self.params['version']}"
        work = self.params["work_directory"]
        os.makedirs(work, exist_ok=True)
        dummy, out, err = _command.run(
            self.module, [self.go, "mod", "download", "-json", wanted], cwd=work, environ_update=self.environment
        )
        found = json.loads(out) if out.lstrip().startswith("{") else {"Error": err.strip()}
        if found.get("Error"):
            self.module.fail_json(
                msg=f"The Go module {wanted} cannot be downloaded; check the version, and GOPROXY on the build host: {found['Error']}"
            )
        return found

    def source(self) -> str:
        """Prepare the sources; return the directory to build in."""
        work = self.params["work_directory"]
        if self.params["source"]:
            directory = os.path.join(work, "programs", hashlib.sha256(self.params["source"].encode()).hexdigest()[:16])
            _write(os.path.join(directory, "main.go"), self.params["source"].encode())
            _write(os.path.join(directory, "go.mod"), f"module {_build.MODULE}\n\ngo 1.26.0\n".encode())
            return directory
        found = self._download()
        self.time = json.loads(_text(found["Info"])).get("Time", EPOCH)
        self._check_files(found["Dir"])
        directory = os.path.join(work, "modules", f"{self.params['module']}@{self.params['version']}")
        if self.params["in_module"]:
            self.modfile = os.path.join(directory, "go.mod")
            for name in ("go.mod", "go.sum"):
                _write(os.path.join(directory, name), _text(os.path.join(found["Dir"], name)).encode())
            return found["Dir"]
        return self._wrap(directory, _build.parse_go_mod(_text(found["GoMod"])))

    def _check_files(self, directory: str) -> None:
        """Fail if the module is not the expected one."""
        for path, wanted in self.params["expected_files"].items():
            found = _text(os.path.join(directory, path)).strip()
            if found != wanted:
                self.module.fail_json(
                    msg=f"{path} of {self.params['module']} {self.params['version']} says '{found}', but"
                    f" {self.params['name']} expects '{wanted}': set the version that is there."
                )

    def _wrap(self, parent: str, published: _build.GoMod) -> str:
        """Create the wrapper module, and resolve its dependencies if necessary; return its directory."""
        require = {self.params["module"]: self.params["version"], **self.params["require"]}
        replace = {**_build.staging(published, self.params["version"]), **self.params["replace"]}
        packages = self.params["packages"] or [program["package"] for program in self.params["programs"]]
        go_mod, tools = _build.render_go_mod(published, require, replace), _build.render_tools(packages)
        directory = os.path.join(parent, hashlib.sha256((go_mod + tools).encode()).hexdigest()[:16])
        if os.path.exists(os.path.join(directory, "resolved")):
            return directory
        _write(os.path.join(directory, "go.mod"), go_mod.encode())
        _write(os.path.join(directory, "tools.go"), tools.encode())
        self.run([self.go, "mod", "tidy"], directory)
        _write(os.path.join(directory, "resolved"), b"")
        return directory

    def programs(self, directory: str) -> list[_archive.Entry]:
        """Build all programs."""
        out = os.path.join(self.params["work_directory"], "out", str(os.getpid()))
        os.makedirs(os.path.dirname(out), exist_ok=True)
        flags = _build.linker_flags(self.params["linker_flags"], self.time)
        entries = []
        for program in self.params["programs"]:
            command = _build.build_command(self.go, program["package"], out, flags, self.params["tags"], self.modfile)
            self.run(command, directory)
            with open(out, "rb") as stream:
                entries.append(_archive.Entry(program["member"], stream.read()))
            os.unlink(out)
        return entries

    def artifact(self) -> bytes:
        """Build, and package in the requested format."""
        entries = self.programs(self.source())
        if self.params["format"] == "binary":
            return entries[0].content or b""
        if self.params["format"] == "archive":
            return _archive.tar_gz(entries)
        image = self.params["image"]
        directories = [_archive.Entry(path, None, int(mode, 8)) for path, mode in sorted(image["directories"].items())]
        return _archive.image(
            image["name"], [*directories, *entries], self.params["architecture"], self.time, image["config"]
        )


def main() -> None:
    module = AnsibleModule(
        argument_spec=SPEC,
        supports_check_mode=True,
        mutually_exclusive=[("module", "source")],
        required_if=[("format", "image", ["image"])],
    )
    target = Target(module.params)
    reason = target.why()
    if reason and not module.check_mode:
        target.put(Builder(module).artifact())
    states = {
        "before": f"{target.relative}: {reason or 'there and verified'}\n",
        "after": f"{target.relative}: there and verified\n",
    }
    module.exit_json(
        **_actions.result([Action("write", target.path, reason)] if reason else []),
        diff=states,
        path=target.path,
        sha256=_sums.of_file(target.path) if not (reason and module.check_mode) else "",
    )
