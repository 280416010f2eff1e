# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The checksums of upstream's downloads that come with the collection."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from lab import sums

ENTRIES = json.loads(sums.FILE.read_text(encoding="utf-8"))["downloads"]


def test_every_download_of_the_default_versions_has_its_line():
    assert {url: entry["sums_url"] for url, entry in ENTRIES.items()} == sums.downloads()
    assert len(ENTRIES) == 18
    assert sum("/arm64/" in url or "arm64." in url for url in ENTRIES) == 9


@pytest.mark.parametrize("url", ENTRIES)
def test_a_sum_is_one_or_not_known(url):
    assert re.fullmatch(r"([0-9a-f]{64})?", ENTRIES[url]["sha256"])


@pytest.fixture
def upstream(tmp_path):
    """What upstream publishes of some downloads, as each of them does it; a mirror of it."""
    wanted = sums.downloads()
    contents = {url: hashlib.sha256(url.encode()).hexdigest() for url in wanted}
    for url, sums_url in wanted.items():
        path = tmp_path / sums_url.removeprefix("https://")
        path.parent.mkdir(parents=True, exist_ok=True)
        name = url.rpartition("/")[2]
        if sums_url.endswith(".sha256"):
            path.write_text(contents[url])
        elif sums_url.startswith("https://api.github.com/"):
            document = json.loads(path.read_text()) if path.exists() else {"assets": []}
            document["assets"].append({"name": name, "digest": f"sha256:{contents[url]}"})
            path.write_text(json.dumps(document))
        else:
            with path.open("a") as stream:
                stream.write(f"{contents[url]}  {name}\n")
    return str(tmp_path), contents


def test_sums_are_taken_from_what_upstream_publishes(upstream):
    mirror, contents = upstream
    entries, problems = sums.taken(sums.downloads(), {}, mirror)
    assert problems == []
    assert {url: entry["sha256"] for url, entry in entries.items()} == contents


def test_what_cannot_be_had_stays_empty_and_what_is_known_stays(upstream, tmp_path):
    mirror, contents = upstream
    (tmp_path / "dl.k8s.io").rename(tmp_path / "away")
    kept = next(url for url in contents if "dl.k8s.io" in url)
    entries, problems = sums.taken(sums.downloads(), {kept: {"sha256": "0" * 64}}, mirror)
    assert entries[kept]["sha256"] == "0" * 64
    missing = [url for url, entry in entries.items() if not entry["sha256"]]
    assert missing == [url for url in contents if "dl.k8s.io" in url and url != kept]
    assert len(problems) == len(missing)
