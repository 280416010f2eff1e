#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: encryption_usage
short_description: Count the objects in etcd by encryption key
version_added: 1.0.0
description:
  - Counts the Secrets and ConfigMaps in etcd by their encryption key, which is named in the prefix of each value.
  - Reads etcd in pages and changes nothing.
extends_documentation_fragment: [plainkube.cluster.common, plainkube.cluster.etcd, plainkube.cluster.etcd.endpoints]
attributes:
  diff_mode:
    support: N/A
seealso:
  - module: plainkube.cluster.kube_rewrite
  - module: plainkube.cluster.authority_rotation
"""

EXAMPLES = r"""
- name: See which keys are in use
  plainkube.cluster.encryption_usage:
  register: usage
"""

RETURN = r"""
in_use:
  description:
    - Name of each key, and the number of objects that are encrypted with it. V(identity) counts unencrypted objects.
    - Unused keys are omitted.
  returned: success
  type: dict
  sample: {"key-2": 31, "key-1": 8}
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.encryption_usage import main

if __name__ == "__main__":
    main()
