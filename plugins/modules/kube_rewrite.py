#!/usr/bin/python
# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

DOCUMENTATION = r"""
module: kube_rewrite
short_description: Make the API server rewrite objects with the current encryption key
version_added: 1.0.0
description:
  - Sends an empty patch for each Secret and ConfigMap. The API server then reads the object and rewrites it, unless it is already
    stored with the first encryption key. So a second run writes nothing.
  - Reads and sends no content - objects are listed by name only, in pages, and the response to a patch has only the name too.
    Concurrent edits are not undone - the API server applies the patch to the current object.
  - All API servers must have the new key first; otherwise new writes are encrypted with the old one.
extends_documentation_fragment: [plainkube.cluster.common]
options:
  kubeconfig:
    description: Kubeconfig on the host, in JSON, with a client certificate.
    type: path
    default: /etc/kubernetes/admin.conf
  wait:
    description: Seconds to retry a request while the API server is unavailable or asks to retry later.
    type: int
    default: 60
attributes:
  check_mode:
    details: Lists objects, and patches nothing.
  diff_mode:
    support: none
  idempotent:
    details: The module cannot detect whether the API server wrote anything, so it never reports a change.
seealso:
  - module: plainkube.cluster.encryption_usage
"""

EXAMPLES = r"""
- name: Rewrite Secrets and ConfigMaps
  plainkube.cluster.kube_rewrite:
"""

RETURN = r"""
objects:
  description: Number of objects of each kind.
  returned: success
  type: dict
  sample: {"secrets": 12, "configmaps": 27}
"""

from ansible_collections.plainkube.cluster.plugins.module_utils.modules.kube_rewrite import main

if __name__ == "__main__":
    main()
