# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""`make sanity`: ansible-test sanity and units on every supported ansible-core, one line for each.

With --turn, which `make test` uses, on one of them: the one that the commit selects (lab/turns.py), or the one that CORE= names.

Needs no Docker, and downloads only from the package index. Environments, copies of the checkout and logs are in
~/.cache/plainkube/ansible-test. You can delete that directory at any time.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import glob
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import typing as t

from lab import artifacts, turns
from lab.base import CHECKOUT, LabError, cache

# Release, and the Pythons that it runs on, the preferred one first. The last one is the newest there is.
CORES = {
    "2.20.10": ("3.12", "3.13", "3.14"),
    "2.21.5": ("3.13", "3.14", "3.12"),
    "2.22.0rc1": ("3.13", "3.14", "3.15"),
}
# Modules are compiled and imported with the oldest Python that hosts may have as well, where it is here.
OLDEST = "3.9"
# ansible-test gets pip from a server of its own, unless this is in its place. Python has one that does.
GET_PIP = "import ensurepip\nensurepip.bootstrap()\n"
SITE_PACKAGES = "import sysconfig; print(sysconfig.get_path('purelib'))"


class FailedError(Exception):
    """One sentence: what failed, and where its log is."""


class Core(t.NamedTuple):
    """An ansible-core, and where everything of it is."""

    version: str
    python: str
    directory: pathlib.Path

    @property
    def venv(self) -> pathlib.Path:
        return self.directory / "venv"

    @property
    def home(self) -> pathlib.Path:
        return self.directory / "home"

    @property
    def etcd(self) -> pathlib.Path:
        return self.directory / "etcd"

    @property
    def tree(self) -> pathlib.Path:
        """ansible-test requires this path."""
        return self.directory / "ansible_collections" / "plainkube" / "cluster"


def find_python(minor: str) -> str | None:
    """The program of a Python of this version, in PATH or of pyenv."""
    candidates = [
        shutil.which(f"python{minor}"),
        *glob.glob(os.path.expanduser(f"~/.pyenv/versions/{minor}.*/bin/python")),
    ]
    usable = [path for path in candidates if path and _run([path, "-c", "import ensurepip, venv"]).returncode == 0]
    return usable[0] if usable else None


def _run(command: list[str], **options: t.Any) -> subprocess.CompletedProcess:
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        **options,
    )


def run(core: Core, name: str, command: list[str], **options: t.Any) -> None:
    """Run a command with its output in a log; where it fails, the output is what the person needs."""
    done = _run(command, **options)
    log = core.directory / f"{name}.log"
    log.write_text(done.stdout, encoding="utf-8")
    if done.returncode:
        raise FailedError(f"{name} failed on ansible-core {core.version}, see {log}:\n{excerpt(done.stdout)}")


def excerpt(output: str) -> str:
    """What failed, without the hundred lines around it."""
    lines = [line for line in output.splitlines() if re.match(r"(ERROR|FATAL|FAILED|E  )", line)]
    return "\n".join(lines[:60] or output.splitlines()[-30:])


def make_venv(core: Core) -> None:
    """The environment, created again if its requirements change. The last step writes the marker."""
    units = (CHECKOUT / "tests" / "unit" / "requirements.txt").read_text(encoding="utf-8")
    recipe = f"{core.version} {core.python}\n{units}\n{pathlib.Path(__file__).read_text(encoding='utf-8')}"
    wanted = hashlib.sha256(recipe.encode()).hexdigest()
    marker = core.venv / ".made"
    if marker.exists() and marker.read_text(encoding="utf-8") == wanted:
        return
    shutil.rmtree(core.venv, ignore_errors=True)
    run(core, "venv", [core.python, "-m", "venv", str(core.venv)])
    pip = [str(core.venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(core, "pip", [*pip, f"ansible-core=={core.version}"])
    site_packages = _run([str(core.venv / "bin" / "python"), "-c", SITE_PACKAGES]).stdout.strip()
    requirements = pathlib.Path(site_packages, "ansible_test", "_data", "requirements")
    use_the_index(requirements)
    run(
        core,
        "pip",
        [*pip, "-r", str(requirements / "units.txt"), "-r", str(CHECKOUT / "tests" / "unit" / "requirements.txt")],
    )
    marker.write_text(wanted, encoding="utf-8")


def use_the_index(requirements: pathlib.Path) -> None:
    """Requirements that are archives on GitHub (dill, of 2.22.0rc1) become the index's package of that name."""
    for path in requirements.glob("sanity.*.txt"):
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r"^([\w.-]+) *@ *https:.*$", r"\1", text, flags=re.M), encoding="utf-8")


