# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: known_sums
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: The SHA-256 checksums of upstream's downloads that come with this collection
description:
  - Those of C(roles/artifacts/files/sums.json) that are known, for option O(plainkube.cluster.artifacts#module:known_checksums). C(make sums) takes
    them from upstream's publications.
options: {}
"""

EXAMPLES = r"""
checksums: "{{ lookup('plainkube.cluster.known_sums') }}"
"""

RETURN = r"""
_raw:
  description: One mapping of HOST/PATH to SHA-256.
  type: list
  elements: dict
"""

import functools
import json
import pathlib

from ansible.plugins.lookup import LookupBase
from ansible_collections.plainkube.cluster.plugins.module_utils.artifacts import _artifacts

FILE = pathlib.Path(__file__).parents[2] / "roles" / "artifacts" / "files" / "sums.json"


@functools.cache
def known() -> dict[str, str]:
    entries = json.loads(FILE.read_text(encoding="utf-8"))["downloads"]
    return {_artifacts.mirror_path(url): entry["sha256"] for url, entry in entries.items() if entry["sha256"]}


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        return [{**known()}]
