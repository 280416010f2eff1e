# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The version of `make smoke`."""

from __future__ import annotations

import re

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from lab import smoke, sums
from lab.base import CHECKOUT

(VERSION,) = re.findall(r"^SMOKE \?= (\S+)$", (CHECKOUT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def template(text, **more):
    known = {**sums._roles.variables(), "__cluster_architecture": "amd64", **more}
    return Templar(DataLoader(), variables=known).template(trust_as_template(text))


@pytest.mark.parametrize(
    ("more", "accepted"), [(smoke.variables(VERSION), True), ({"cluster_version": VERSION}, False)]
)
def test_preflight_accepts_the_version_of_the_smoke_test_only_there(more, accepted):
    # The loader finds the collection only once a test runs.
    from ansible_collections.plainkube.cluster.plugins.plugin_utils.inputs import _formats, _preflight  # noqa: PLC0415

    assert not _formats.KUBERNETES(VERSION)
    found = template("{{ __preflight_kubernetes_version }}", **more)
    assert (_preflight.kubernetes_version_problems(found) == []) is accepted
    urls = [one["url"] for one in template("{{ __artifacts_kubernetes }}", **more)]
    assert all(f"/v{VERSION}/" in url for url in urls)
