# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import json

from ansible_collections.plainkube.cluster.plugins.lookup import known_sums


def test_only_what_is_known_is_a_pin(monkeypatch, tmp_path):
    entries = {"https://dl.k8s.io/v1/kubelet": {"sha256": "a" * 64}, "https://dl.k8s.io/v1/kubectl": {"sha256": ""}}
    (tmp_path / "sums.json").write_text(json.dumps({"downloads": entries}))
    monkeypatch.setattr(known_sums, "FILE", tmp_path / "sums.json")
    known_sums.known.cache_clear()
    assert known_sums.LookupModule().run([]) == [{"dl.k8s.io/v1/kubelet": "a" * 64}]
    known_sums.known.cache_clear()


def test_the_file_that_comes_with_the_collection():
    assert isinstance(known_sums.LookupModule().run([])[0], dict)
