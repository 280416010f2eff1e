# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
name: mirror_files
author: The plainkube authors (@plainkube)
version_added: 1.0.0
short_description: The files of a mirror that a host may need
description:
  - The paths, relative to the mirror, of all downloads for a host and of their published checksums.
  - The control node copies no other file to that host, whatever the host requests.
  - Fails for a path that is absolute or leaves the mirror. A part of a path, such as the architecture, comes from the host.
options:
  _input:
    description: The artifacts, as option O(plainkube.cluster.artifacts#module:artifacts) takes them.
    type: list
    elements: dict
    required: true
  kinds:
    description: What the host is, as option O(plainkube.cluster.artifacts#module:kinds) takes it.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
files: "{{ [{'component': 'etcd', 'url': 'https://example.org/etcd', 'sums_url': 'https://example.org/sums'}] | plainkube.cluster.mirror_files([]) }}"
# -> ['example.org/etcd', 'example.org/sums']
"""

RETURN = r"""
_value:
  description: The paths, sorted.
  type: list
  elements: str
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.plainkube.cluster.plugins.module_utils.artifacts import _artifacts


def mirror_files(artifacts, kinds) -> list[str]:
    files = _artifacts.mirror_files(artifacts, kinds)
    outside = [path for path in files if not _artifacts.is_inside(path)]
    if outside:
        raise AnsibleFilterError(
            f"mirror_files: {outside[0]!r} is not a path inside a mirror: correct the version, or inspect the host, which reported its architecture."
        )
    return files


class FilterModule:
    def filters(self):
        return {"mirror_files": mirror_files}
