# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""`make sums`: takes the SHA-256 of every download of the default versions from upstream's publications into roles/artifacts/files/sums.json.

Only upstream's checksums are stored, as HOST/PATH and SHA-256, never those of local builds. Entries that cannot be fetched do not change, and are
listed; the exit code tells whether all are known. Run it after a change of a default version.
"""

from __future__ import annotations

import argparse
import io
import json
import pathlib
import sys
import typing as t

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from lab.base import CHECKOUT, say
from plugins.plugin_utils.roles import _roles

FILE = CHECKOUT / "roles" / "artifacts" / "files" / "sums.json"
ARCHITECTURES = ("amd64", "arm64")


def downloads() -> dict[str, str]:
    """The URL of each download of the default versions, and of its published sum."""
    found: dict[str, str] = {}
    for architecture in ARCHITECTURES:
        templar = Templar(DataLoader(), variables={**_roles.variables(), "__cluster_architecture": architecture})
        for one in templar.template(trust_as_template("{{ __artifacts_downloads + __artifacts_runtime_downloads }}")):
            found[one["url"]] = one["sums_url"]
    return found


def taken(wanted: t.Mapping[str, str], before: t.Mapping[str, str], mirror: str) -> tuple[dict[str, str], list[str]]:
    """The content of the file, and the unknown checksums with reasons. Known ones are not fetched again."""
    # This program does not find the collection by itself, and needs modules that import others only here.
    sys.path.insert(0, str(CHECKOUT / ".venv" / "collections"))
    from ansible_collections.plainkube.cluster.plugins.module_utils.artifacts import _artifacts, _fetch, _sums  # noqa: PLC0415

    known, problems = {}, []
    documents: dict[str, str] = {}
    for url, sums_url in wanted.items():
        path = _artifacts.mirror_path(url)
        if path not in before and sums_url not in documents:
            buffer = io.BytesIO()
            try:
                _fetch.fetch(_artifacts.locate(mirror, sums_url), buffer, largest=16 << 20)
            except _fetch.FetchError as error:
                problems.append(str(error))
            documents[sums_url] = buffer.getvalue().decode("utf-8", "replace")
        sum_ = before.get(path) or _sums.find(documents[sums_url], pathlib.PurePosixPath(url).name)
        if sum_:
            known[path] = sum_
        else:
            problems.append(f"not known: {url}")
    return known, problems


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m lab.sums", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--mirror", default="", help="a mirror of upstream's publications (not of builds), as artifacts_mirror"
    )
    parser.add_argument("--file", type=pathlib.Path, default=FILE, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    before = json.loads(arguments.file.read_text(encoding="utf-8")) if arguments.file.exists() else {}
    wanted = downloads()
    known, problems = taken(wanted, before, arguments.mirror)
    arguments.file.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    for one in problems:
        say(one)
    say(f"{len(known)} of {len(wanted)} sums are known")
    return 1 if len(known) < len(wanted) else 0


if __name__ == "__main__":
    sys.exit(main())
