# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The collection's checksums of upstream's downloads."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from lab import sums


def path(url):
    return url.removeprefix("https://")


def test_each_sum_is_of_a_download_of_the_default_versions():
    known, wanted = json.loads(sums.FILE.read_text(encoding="utf-8")), sums.downloads()
    assert known.keys() <= {path(url) for url in wanted}
    assert all(re.fullmatch(r"[0-9a-f]{64}", one) for one in known.values())
    assert len(wanted) == 22
    assert sum("/arm64/" in url or "arm64." in url or "-arm64" in url for url in wanted) == 11


@pytest.fixture
def upstream(tmp_path):
    """Upstream's publications for some downloads, in their formats; a mirror of them."""
    wanted = sums.downloads()
    contents = {url: hashlib.sha256(url.encode()).hexdigest() for url in wanted}
    for url, sums_url in wanted.items():
        place = tmp_path / path(sums_url)
        place.parent.mkdir(parents=True, exist_ok=True)
        name = url.rpartition("/")[2]
        if sums_url.endswith(".sha256"):
            place.write_text(contents[url])
        elif sums_url.startswith("https://api.github.com/"):
            document = json.loads(place.read_text()) if place.exists() else {"assets": []}
            document["assets"].append({"name": name, "digest": f"sha256:{contents[url]}"})
            place.write_text(json.dumps(document))
        else:
            with place.open("a") as stream:
                stream.write(f"{contents[url]}  {name}\n")
    return str(tmp_path), contents


def test_sums_are_taken_from_what_upstream_publishes(upstream):
    mirror, contents = upstream
    known, problems = sums.taken(sums.downloads(), {}, mirror)
    assert problems == []
    assert known == {path(url): one for url, one in contents.items()}


def test_what_cannot_be_had_is_left_out_and_what_is_known_stays(upstream, tmp_path):
    mirror, contents = upstream
    (tmp_path / "dl.k8s.io").rename(tmp_path / "away")
    kept = next(url for url in contents if "dl.k8s.io" in url)
    known, problems = sums.taken(sums.downloads(), {path(kept): "0" * 64}, mirror)
    assert known[path(kept)] == "0" * 64
    missing = [url for url in contents if path(url) not in known]
    assert missing == [url for url in contents if "dl.k8s.io" in url and url != kept]
    assert [one for one in problems if one.startswith("not known: ")] == [f"not known: {url}" for url in missing]
    assert len(problems) == 2 * len(missing)