def make_home(core: Core) -> None:
    """A separate home, so that only this run uses the replacement for get-pip. pip's configuration is linked into it."""
    stand_in = core.home / ".ansible" / "test" / "cache"
    stand_in.mkdir(parents=True, exist_ok=True)
    requirements = next(core.venv.glob("lib/python*/site-packages/ansible_test/_internal/python_requirements.py"))
    version = re.search(r"pip='([\d.]+)'", requirements.read_text(encoding="utf-8"))
    if version is None:
        raise FailedError(
            f"{requirements} does not tell the version of pip it wants: adapt {__file__} to ansible-core {core.version}."
        )
    (stand_in / f"get_pip_{version[1].replace('.', '_')}.py").write_text(GET_PIP, encoding="utf-8")
    for name in (".config/pip", ".pip", ".cache/pip"):
        link, target = core.home / name, pathlib.Path.home() / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir() and not link.is_symlink():
            link.symlink_to(target)


def copy_checkout(core: Core) -> None:
    """What git knows of, or would, as it is now."""
    shutil.rmtree(core.tree, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (CHECKOUT / name).exists():
            (core.tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, core.tree / name, follow_symlinks=False)


def ansible_test(core: Core, name: str, *arguments: str, oldest: str | None = None) -> None:
    # The home is another one, so the tests look for etcd in PATH.
    environment = {**os.environ, "HOME": str(core.home), "PATH": f"{core.venv}/bin:{core.etcd}:{os.defpath}"}
    # With another Python at hand, ansible-test compiles and imports modules with that as well.
    if oldest:
        programs = core.directory / "pythons"
        programs.mkdir(exist_ok=True)
        (programs / f"python{OLDEST}").unlink(missing_ok=True)
        (programs / f"python{OLDEST}").symlink_to(oldest)
        environment["PATH"] = f"{core.venv}/bin:{programs}:{os.defpath}"
    run(core, name, [str(core.venv / "bin" / "ansible-test"), *arguments], cwd=core.tree, env=environment)


def cores() -> list[str]:
    """The one whose turn it is, or the one that CORE names; at the turn `all`, all of them."""
    given = os.environ.get("CORE", "")
    if given not in ("", *CORES):
        raise LabError(f"CORE is '{given}': use one of {', '.join(CORES)}.")
    if given or turns.turn() != turns.ALL:
        return [given or turns.choose("core", list(CORES))]
    return list(CORES)


def check(version: str) -> str:
    """Everything on one ansible-core; what to say of it."""
    started = time.monotonic()
    python, minor = next(((found, minor) for minor in CORES[version] if (found := find_python(minor))), (None, ""))
    if python is None:
        wanted = ", ".join(CORES[version])
        raise FailedError(
            f"ansible-core {version} needs Python {wanted}, and none of them is here: install one, with its venv module."
        )
    core = Core(version, python, cache("ansible-test", version, "x").parent)
    make_venv(core)
    make_home(core)
    copy_checkout(core)
    shutil.rmtree(core.etcd, ignore_errors=True)
    core.etcd.mkdir()
    artifacts.extract_etcd(core.etcd)
    oldest = find_python(OLDEST)
    ansible_test(core, "units", "units", "--local", "--python", minor, "--num-workers", "1")
    ansible_test(core, "sanity", "sanity", "--local", "--python", minor)
    if oldest:
        ansible_test(
            core,
            "oldest",
            "sanity",
            "--local",
            "--python",
            OLDEST,
            "--test",
            "compile",
            "--test",
            "import",
            oldest=oldest,
        )
    modules = f"modules on {OLDEST} too" if oldest else f"no Python {OLDEST} here to import modules with"
    return f"sanity: ansible-core {version} on Python {minor}: sanity and units are green, {modules} ({time.monotonic() - started:.0f} s)"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__.splitlines()[0])
    parser.add_argument("--turn", action="store_true", help="only the ansible-core whose turn it is")
    versions = cores() if parser.parse_args().turn else [*CORES]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for work in concurrent.futures.as_completed(pool.submit(check, version) for version in reversed(versions)):
            try:
                print(work.result(), flush=True)
            except (FailedError, LabError) as error:
                failed = 1
                print(f"sanity: {error}", flush=True)
    return failed


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(f"sanity: {error}")
