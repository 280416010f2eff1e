# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Checks that molecule/variables/table.yml has an entry for each public variable, with a command that shows its effect (`make lint`).

The scenario `variables` runs through the table."""

from __future__ import annotations

import collections
import pathlib
import re
import sys
import typing as t

import yaml

TOP = pathlib.Path(__file__).resolve().parent.parent
TABLE = TOP / "molecule" / "variables" / "table.yml"
# Keys of an entry and of a run; those that each must have.
ENTRY = {"variable", "value", "run", "host", "beside", "command", "where", "prints", "nearest"}
ENTRY_NEEDS = {"variable", "value", "prints"}
RUN = {"name", "playbook", "arguments", "before", "after", "fails", "once", "without", "given"}
RUN_NEEDS = {"name", "playbook"}
MAIN = "cluster"


def load() -> dict[str, t.Any]:
    return yaml.safe_load(TABLE.read_text(encoding="utf-8"))


def public() -> dict[str, dict[str, t.Any]]:
    """Variable -> what its argument spec says, of all roles."""
    found: dict[str, dict[str, t.Any]] = {}
    for path in sorted((TOP / "roles").glob("*/meta/argument_specs.yml")):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            found.update(entry.get("options") or {})
    return found


def places(entry: dict[str, t.Any], default: str) -> list[str]:
    """Where a witness is asked."""
    where = entry.get("where", default)
    return [where] if isinstance(where, str) else where


def _entry_problems(entry: dict[str, t.Any], runs: t.Collection[str], hosts: t.Sequence[str]) -> t.Iterator[str]:
    name = entry.get("variable")
    for key in sorted(ENTRY_NEEDS - entry.keys()):
        yield f"the entry of {name} has no `{key}`: write it"
    for key in sorted(entry.keys() - ENTRY):
        yield f"the entry of {name} has `{key}`, which is no key of an entry: use one of {', '.join(sorted(ENTRY))}"
    run = entry.get("run", MAIN)
    if run not in runs:
        yield f"the entry of {name} is of the run {run!r}, which is not among the runs: add it there"
    for key, named, known in (
        ("host", [entry.get("host", hosts[0])], hosts),
        ("where", places(entry, hosts[0]), [*hosts, "control node"]),
    ):
        if not {*named} <= {*known}:
            yield f"the entry of {name} has `{key}: {entry[key]}`: use one of {', '.join(known)}"
    if run == MAIN and "command" not in entry:
        yield f"the entry of {name} has no `command`: a live cluster has to be asked"
    try:
        if re.compile(str(entry.get("prints", "x")), re.M).search(""):
            yield f"the entry of {name} has `prints: {entry['prints']}`, which an empty output matches as well"
    except re.error as error:
        yield f"the entry of {name} has `prints: {entry['prints']}`, which is no regular expression: {error}"


def problems(table: dict[str, t.Any], variables: dict[str, dict[str, t.Any]]) -> list[str]:
    """What is wrong with the table, as sentences without a full stop."""
    found: list[str] = []
    names = [run.get("name") for run in table["runs"]]
    for run in table["runs"]:
        found += [f"the run {run.get('name')} has no `{key}`: write it" for key in sorted(RUN_NEEDS - run.keys())]
        found += [
            f"the run {run.get('name')} has `{key}`, which is no key of a run" for key in sorted(run.keys() - RUN)
        ]
    counted = collections.Counter(entry.get("variable") for entry in table["variables"])
    found += [
        f"{name} is in no entry: add one, with a value and a witness" for name in variables if name not in counted
    ]
    for entry in table["variables"]:
        name = entry.get("variable")
        if name not in variables:
            found.append(f"{name} has an entry and is no public variable: remove the entry")
            continue
        found += _entry_problems(entry, names, table["hosts"])
        option = variables[name]
        if "default" in option and entry.get("value") == option["default"]:
            found.append(f"the entry of {name} has the default as its value, {entry['value']!r}: take another one")
    return found


def main() -> None:
    found = problems(load(), public())
    for problem in found:
        print(f"{TABLE.relative_to(TOP)}: {problem}.", file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
