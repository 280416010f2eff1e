# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The tests in rotation that `make test` runs. The commit determines them, so the same commit runs the same tests.

`python -m lab.turns` prints them. TURN= and SEED= in the environment override them; TURN=all runs everything.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import typing as t

from lab.base import CHECKOUT, LabError

# Runs at every turn.
ALWAYS = ("default",)
# Turn -> its additional scenarios. A test marked turn("NAME") runs only at that turn, and so does a scenario in this list.
# For a new turn, add a line here; keep each turn below 15 minutes.
TURNS: dict[str, tuple[str, ...]] = {
    "default": (),  # the firewall, all reboots, the rotation of CAs
    "alone": (),  # two runs at once
    "ha": ("ha",),  # kube-bench; processes killed and restarted, a control plane without power
    "growth": ("ha",),  # the rotation of CAs under load; one control plane becomes three
    "apart": ("apart",),
    "runtimes": ("runtimes",),
    "user": ("user",),  # and mirrors that attack
    "variables": ("variables",),
    "inventories": ("inventories",),
    "proxy": ("proxy",),
}
ALL = "all"
# Not in `make test`, and so without a turn: without KVM, virtual machines take hours. `make machines` runs them.
APART = ("machines",)
# Without git, there is no commit; then the files below these paths determine the tests.
SOURCES = ("lab", "molecule", "playbooks", "plugins", "roles", "tests")

T = t.TypeVar("T")


class Source(t.NamedTuple):
    """The number that determines everything."""

    identity: str
    words: str


def source() -> Source:
    """The current commit, regardless of uncommitted changes; without git, the files themselves."""
    asked = _git("rev-parse", "--verify", "HEAD")
    if asked:
        changed = ", with changes that are not committed" if _git("status", "--porcelain") else ""
        return Source(asked, f"commit {asked[:12]}{changed}")
    found = hashlib.sha256()
    for name in SOURCES:
        for path in sorted((CHECKOUT / name).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                found.update(f"{path.relative_to(CHECKOUT)}\0".encode() + path.read_bytes() + b"\0")
    return Source(found.hexdigest(), f"these files (SHA-256 {found.hexdigest()[:12]}; there is no git repository here)")


def _git(*arguments: str) -> str:
    """The output of git for this checkout; empty if it is not a repository. A repository around the checkout does not count."""
    if not (CHECKOUT / ".git").exists():
        return ""
    try:
        # This checkout may be another user's, as in CI, where root runs the tests.
        command = ["git", "-c", f"safe.directory={CHECKOUT}", *arguments]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def number(seed: int, what: str) -> int:
    """A number for a purpose, always the same for the same seed, and independent of those for other purposes."""
    return int.from_bytes(hashlib.sha256(f"{seed} {what}".encode()).digest()[:4], "big")


def seed() -> int:
    """The seed of all choices: SEED, or from the commit."""
    given = os.environ.get("SEED", "")
    if not given:
        return int(hashlib.sha256(source().identity.encode()).hexdigest()[:8], 16)
    if not given.isdecimal():
        raise LabError(f"SEED is '{given}': use a number, such as the one that `python -m lab.turns` prints.")
    return int(given)


def choose(what: str, options: t.Sequence[T]) -> T:
    """Choose one of these."""
    return options[number(seed(), what) % len(options)]


def turn() -> str:
    """The turn of this commit, or the one in TURN."""
    given = os.environ.get("TURN", "")
    if given not in ("", ALL, *TURNS):
        raise LabError(f"TURN is '{given}': use one of {', '.join(TURNS)}, or {ALL}.")
    return given or choose("turn", list(TURNS))


def scenarios(name: str) -> list[str]:
    """The scenarios of a turn, each once, in the order in which they run."""
    added = [one for turns in TURNS.values() for one in turns] if name == ALL else TURNS[name]
    return list(dict.fromkeys([*ALWAYS, *added]))


def runs(marked: str, current: str) -> bool:
    """Whether a test with this mark runs at that turn."""
    if marked not in TURNS:
        raise LabError(f"there is no turn '{marked}' to mark a test with: use one of {', '.join(TURNS)}.")
    return current in (ALL, marked)


def exports() -> dict[str, str]:
    """The environment of `make test`, so that a new commit during the run changes nothing. The seed determines the order of sets."""
    return {"TURN": turn(), "SEED": str(seed()), "PYTHONHASHSEED": str(number(seed(), "hashes"))}


def summary() -> str:
    """What runs, why, and how to repeat it or run everything."""
    name = turn()
    return (
        f"Tests of {source().words}: turn {name}, scenarios {', '.join(scenarios(name))}; from seed {seed()} follow the ansible-core of "
        f"the sanity tests and what is killed.\n"
        f"`make test TURN={name} SEED={seed()}` repeats it. Turns: {', '.join(TURNS)}; TURN={ALL} runs everything."
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.turns", description=__doc__.splitlines()[0])
    parser.add_argument("--export", action="store_true", help="print it as commands for a shell")
    parser.add_argument("--scenarios", action="store_true", help="print the names of the turn's scenarios")
    options = parser.parse_args()
    if options.scenarios:
        print(" ".join(scenarios(turn())))
        return
    if options.export:
        print("\n".join(f"export {name}={value}" for name, value in exports().items()))
        return
    print(summary(), flush=True)


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        sys.exit(f"turns: {error}")
