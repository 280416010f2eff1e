# Copyright: plainkube authors
# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
from __future__ import annotations

import pytest
from ansible_collections.plainkube.cluster.plugins.module_utils.runtime import _images


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("registry.k8s.io/pause:3.10.2", "registry.k8s.io/pause:3.10.2"),
        ("docker.io/library/busybox:1", "busybox:1"),
        ("docker.io/flannel/flannel:v1", "flannel/flannel:v1"),
    ],
)
def test_familiar(name, listed):
    assert _images.familiar(name) == listed


@pytest.mark.parametrize(
    ("source", "digest", "reference"),
    [
        ("registry.k8s.io/pause:3.10.2", "", "registry.k8s.io/pause:3.10.2"),
        ("registry.k8s.io/pause:3.10.2", "sha256:1", "registry.k8s.io/pause@sha256:1"),
        ("localhost:5000/pause", "sha256:1", "localhost:5000/pause@sha256:1"),
        ("localhost:5000/pause:3", "sha256:1", "localhost:5000/pause@sha256:1"),
    ],
)
def test_pull_reference(source, digest, reference):
    assert _images.pull_reference(source, digest) == reference


def test_a_registry_of_ones_own_has_the_same_paths():
    name = "registry.k8s.io/coredns/coredns:v1.14.7"
    assert _images.from_registry(name, "") == name
    assert _images.from_registry(name, "r.example.com:5000/k8s/") == "r.example.com:5000/k8s/coredns/coredns:v1.14.7"
